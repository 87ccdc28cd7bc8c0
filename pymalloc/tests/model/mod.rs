//! A plain model of what an allocator owes its callers, and the operations
//! that drive an allocator and the model side by side.
//!
//! ```text
//!  Op sequence ──> Model ──┬──> the subject, on the thread the op names
//!  (proptest, fuzzer)      └──> live blocks: address, layout, usable size, id
//! ```
//!
//! Nothing here knows where a sequence comes from. A broken claim is a panic
//! that names it.
//!
//! # Claims
//!
//! 1. A block is aligned, and `usable_size` is not below the request.
//! 2. No two live blocks overlap, usable bytes included.
//! 3. A live block's usable bytes are the caller's alone: they hold the fill
//!    pattern of the block's id until it is freed or resized.
//! 4. `realloc` keeps the common prefix; on null it keeps the old block whole.
//! 5. `alloc_zeroed` gives zeros, also where dirty bytes lay before.
//! 6. `owns` is true for a live block's first, middle and last byte.
//! 7. `verify` is content and `bytes_in_use` agrees with the live blocks at
//!    every check, whichever threads did what; when all is freed, the count
//!    is back where it started.

#![allow(
    dead_code,
    reason = "every test binary includes the whole model and uses a part of it"
)]

mod block;
mod crew;
mod op;
mod pattern;
mod queue;
mod subject;

use std::alloc::Layout;
use std::collections::BTreeMap;

use block::Block;
use crew::{Address, Crew};
pub(crate) use op::Op;
pub(crate) use pattern::{Pattern, is_zero};
pub(crate) use subject::Subject;

/// Largest request, in bytes.
pub(crate) const MAX_SIZE: usize = 300 * 1024;
/// Largest alignment, as a power of two: 4 MiB.
pub(crate) const MAX_ALIGN_SHIFT: u32 = 22;
/// Threads that an operation can name; 0 is the caller.
pub(crate) const THREAD_COUNT: usize = 3;
/// At most this many blocks live: one more allocation frees one first.
const MAX_LIVE: usize = 4096;
/// A drain's blocks lie this many places apart: from one pool, then another.
const DRAIN_STRIDE: usize = 37;
/// At most so many bytes in one burst.
const BURST_BYTES: usize = 1 << 20;

/// The blocks that the subject has handed out, and what they must hold.
#[derive(Debug)]
pub(crate) struct Model<S: Subject> {
    subject: &'static S,
    live: Vec<Block>,
    /// Start to one past the end of every live block's usable bytes.
    ranges: BTreeMap<usize, usize>,
    crew: Crew,
    next_id: u64,
    baseline_in_use: usize,
    null_count: usize,
    null_is_a_failure: bool,
}

impl<S: Subject> Model<S> {
    /// A model of a subject that must never run out of memory.
    pub(crate) fn new(subject: &'static S) -> Self {
        Self {
            subject,
            live: Vec::with_capacity(MAX_LIVE),
            ranges: BTreeMap::new(),
            crew: Crew::default(),
            next_id: 1,
            baseline_in_use: subject.bytes_in_use(),
            null_count: 0,
            null_is_a_failure: true,
        }
    }

    /// A model of a subject that may return null.
    pub(crate) fn tolerating_null(subject: &'static S) -> Self {
        Self {
            null_is_a_failure: false,
            ..Self::new(subject)
        }
    }

    /// How many requests came back null.
    pub(crate) fn null_count(&self) -> usize {
        self.null_count
    }

    /// The usable sizes of the live blocks.
    pub(crate) fn usable_sizes(&self) -> impl Iterator<Item = usize> {
        self.live.iter().map(|block| block.usable)
    }

    /// Runs a whole sequence, frees what is left, and checks at the end.
    pub(crate) fn run(subject: &'static S, ops: &[Op]) {
        let mut model = Self::new(subject);
        for op in ops {
            model.apply(*op);
        }
        model.finish();
    }

    /// Runs one operation and checks what it promises.
    pub(crate) fn apply(&mut self, op: Op) {
        match op {
            Op::Alloc {
                thread,
                size,
                align,
                zeroed,
            } => self.alloc(thread, size, align, zeroed),
            Op::Burst {
                thread,
                size,
                align,
                count,
            } => {
                let room = size.next_multiple_of(align).max(1);
                for _ in 0..count.min(BURST_BYTES / room) {
                    self.alloc(thread, size, align, false);
                }
            }
            Op::Realloc {
                thread,
                pick,
                new_size,
            } => self.realloc(thread, pick, new_size),
            Op::Drain {
                thread,
                pick,
                count,
            } => {
                for step in 0..count {
                    self.dealloc(thread, pick.wrapping_add(step * DRAIN_STRIDE));
                }
            }
            Op::Dealloc { thread, pick } => self.dealloc(thread, pick),
            Op::EndThread { thread } => self.crew.end(thread),
            Op::Check => self.check(),
        }
    }

    /// Checks, frees every block in an order of its own, and checks again.
    pub(crate) fn finish(&mut self) {
        self.check();
        while !self.live.is_empty() {
            let pick = self.next_id as usize;
            self.next_id += 7;
            self.dealloc(0, pick);
        }
        self.crew.end_all();
        self.check();
    }

    fn alloc(&mut self, thread: usize, size: usize, align: usize, zeroed: bool) {
        if self.live.len() == MAX_LIVE {
            self.dealloc(thread, self.next_id as usize);
        }
        let layout =
            Layout::from_size_align(size, align).expect("sizes here are far from the limit");
        let subject = self.subject;
        let address = self.on(thread, move || {
            Address(if zeroed {
                // SAFETY: PyMalloc takes every layout, a zero-sized one too.
                unsafe { subject.alloc_zeroed(layout) }
            } else {
                // SAFETY: as above.
                unsafe { subject.alloc(layout) }
            })
        });
        if self.is_null(address, layout) {
            return;
        }
        let block = self.admit(address, layout);
        if zeroed {
            // SAFETY: the block is live and at least `size` bytes long.
            let bytes = unsafe { std::slice::from_raw_parts(address.0, size) };
            assert!(is_zero(bytes), "alloc_zeroed: dirty bytes in {layout:?}");
        }
        block.pattern.fill(address.0, block.usable);
        self.live.push(block);
    }

    fn realloc(&mut self, thread: usize, pick: usize, new_size: usize) {
        let Some(mut old) = self.remove(pick) else {
            return;
        };
        let (subject, address, layout) = (self.subject, old.address, old.layout);
        let new_address = self.on(thread, move || {
            let address = address;
            // SAFETY: the block is live under this layout.
            Address(unsafe { subject.realloc(address.0, layout, new_size) })
        });
        let new_layout = Layout::from_size_align(new_size, layout.align())
            .expect("sizes here are far from the limit");
        if self.is_null(new_address, new_layout) {
            old.check("realloc that returned null");
        } else {
            let kept = layout.size().min(new_size);
            assert!(
                old.pattern.is_at(new_address.0, kept),
                "realloc lost the prefix: {layout:?} to {new_size}"
            );
            old = self.admit(new_address, new_layout);
            old.pattern.fill(new_address.0, old.usable);
        }
        self.ranges.insert(old.start(), old.end());
        self.live.push(old);
    }

    fn dealloc(&mut self, thread: usize, pick: usize) {
        let Some(block) = self.remove(pick) else {
            return;
        };
        block.check("dealloc");
        let (subject, address, layout) = (self.subject, block.address, block.layout);
        self.on(thread, move || {
            let address = address;
            // SAFETY: the block is live under this layout, and forgotten here.
            unsafe { subject.dealloc(address.0, layout) };
            address
        });
    }

    fn check(&self) {
        for block in &self.live {
            block.check("check");
            self.check_owned(block);
        }
        if let Err(error) = self.subject.verify() {
            panic!("verify_heap: {error}");
        }
        let in_use = self.subject.bytes_in_use();
        let requested: usize = self.live.iter().map(|block| block.layout.size()).sum();
        let usable: usize = self.live.iter().map(|block| block.usable).sum();
        let own = in_use.wrapping_sub(self.baseline_in_use);
        assert!(
            (requested..=usable).contains(&own),
            "bytes_in_use grew by {own}, not by {requested}..={usable}"
        );
    }

    /// A block that the subject has just handed out meets claims 1, 2 and 6.
    fn admit(&mut self, address: Address, layout: Layout) -> Block {
        assert!(
            address.0.addr().is_multiple_of(layout.align()),
            "misaligned: {:p} for {layout:?}",
            address.0
        );
        // SAFETY: the subject has just handed the block out.
        let usable = unsafe { self.subject.usable_size(address.0) };
        assert!(
            usable >= layout.size(),
            "usable_size {usable} is below {layout:?}"
        );
        let id = self.next_id;
        self.next_id += 1;
        let block = Block {
            address,
            layout,
            usable,
            pattern: Pattern::of(id),
        };
        let (start, end) = (block.start(), block.end());
        let before = self.ranges.range(..end).next_back();
        assert!(
            before.is_none_or(|(_, before_end)| *before_end <= start),
            "overlap: {start:#x}..{end:#x} of {layout:?} with a block at {before:x?}"
        );
        self.ranges.insert(start, end);
        self.check_owned(&block);
        block
    }

    fn check_owned(&self, block: &Block) {
        let last = block.layout.size().saturating_sub(1);
        for offset in [0, last / 2, last] {
            let address = block.address.0.wrapping_add(offset);
            assert!(
                self.subject.owns(address),
                "owns is false at {offset} of {:?}",
                block.layout
            );
        }
    }

    fn remove(&mut self, pick: usize) -> Option<Block> {
        let index = pick.checked_rem(self.live.len())?;
        let block = self.live.swap_remove(index);
        self.ranges.remove(&block.start());
        Some(block)
    }

    fn is_null(&mut self, address: Address, layout: Layout) -> bool {
        let is_null = address.0.is_null();
        self.null_count += usize::from(is_null);
        assert!(!(is_null && self.null_is_a_failure), "null for {layout:?}");
        is_null
    }

    fn on(&mut self, thread: usize, work: impl FnOnce() -> Address + Send + 'static) -> Address {
        self.crew.run(thread, work)
    }
}
