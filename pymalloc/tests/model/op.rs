//! What a sequence is made of.

/// Sizes where a tier, a class, a page or the walker's arithmetic changes.
pub(crate) const EDGES: [usize; 40] = [
    0, 1, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 504, 505,
    511, 512, 513, 1023, 1024, 1025, 4095, 4096, 4097, 16383, 16385, 32768, 65535, 65536, 65537,
    262_144, 262_145,
];

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
    /// What is empty goes back to the system, from the thread's heap on.
    Trim { thread: usize },
    /// Every claim is checked on every live block; ends a phase.
    Check,
}
