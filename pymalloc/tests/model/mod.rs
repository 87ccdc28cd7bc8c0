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
    unused_imports,
    reason = "every test binary includes the whole model and uses a part of it"
)]

mod block;
mod crew;
mod exchange;
mod op;
mod pattern;
mod queue;
mod steps;
mod subject;

use std::alloc::Layout;
use std::collections::BTreeMap;

use block::Block;
use crew::{Address, Crew};
pub(crate) use exchange::{Exchange, Step};
pub(crate) use op::{EDGES, Op};
pub(crate) use pattern::Pattern;
pub(crate) use subject::{ByAddress, Subject};

/// Largest request, in bytes.
pub(crate) const MAX_SIZE: usize = 300 * 1024;
/// Largest alignment, as a power of two: 4 MiB.
pub(crate) const MAX_ALIGN_SHIFT: u32 = 22;
/// Threads that an operation can name; 0 is the caller.
pub(crate) const THREAD_COUNT: usize = 3;
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
            live: Vec::new(),
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
            } => self.burst(thread, size, align, count),
            Op::Realloc {
                thread,
                pick,
                new_size,
            } => self.realloc(thread, pick, new_size),
            Op::Dealloc { thread, pick } => self.dealloc(thread, pick),
            Op::Drain {
                thread,
                pick,
                count,
            } => self.drain(thread, pick, count),
            Op::EndThread { thread } => self.crew.end(thread),
            Op::Trim { thread } => self.trim(thread),
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
        // What another live thread has at hand is known as of its last visit to its
        // pools; once they have ended, every block is accounted for.
        assert!(
            self.crew.has_members() || (requested..=usable).contains(&own),
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
}
