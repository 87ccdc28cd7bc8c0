//! What is done for each block: find the stack, note the block, count its bytes.
//!
//! ```text
//!  allocated ─▶ walk ─▶ leave out the allocator's frames ─▶ the stack's number
//!     │                                                        │ thread's cache, else stacks.rs
//!     │   in a pool, exact: entry = stack, size, thread ◀──────┤
//!     └── elsewhere: live.rs: address ─▶ all there is to know ◀┘
//!  freed ─▶ the entry, or the address, says how many bytes
//! ```
//! All of it runs inside an allocator: nothing here allocates from it, prints, or unwinds. (One
//! exception: `unwind.rs`, a thread's cache.) It waits for one lock, of a part of `live.rs`: who
//! has that waits for no thread that may be here, though it may allocate, where it looks at all.

use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::live::{Block, Live};
use super::peak;
use super::roll::LAST_NAMED;
use super::sampling;
use super::settings::SETTINGS;
use super::stacks::{self, StackId, Stacks};
use super::thread::{self, Own, Thread};
use super::walk::{self, Registers};

pub(super) static STACKS: Stacks = Stacks::new();
pub(super) static LIVE: Live = Live::new();

/// Frames that are kept beyond the limit: the allocator's and the standard library's, which
/// snapshots leave out, should not use it up.
const ROOM_FOR_RUNTIME: usize = if cfg!(debug_assertions) { 16 } else { 6 };

/// What is known of a block in a pool, in a word; 0 is no entry.
///
/// ```text
///  63             32 31        15 14         0
///  │ stack           │ size      │ thread     │     a sample: 1, and the block is in `LIVE`
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) stack: StackId,
    /// Bytes, up to 64 KiB.
    pub(super) size: usize,
    /// 0 if its number is too large.
    pub(super) thread: u64,
}

/// The entry of a sample.
#[cfg_attr(
    not(feature = "pymalloc"),
    allow(dead_code, reason = "for blocks in pools")
)]
pub(super) const SAMPLE: u64 = 1;

impl Entry {
    #[cfg_attr(
        not(feature = "pymalloc"),
        allow(dead_code, reason = "for blocks in pools")
    )]
    pub(super) fn pack(self) -> u64 {
        let thread = if self.thread > LAST_NAMED {
            0
        } else {
            self.thread
        };
        u64::from(self.stack) << 32 | (self.size as u64) << 15 | thread
    }

    /// `None` for a sample's, and for none.
    #[inline]
    pub(super) fn unpack(word: u64) -> Option<Self> {
        let stack = (word >> 32) as StackId;
        (stack != 0).then_some(Self {
            stack,
            size: (word as u32 >> 15) as usize,
            thread: word & LAST_NAMED,
        })
    }
}

/// When tracing began.
pub(super) static BEGAN: OnceLock<Instant> = OnceLock::new();

fn now_ns() -> u64 {
    let elapsed = BEGAN.get().map(Instant::elapsed).unwrap_or_default();
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

/// Notes a block in a pool that is not a sample; its entry.
#[cfg_attr(
    not(feature = "pymalloc"),
    allow(dead_code, reason = "for blocks in pools")
)]
#[inline(always)]
pub(super) fn allocated_in_pool(size: usize) -> u64 {
    let registers = walk::registers();
    let entry = thread::inside(|thread| {
        let stack = find_stack(thread, registers)?;
        count(thread, stack, 1, size as i64);
        let thread = thread.number();
        Some(
            Entry {
                stack,
                size,
                thread,
            }
            .pack(),
        )
    });
    entry.flatten().unwrap_or(0)
}

/// Notes the end of a block in a pool.
#[cfg_attr(
    not(feature = "pymalloc"),
    allow(dead_code, reason = "for blocks in pools")
)]
#[inline(always)]
pub(super) fn freed_in_pool(address: usize, entry: u64) {
    match Entry::unpack(entry) {
        Some(entry) => {
            thread::inside(|thread| count(thread, entry.stack, -1, -(entry.size as i64)));
        }
        None => freed(0, address),
    }
}

/// Notes a block by its address, with the chance it had to be recorded; whether there was room.
#[inline(always)]
pub(super) fn allocated(domain: u32, address: usize, size: usize, chance: f64) -> bool {
    let registers = walk::registers();
    let noted = thread::inside_with_tables(|thread| {
        let stack = find_stack(thread, registers)?;
        let thread_number = thread.number();
        let block = Block {
            address,
            size,
            chance,
            thread: thread_number,
            when_ns: now_ns(),
            domain,
            stack,
        };
        // Counted first: without room for it in the table, it comes back at once.
        count(thread, stack, 1, estimate(&block));
        match LIVE.insert(block) {
            None => Some(()),
            Some(old) => {
                uncount(thread, old);
                LIVE.get(domain, address).map(|_| ())
            }
        }
    });
    noted.flatten().is_some()
}

/// Notes the end of a block by its address, if it was noted.
#[inline(always)]
pub(super) fn freed(domain: u32, address: usize) {
    if LIVE.count() > 0 {
        thread::inside_with_tables(|thread| {
            if let Some(block) = LIVE.remove(domain, address) {
                uncount(thread, block);
            }
        });
    }
}

/// Takes a block out by its address, so that it can be put back.
pub(super) fn take_out(domain: u32, address: usize) -> Option<Block> {
    if LIVE.count() == 0 {
        return None;
    }
    thread::inside_with_tables(|thread| {
        let block = LIVE.remove(domain, address)?;
        uncount(thread, block);
        Some(block)
    })
    .flatten()
}

/// Puts back what `take_out` took.
pub(super) fn put_back(block: Block) {
    thread::inside_with_tables(|thread| {
        count(thread, block.stack, 1, estimate(&block));
        if let Some(old) = LIVE.insert(block) {
            uncount(thread, old);
        }
    });
}

/// The bytes that a block stands for.
fn estimate(block: &Block) -> i64 {
    (block.size as f64 / block.chance).round() as i64
}

fn uncount(thread: &Thread, block: Block) {
    count(thread, block.stack, -1, -estimate(&block));
}

#[inline(always)]
fn count(thread: &Thread, stack: StackId, blocks: i64, bytes: i64) {
    let is_peak = thread.share.add(bytes);
    if SETTINGS.peak() {
        peak::count(stack, blocks, bytes, is_peak);
    }
}

/// The bytes to the thread's next sample.
pub(super) fn bytes_to_next_sample() -> u64 {
    let period = SETTINGS.period();
    thread::inside(|thread| {
        // SAFETY: the calling thread's own part; nobody else has a reference inside.
        let own = unsafe { thread.own() };
        let random = own.random(SETTINGS.generation(), SETTINGS.seed(), thread.number());
        sampling::draw(random, period)
    })
    .unwrap_or(period)
}

/// The number of the stack that these registers are the end of.
#[inline(always)]
fn find_stack(thread: &Thread, registers: Registers) -> Option<StackId> {
    // SAFETY: the calling thread's own part; nobody else has a reference inside.
    let own = unsafe { thread.own() };
    let most = usize::from(SETTINGS.nframe()) + ROOM_FOR_RUNTIME;
    let (skip, found) = capture(own, registers, most);
    let frames = &own.frames()[skip..found.min(skip + most)];
    let hash = stacks::hash(frames);
    if let Some(id) = own.cached(hash) {
        return Some(id);
    }
    let frames = &own.frames()[skip..found.min(skip + most)];
    let id = STACKS.intern(frames, hash)?;
    own.cache(hash, id);
    Some(id)
}

/// Fills the thread's room with return addresses, up to `most` of them; how many of the first are
/// the allocator's, and how many there are in all.
#[inline(always)]
fn capture(own: &mut Own, registers: Registers, most: usize) -> (usize, usize) {
    let found = walk_into(own, registers, most + ROOM_FOR_RUNTIME);
    let frames = &own.frames()[..found];
    let is_own = |address: &&usize| INNER.contains(**address);
    (frames.iter().take_while(is_own).count(), found)
}

#[inline(always)]
fn walk_into(own: &mut Own, registers: Registers, most: usize) -> usize {
    let Some(in_use) = walk::in_use(&own.stack, &registers) else {
        return 0;
    };
    #[cfg(feature = "framehop")]
    if SETTINGS.by_tables() {
        return by_tables(own, registers, &in_use, most);
    }
    walk::by_frame_pointers(registers, &in_use, &mut own.frames()[..most])
}

#[cfg(feature = "framehop")]
fn by_tables(
    own: &mut Own,
    registers: Registers,
    in_use: &std::ops::Range<usize>,
    most: usize,
) -> usize {
    use super::unwind;

    let stack_left = registers.sp - own.stack.start;
    if stack_left < unwind::NEEDS_STACK {
        return 0;
    }
    if own.rules.is_null() {
        if stack_left < unwind::NEW_CACHE_NEEDS_STACK {
            return 0;
        }
        own.rules = unwind::new_cache();
    }
    // SAFETY: a box of the thread's own, which is never dropped.
    let rules = unsafe { &mut *own.rules };
    unwind::by_tables(registers, in_use, rules, &mut own.frames()[..most])
}

/// The stack of whoever calls, by one way or the other, for a comparison. Outside the hook.
#[inline(always)]
pub(super) fn stack_here(by_tables: bool) -> Vec<usize> {
    let registers = walk::registers();
    super::untraced(|| {
        let mut frames = Vec::with_capacity(64);
        thread::inside(|thread| {
            // SAFETY: the calling thread's own part; nobody else has a reference inside.
            let own = unsafe { thread.own() };
            let Some(in_use) = walk::in_use(&own.stack, &registers) else {
                return;
            };
            let found = match by_tables {
                #[cfg(feature = "framehop")]
                true => self::by_tables(own, registers, &in_use, 64),
                _ => walk::by_frame_pointers(registers, &in_use, &mut own.frames()[..64]),
            };
            frames.extend_from_slice(&own.frames()[..found]);
        });
        frames
    })
}

/// Return addresses between the hook and whoever asks for memory: the allocator's own.
pub(super) static INNER: Inner = Inner {
    addresses: [const { AtomicUsize::new(0) }; Inner::ROOM],
};

/// A small set of addresses, of which none is ever taken out.
pub(super) struct Inner {
    addresses: [AtomicUsize; Self::ROOM],
}

impl Inner {
    const ROOM: usize = 64;

    #[inline(always)]
    fn contains(&self, address: usize) -> bool {
        for place in &self.addresses {
            let known = place.load(Relaxed);
            if known == address {
                return true;
            }
            if known == 0 {
                return false;
            }
        }
        false
    }

    /// Adds an address, if there is room. Not for two threads at once.
    pub(super) fn add(&self, address: usize) {
        if self.contains(address) {
            return;
        }
        let free = self.addresses.iter().find(|place| place.load(Relaxed) == 0);
        if let Some(place) = free {
            place.store(address, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_keeps_what_it_is_given() {
        for (stack, size, thread) in [(1, 0, 0), (7, 1, 1), (u32::MAX, 64 << 10, LAST_NAMED)] {
            let entry = Entry {
                stack,
                size,
                thread,
            };
            assert_eq!(Entry::unpack(entry.pack()), Some(entry));
        }
        let many = Entry {
            stack: 1,
            size: 5,
            thread: LAST_NAMED + 1,
        };
        assert_eq!(
            Entry::unpack(many.pack()),
            Some(Entry { thread: 0, ..many })
        );
        assert_eq!(Entry::unpack(SAMPLE), None);
        assert_eq!(Entry::unpack(0), None);
    }
}
