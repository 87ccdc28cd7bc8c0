//! Freed blocks on their way back: the oldest leaves when there are too many, and is looked
//! at then; those that are left are when the program exits.

use core::mem::MaybeUninit;

use super::block::DebugBlock;
use super::dump;
use crate::sync::{Mutex, MutexGuard, lock as lock_mutex};

/// Blocks kept, at most, ...
const BLOCKS: usize = 1024;
/// ... and bytes.
const BYTES: usize = 16 << 20;

/// Oldest first, in a ring.
#[derive(Debug)]
pub(crate) struct Ring {
    blocks: [MaybeUninit<DebugBlock>; BLOCKS],
    first: usize,
    len: usize,
    bytes: usize,
}

/// The lock, held.
pub(crate) type Held = MutexGuard<'static, Ring>;

static RING: Mutex<Ring> = Mutex::new(Ring {
    blocks: [const { MaybeUninit::uninit() }; BLOCKS],
    first: 0,
    len: 0,
    bytes: 0,
});

/// Takes in a freed block; those that must leave for it are checked, and freed.
pub(super) fn put(block: DebugBlock) {
    let mut ring = lock();
    ring.push(block);
    while ring.bytes > BYTES || ring.len == BLOCKS {
        let Some(oldest) = ring.pop() else {
            return;
        };
        drop(ring);
        oldest.bury();
        ring = lock();
    }
}

pub(super) fn lock() -> Held {
    lock_mutex(&RING)
}

impl Ring {
    fn push(&mut self, block: DebugBlock) {
        let at = (self.first + self.len) % BLOCKS;
        if let Some(place) = self.blocks.get_mut(at) {
            place.write(block);
            self.len += 1;
            self.bytes += block.raw_size();
        }
    }

    fn get(&self, index: usize) -> Option<DebugBlock> {
        let place = self.blocks.get((self.first + index) % BLOCKS)?;
        // SAFETY: the `len` places from `first` on were written.
        (index < self.len).then(|| unsafe { place.assume_init() })
    }

    fn pop(&mut self) -> Option<DebugBlock> {
        let oldest = self.get(0)?;
        self.first = (self.first + 1) % BLOCKS;
        self.len -= 1;
        self.bytes -= oldest.raw_size();
        Some(oldest)
    }
}

/// A block that somebody wrote to, and where. Then nothing is in quarantine any more, so that
/// nobody frees the block while it is reported, which is done without the lock: the report asks
/// the loader, and what handles the end of the process may free.
fn take_damaged() -> Option<(DebugBlock, *mut u8)> {
    let mut ring = lock();
    let blocks = (0..ring.len).filter_map(|index| ring.get(index));
    let damaged = blocks
        .filter_map(|block| Some((block, block.damage()?)))
        .next()?;
    ring.len = 0;
    ring.bytes = 0;
    Some(damaged)
}

/// Looks at every block in quarantine when the program exits. Functions in this section run
/// after those of `atexit`, and need no entry in the C library's tables.
#[used]
// SAFETY: the loader calls what it finds there; the function needs nothing that a
// destructor does not have.
#[unsafe(link_section = ".fini_array")]
static AT_EXIT: extern "C" fn() = {
    extern "C" fn at_exit() {
        if let Some((block, at)) = take_damaged() {
            dump::written_after_free(block, at);
        }
    }
    at_exit
};
