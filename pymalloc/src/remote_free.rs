//! Blocks freed by a thread that does not own their pool.
//!
//! Each pool has one word that any thread may write: whose turn the pool is in,
//! and the list of blocks that came back from elsewhere.
//!
//! ```text
//!  bit 31 ........ 14 | 13 ...... 2 | 1 0
//!  first block, in    | how many    | state
//!  words from the     | blocks      |
//!  pool's start       |             |
//! ```
//!
//! # States
//! ```text
//!                 adopt, take from an arena
//!        ┌───────────────────────────────────────────┐
//!        ▼          last block out: `try_full`       │
//!     ┌───────┐ ─────────────────────────────▶ ┌──────┐
//!     │ OWNED │                                │ FULL │
//!     └───────┘ ◀───────────────────────────── └──────┘
//!        │  ▲     first remote free: `push`,          (no other way out)
//!        │  │     or the owner's own: `reopen`
//!        ▼  │
//!    ┌────────┐
//!    │ COMMON │  thread exit, or never owned: `make_common`
//!    └────────┘
//! ```
//! - `OWNED`: a thread owns the pool and will look at the list. A push is one
//!   compare-exchange.
//! - `FULL`: owned, but every block is out and the pool is on no list, as in
//!   CPython. The list is empty. The push that finds this state makes it `OWNED`
//!   and *holds* the pool: it must bring it to its owner (mailbox.rs).
//! - `COMMON`: nobody owns the pool. The list is empty and stays so: frees take the
//!   lock of the pool's shelf instead (commons.rs).
//!
//! # Invariants
//! 1. A list is not empty only in state `OWNED`.
//! 2. Exactly one push leaves `FULL`, or the owner does.
//! 3. `COMMON` is entered and left only under the lock of the pool's shelf.
//! 4. Whoever pushes holds blocks of the pool; so the pool is not empty, and goes
//!    back to its arena only after the push. After a push that found `OWNED` the
//!    pusher touches the pool no more.
//!
//! # Orderings
//! | operation | ordering | why, and its partner |
//! |---|---|---|
//! | `push` | AcqRel | Release: the blocks' links and their users' last writes, for `take` and `make_common`. Acquire: of a full pool, the owner's fields, from `try_full` |
//! | `take`, `make_common` | Acquire | the blocks, from `push`; earlier pushes too, since each push is a read-modify-write and continues the release sequence |
//! | `try_full` | Release | the owner's fields, for the `push` that holds the pool next |
//! | `reopen` | Relaxed | the owner undoes its own store |
//! | `make_owned` | Relaxed | under the shelf's or arenas' lock; a push needs nothing from it |
//!
//! Models: `remote_free_against_owner_drain`, `first_remote_free_of_a_full_pool`,
//! `thread_exit_against_remote_free` in `loom-tests`.

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::block::{Block, Chain, Taken};
use crate::sync::{AtomicU32, look};

const OWNED: u32 = 0;
const FULL: u32 = 1;
const COMMON: u32 = 2;

const STATE: u32 = 0b11;
const COUNT_SHIFT: u32 = 2;
const COUNT_MASK: u32 = 0xfff;
const FIRST_SHIFT: u32 = 14;
/// Blocks start at multiples of this many bytes from their pool's start.
const WORD: usize = 8;

/// The word. The pool's start is passed in, because the word names blocks by their
/// distance from it.
#[derive(Debug)]
pub(crate) struct RemoteList(AtomicU32);

/// What became of a pushed chain.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// The owner will find it.
    Queued,
    /// The pool was full: the caller holds it now and must bring it to its owner.
    First,
    /// Nothing was pushed: the pool has no owner; free under its shelf's lock.
    Common,
}

impl RemoteList {
    crate::sync::const_fn! {
        /// The list of a pool that nobody owns.
        pub(crate) fn new() -> Self {
            Self(AtomicU32::new(COMMON))
        }
    }

    /// Pushes a chain of blocks of the pool that starts at `base`.
    ///
    /// # Safety
    /// The caller holds the chain, whose blocks are all of this pool.
    pub(crate) unsafe fn push(&self, base: *mut u8, chain: Chain) -> Pushed {
        let mut seen = look(&self.0);
        loop {
            let (next, count) = match seen & STATE {
                COMMON => return Pushed::Common,
                FULL => (core::ptr::null_mut(), 0),
                _ => (first_of(base, seen), count_of(seen)),
            };
            // SAFETY: the chain is the caller's until the exchange below succeeds.
            unsafe { Block::set_next(chain.last, next) };
            let word = pack(base, chain.first, count + chain.len);
            // ORDERING: AcqRel; Release publishes the blocks to `take` and
            // `make_common`, Acquire receives a full pool from `try_full`
            // [loom: remote_free_against_owner_drain, first_remote_free_of_a_full_pool].
            match self.0.compare_exchange(seen, word, AcqRel, Relaxed) {
                Ok(_) if seen & STATE == FULL => return Pushed::First,
                Ok(_) => return Pushed::Queued,
                Err(now) => seen = now,
            }
        }
    }

    /// Takes every block that came back; the pool stays owned. For its owner,
    /// while the pool is not full.
    pub(crate) fn take(&self, base: *mut u8) -> Option<Taken> {
        if count_of(look(&self.0)) == 0 {
            return None;
        }
        // ORDERING: Acquire receives the blocks from `push`
        // [loom: remote_free_against_owner_drain].
        let seen = self.0.swap(OWNED, Acquire);
        debug_assert_eq!(seen & STATE, OWNED);
        taken(base, seen)
    }

    /// `OWNED` to `FULL`, unless a block came back meanwhile: then false, and the
    /// pool is not full. For the owner, which has taken the pool off its list.
    #[must_use]
    pub(crate) fn try_full(&self) -> bool {
        // ORDERING: Release hands the owner's fields to the push that leaves
        // `FULL` [loom: first_remote_free_of_a_full_pool].
        self.0
            .compare_exchange(OWNED, FULL, Release, Relaxed)
            .is_ok()
    }

    /// `FULL` to `OWNED` by the owner, which frees a block itself. False if a
    /// remote free did it already: the pool is on its way to the mailbox.
    #[must_use]
    pub(crate) fn reopen(&self) -> bool {
        // ORDERING: Relaxed; `FULL` was this thread's own store.
        self.0
            .compare_exchange(FULL, OWNED, Relaxed, Relaxed)
            .is_ok()
    }

    /// Any owned state to `COMMON`, with what came back. Under the shelf's lock.
    pub(crate) fn make_common(&self, base: *mut u8) -> Option<Taken> {
        // ORDERING: Acquire receives the blocks from `push`
        // [loom: thread_exit_against_remote_free].
        let seen = self.0.swap(COMMON, Acquire);
        taken(base, seen)
    }

    /// `COMMON` to `OWNED`. Under the shelf's lock, or by the only thread that
    /// knows the pool.
    pub(crate) fn make_owned(&self) {
        // ORDERING: Relaxed; no push is under way, because a push that saw
        // `COMMON` waits for the lock and looks again.
        self.0.store(OWNED, Relaxed);
    }

    /// Whether the pool has no owner. Under the shelf's lock this stays true.
    pub(crate) fn is_common(&self) -> bool {
        look(&self.0) & STATE == COMMON
    }

    /// How many blocks wait, for statistics.
    #[cfg(not(loom))]
    pub(crate) fn waiting(&self) -> u32 {
        count_of(look(&self.0))
    }
}

fn pack(base: *mut u8, first: *mut Block, count: u32) -> u32 {
    let words = (first.addr() - base.addr()) / WORD;
    debug_assert!(words < 1 << (32 - FIRST_SHIFT) && count <= COUNT_MASK);
    ((words as u32) << FIRST_SHIFT) | (count << COUNT_SHIFT) | OWNED
}

fn count_of(word: u32) -> u32 {
    (word >> COUNT_SHIFT) & COUNT_MASK
}

fn first_of(base: *mut u8, word: u32) -> *mut Block {
    if count_of(word) == 0 {
        return core::ptr::null_mut();
    }
    let offset = (word >> FIRST_SHIFT) as usize * WORD;
    base.wrapping_add(offset).cast()
}

fn taken(base: *mut u8, word: u32) -> Option<Taken> {
    let len = count_of(word);
    (len > 0).then(|| Taken {
        first: first_of(base, word),
        len,
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// A pool of eight 16-byte blocks, all carved.
    fn blocks(memory: &mut [u64; 16]) -> (*mut u8, Vec<*mut Block>) {
        let base: *mut u8 = memory.as_mut_ptr().cast();
        let carve = |index: usize| {
            // SAFETY: each start lies 16 bytes from the next, inside `memory`.
            unsafe { Block::carve(base.wrapping_add(16 * index), core::ptr::null_mut()) }
        };
        (base, (0..8).map(carve).collect())
    }

    fn push(list: &RemoteList, base: *mut u8, block: *mut Block) -> Pushed {
        // SAFETY: the test holds each block it pushes.
        unsafe { list.push(base, Chain::one(block)) }
    }

    #[test]
    fn blocks_come_back_in_the_order_last_in_first_out() {
        let mut memory = [0; 16];
        let (base, blocks) = blocks(&mut memory);
        let list = RemoteList::new();
        list.make_owned();
        for &block in &blocks {
            assert_eq!(push(&list, base, block), Pushed::Queued);
        }
        let taken = list.take(base).unwrap();
        assert_eq!(taken.len, 8);
        let mut next = taken.first;
        for &block in blocks.iter().rev() {
            assert_eq!(next, block);
            // SAFETY: the list was taken: its blocks are the test's.
            next = unsafe { Block::next(next) };
        }
        assert!(next.is_null());
        assert!(list.take(base).is_none());
    }

    #[test]
    fn the_first_push_to_a_full_pool_is_told_so_and_only_that() {
        let mut memory = [0; 16];
        let (base, blocks) = blocks(&mut memory);
        let list = RemoteList::new();
        list.make_owned();
        assert!(list.try_full());
        assert_eq!(push(&list, base, blocks[3]), Pushed::First);
        assert_eq!(push(&list, base, blocks[0]), Pushed::Queued);
        assert!(!list.reopen());
        assert!(!list.try_full());
        assert_eq!(list.take(base).unwrap().len, 2);
        assert!(list.try_full());
        assert!(list.reopen());
    }

    #[test]
    fn a_common_pool_takes_no_push() {
        let mut memory = [0; 16];
        let (base, blocks) = blocks(&mut memory);
        let list = RemoteList::new();
        assert_eq!(push(&list, base, blocks[0]), Pushed::Common);
        list.make_owned();
        assert_eq!(push(&list, base, blocks[0]), Pushed::Queued);
        assert_eq!(list.make_common(base).unwrap().len, 1);
        assert!(list.is_common());
        assert!(list.make_common(base).is_none());
    }
}
