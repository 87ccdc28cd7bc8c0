//! All that is recorded, copied out while other threads go on.

use std::time::SystemTime;

use super::hooks::{BEGAN, Entry, LIVE, STACKS};
use super::live::Block;
use super::settings::SETTINGS;
use super::stacks::StackId;
use super::{counters, modules, peak, pymalloc, roll, thread};
use crate::memory_info::page_bytes;
use crate::snapshot::{RawSnapshot, RawTrace, Weight, rounded_up};

/// Stacks by number, given places in a list as they are met.
struct Places {
    stacks: Vec<Box<[usize]>>,
    /// The place plus one of each number, 0 if it was not met.
    of: Vec<u32>,
}

impl Places {
    fn new() -> Self {
        Self {
            stacks: Vec::new(),
            of: vec![0; STACKS.end()],
        }
    }

    fn place(&mut self, id: StackId) -> u32 {
        let index = id as usize;
        if index >= self.of.len() {
            // A stack that is newer than the list.
            self.of.resize(index + 1024, 0);
        }
        if self.of[index] == 0 {
            self.stacks.push(STACKS.frames(id).into());
            self.of[index] = self.stacks.len() as u32;
        }
        self.of[index] - 1
    }
}

/// Every block that is recorded now; the modules are still to be listed.
pub(super) fn now() -> RawSnapshot {
    // First, so that it does not show the snapshot itself.
    let heap = heap::read();
    let mut places = Places::new();
    let mut traces = Vec::with_capacity(LIVE.count() + 1024);
    let mut rounding = Rounding::new();
    pymalloc::each(|block, entry| {
        if let Some(Entry {
            stack,
            size,
            thread,
        }) = Entry::unpack(entry)
        {
            rounding.add(size, 1.0);
            traces.push(RawTrace {
                domain: 0,
                address: block.addr(),
                size,
                weight: Weight::exact(size),
                stack: places.place(stack),
                thread,
                when_ns: 0,
            });
        }
    });
    // What the list allocates while a part of the table is locked must not look there.
    thread::apart(|| {
        LIVE.each(|block| {
            rounding.add_noted(&block);
            traces.push(trace_of(block, &mut places));
        });
    });
    RawSnapshot {
        heap: heap.map(|heap| heap::with_parts(heap, rounding.bytes())),
        ..around(traces, places)
    }
}

/// What the blocks that are recorded now have beyond what was asked for.
#[cfg(feature = "pymalloc")]
pub(super) fn rounding_bytes() -> u64 {
    let mut rounding = Rounding::new();
    pymalloc::each(|_, entry| {
        if let Some(entry) = Entry::unpack(entry) {
            rounding.add(entry.size, 1.0);
        }
    });
    thread::apart(|| LIVE.each(|block| rounding.add_noted(&block)));
    rounding.bytes()
}

/// A sum of bytes beyond what was asked for.
struct Rounding {
    bytes: f64,
    page_bytes: u64,
}

impl Rounding {
    fn new() -> Self {
        Self {
            bytes: 0.0,
            page_bytes: page_bytes(),
        }
    }

    /// Adds that of so many blocks of a size.
    #[inline]
    fn add(&mut self, size: usize, blocks: f64) {
        let rounded_up = rounded_up(size, self.page_bytes);
        self.bytes += rounded_up.saturating_sub(size as u64) as f64 * blocks;
    }

    /// Adds that of a block in the table, if it is the allocator's.
    fn add_noted(&mut self, block: &Block) {
        if block.domain == 0 {
            self.add(block.size, 1.0 / block.chance);
        }
    }

    fn bytes(&self) -> u64 {
        self.bytes as u64
    }
}

/// How the allocator's memory is divided, read first and divided last.
#[cfg(feature = "pymalloc")]
mod heap {
    use crate::memory_info;
    use crate::snapshot::HeapMap;
    use crate::waterfall::{self, Held, Resident};

    pub(super) type Heap = (HeapMap, Held, Option<Resident>);

    pub(super) fn read() -> Option<Heap> {
        let stats = pymalloc::stats();
        let held = crate::heap::held(&stats)?;
        Some((crate::heap::map(&stats), held, memory_info::resident().ok()))
    }

    pub(super) fn with_parts((map, held, resident): Heap, rounding: u64) -> HeapMap {
        let parts = resident.map(|resident| waterfall::divide(resident, &held, rounding));
        HeapMap {
            parts: parts.unwrap_or_default(),
            ..map
        }
    }
}

/// Of other allocators nothing is known.
#[cfg(not(feature = "pymalloc"))]
mod heap {
    use crate::snapshot::HeapMap;

    pub(super) const fn read() -> Option<HeapMap> {
        None
    }

    pub(super) fn with_parts(map: HeapMap, _rounding: u64) -> HeapMap {
        map
    }
}

fn trace_of(block: Block, places: &mut Places) -> RawTrace {
    let weight = if block.chance < 1.0 {
        Weight::sampled(block.size, block.chance)
    } else {
        Weight::exact(block.size)
    };
    RawTrace {
        domain: block.domain,
        address: block.address,
        size: block.size,
        weight,
        stack: places.place(block.stack),
        thread: block.thread,
        when_ns: block.when_ns,
    }
}

/// What each stack had at the peak: one trace for all of its blocks; without modules.
pub(super) fn at_peak() -> RawSnapshot {
    let mut places = Places::new();
    let mut traces = Vec::new();
    peak::each(|stack, blocks, bytes| {
        traces.push(RawTrace {
            domain: 0,
            address: 0,
            size: usize::try_from(bytes / blocks.max(1)).unwrap_or(0),
            weight: Weight {
                count: blocks as f64,
                bytes: bytes as f64,
            },
            stack: places.place(stack),
            thread: 0,
            when_ns: 0,
        });
    });
    around(traces, places)
}

/// The trace of one block alone; without modules.
pub(super) fn of_block(trace: RawTrace, stack: StackId) -> RawSnapshot {
    let mut places = Places::new();
    let stack = places.place(stack);
    around(vec![RawTrace { stack, ..trace }], places)
}

/// Lists the modules, and takes in the tables of new ones. Without the lock of those who look: it
/// waits for the loader.
pub(super) fn with_modules(raw: RawSnapshot) -> RawSnapshot {
    let modules = modules::loaded();
    #[cfg(feature = "framehop")]
    if SETTINGS.by_tables() {
        super::unwind::refresh(&modules);
    }
    RawSnapshot {
        modules: modules.into_iter().map(|loaded| loaded.module).collect(),
        ..raw
    }
}

fn around(traces: Vec<RawTrace>, places: Places) -> RawSnapshot {
    let mut threads: Vec<u64> = traces.iter().map(|trace| trace.thread).collect();
    threads.sort_unstable();
    threads.dedup();
    let elapsed = BEGAN.get().map(std::time::Instant::elapsed);
    let (current_bytes, peak_bytes) = counters::get();
    RawSnapshot {
        traces,
        stacks: places.stacks,
        threads: roll::names(threads),
        traceback_limit: SETTINGS.nframe(),
        sampling: SETTINGS.sampling(),
        time: SystemTime::now(),
        elapsed_ns: elapsed.map_or(0, |time| time.as_nanos() as u64),
        current_bytes,
        peak_bytes,
        pid: std::process::id(),
        ..RawSnapshot::default()
    }
}
