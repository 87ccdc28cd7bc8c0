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
