//! What a sequence is made of.

/// One step. `thread` says where it runs; `pick` chooses among live blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// `alloc`, or `alloc_zeroed`.
    Alloc {
        thread: usize,
        size: usize,
        align: usize,
        zeroed: bool,
    },
    /// Many `alloc`s of one layout: enough to fill pools and fronts.
    Burst {
        thread: usize,
        size: usize,
        align: usize,
        count: usize,
    },
    /// `realloc`, in place or across tiers, larger or smaller.
    Realloc {
        thread: usize,
        pick: usize,
        new_size: usize,
    },
    /// `dealloc`; remote when another thread allocated the block.
    Dealloc { thread: usize, pick: usize },
    /// Many `dealloc`s: pools empty, fronts spill, mail piles up.
    Drain {
        thread: usize,
        pick: usize,
        count: usize,
    },
    /// The thread exits and orphans its pools; its next op starts a new one.
    EndThread { thread: usize },
    /// Every claim is checked on every live block; ends a phase.
    Check,
}
