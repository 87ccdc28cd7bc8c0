//! Blocks: the memory a caller gets, and how free ones are strung together.
//!
//! ```text
//!  free block                      chain of three, first to last
//! ┌──────┬───────────────┐        ┌──────┐   ┌──────┐   ┌──────┐
//! │ next │ (as it was)   │        │  ──────▶ │  ──────▶ │  ?   │
//! └──────┴───────────────┘        └──────┘   └──────┘   └──────┘
//! ```
//!
//! A free block's first word is the address of the next one, as in CPython
//! (`obmalloc.c: *(pymem_block **)bp`). A block in use is the caller's alone.
//!
//! # Access
//! `next` is touched only by whoever holds the block: the thread in whose front
//! it lies, the holder of the pool whose free list it is on, or the thread that
//! pushes or takes a remote list.

use crate::sync::UnsafeCell;

/// A free block, seen as its first word.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Block {
    next: UnsafeCell<*mut Block>,
}

impl Block {
    /// Makes a free block of raw pool memory.
    ///
    /// # Safety
    /// `at` is the start of a block that was never handed out since its pool was
    /// taken from its arena, and the caller holds the pool.
    #[inline]
    pub(crate) unsafe fn carve(at: *mut u8, next: *mut Block) -> *mut Block {
        let block: *mut Block = at.cast();
        let value = Block {
            next: UnsafeCell::new(next),
        };
        // SAFETY: the caller hands over the memory; blocks are at least a word
        // long and aligned to one (size_class.rs, invariant 2).
        unsafe { block.write(value) };
        block
    }

    /// The block after this one.
    ///
    /// # Safety
    /// `block` is free and the caller holds it.
    #[inline(always)]
    pub(crate) unsafe fn next(block: *mut Block) -> *mut Block {
        // SAFETY: a free block holds a `Block`; it is the caller's.
        let block = unsafe { &*block };
        // SAFETY: the cell's own pointer; nobody else touches a held block.
        block.next.with(|next| unsafe { *next })
    }

    /// Sets the block after this one; makes a block that was in use a free one.
    ///
    /// # Safety
    /// The caller holds `block`, which was once carved.
    #[inline(always)]
    pub(crate) unsafe fn set_next(block: *mut Block, next: *mut Block) {
        // SAFETY: `block` is aligned, at least a word long and the caller's; any
        // bytes in it are a valid pointer-sized cell to overwrite.
        let block = unsafe { &*block };
        // SAFETY: the cell's own pointer; nobody else touches a held block.
        block.next.with_mut(|cell| unsafe { cell.write(next) });
    }
}

/// A string of at least one free block. `last`'s next is whatever it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain {
    pub(crate) first: *mut Block,
    pub(crate) last: *mut Block,
    pub(crate) len: u32,
}

impl Chain {
    /// A chain of one.
    #[inline]
    pub(crate) fn one(block: *mut Block) -> Self {
        Self {
            first: block,
            last: block,
            len: 1,
        }
    }
}

/// Free blocks of one class, linked from `first` on: off a pool, a front, or a remote list.
/// The last one's next is whatever it is.
#[must_use]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub(crate) first: *mut Block,
    pub(crate) len: u32,
}

impl Taken {
    /// The blocks at the head of a list that lie in one pool, and the others.
    ///
    /// # Safety
    /// The caller holds the list, of blocks of pools of `pool_size` bytes.
    #[inline]
    pub(crate) unsafe fn split_run(self, pool_size: usize) -> (Chain, Option<Self>) {
        let pool_mask = !(pool_size - 1);
        let apart = |block: *mut Block| (block.addr() ^ self.first.addr()) & pool_mask;
        // SAFETY: below, every block asked for its next is one of the list's first
        // `len - 1`, and the list is the caller's.
        let next = |block: *mut Block| unsafe { Block::next(block) };
        let mut chain = Chain::one(self.first);
        while chain.len < self.len {
            let one = next(chain.last);
            if apart(one) != 0 {
                let rest = Self {
                    first: one,
                    len: self.len - chain.len,
                };
                return (chain, Some(rest));
            }
            chain.last = one;
            chain.len += 1;
            // A run has begun: four at a time, as long as all are in it.
            while self.len - chain.len >= 4 {
                let one = next(chain.last);
                let two = next(one);
                let three = next(two);
                let four = next(three);
                if apart(one) | apart(two) | apart(three) | apart(four) != 0 {
                    break;
                }
                chain.last = four;
                chain.len += 4;
            }
        }
        (chain, None)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use core::ptr;

    use super::*;
    use crate::arenas::Arenas;
    use crate::size_class::SizeClass;

    /// A list of blocks of two pools, in turns of these lengths.
    fn list_of(runs: &[u32]) -> Taken {
        static ARENAS: Arenas = Arenas::new();
        let pools = [(); 2].map(|()| ARENAS.take_pool(SizeClass::SMALLEST, false).unwrap().0);
        let mut list = Taken {
            first: ptr::null_mut(),
            len: 0,
        };
        for (turn, &len) in runs.iter().enumerate().rev() {
            for _ in 0..len {
                let block = pools[turn % 2].carve(1).unwrap().first;
                // SAFETY: a block just carved, held by the test.
                unsafe { Block::set_next(block, list.first) };
                list.first = block;
                list.len += 1;
            }
        }
        list
    }

    fn runs_of(list: Taken) -> Vec<u32> {
        let mut runs = Vec::new();
        let mut rest = Some(list);
        while let Some(list) = rest {
            let chain;
            // SAFETY: the list is the test's.
            (chain, rest) = unsafe { list.split_run(SizeClass::SMALLEST.pool_size()) };
            assert_eq!(chain.first, list.first);
            // SAFETY: a chain's last block is one of the list's.
            let after = unsafe { Block::next(chain.last) };
            assert_eq!(
                after,
                rest.map_or(ptr::null_mut(), |rest: Taken| rest.first)
            );
            runs.push(chain.len);
        }
        runs
    }

    #[test]
    fn a_list_is_split_where_the_pool_changes() {
        for len in 1..20 {
            for runs in [&[len][..], &[len, 1], &[1, len], &[len, 1, 9, 2, len, 3]] {
                assert_eq!(runs_of(list_of(runs)), runs);
            }
        }
    }
}
