//! Blocks by address: those that no entry beside a pool can stand for.
//!
//! Large blocks, samples, what a program tracks itself, and all blocks of a foreign allocator.
//! Sixty-four parts, each an open table behind a lock of its own; a block's address says in which
//! part it is. Removal moves what follows up, so that there are no graves.
//!
//! # Invariants
//! 1. A part is at most three quarters full, and its size a power of two.
//! 2. From a block's home slot to where it is, no slot is empty.
//!
//! # Access
//! A thread that is inside the recorder, and not about to fork. It holds one lock at a time, and
//! asks for nothing but the system's memory meanwhile; who looks at all blocks may ask the
//! program's allocator, which comes back to no table. `fork` takes all locks (`fork.rs`).

use std::ptr::NonNull;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::memory;
use super::stacks::StackId;

/// A block, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub(super) address: usize,
    pub(super) size: usize,
    /// The chance it had to be recorded.
    pub(super) chance: f64,
    pub(super) thread: u64,
    pub(super) when_ns: u64,
    pub(super) domain: u32,
    /// 0 in an empty slot.
    pub(super) stack: StackId,
}

const PARTS: usize = 64;
const FIRST_SIZE: usize = 64;

/// All blocks.
#[derive(Debug)]
pub(super) struct Live {
    parts: [Mutex<Part>; PARTS],
    /// An estimate that frees may look at without a lock: 0 if the table is empty.
    count: AtomicUsize,
}

/// One of the tables.
#[derive(Debug)]
pub(super) struct Part {
    slots: Option<NonNull<Block>>,
    size: usize,
    count: usize,
}

// SAFETY: the slots are the part's alone, and are touched by whoever has the lock.
unsafe impl Send for Part {}

impl Live {
    /// No blocks.
    pub(super) const fn new() -> Self {
        Self {
            parts: [const {
                Mutex::new(Part {
                    slots: None,
                    size: 0,
                    count: 0,
                })
            }; PARTS],
            count: AtomicUsize::new(0),
        }
    }

    fn part(&self, domain: u32, address: usize) -> MutexGuard<'_, Part> {
        lock(&self.parts[(hash(domain, address) >> 58) as usize])
    }

    /// Enters a block. The answer is the one that had its address, if it was not removed; without
    /// memory for the new one that is the new one itself.
    pub(super) fn insert(&self, block: Block) -> Option<Block> {
        let mut part = self.part(block.domain, block.address);
        if part.count + 1 > part.size / 4 * 3 && !part.grow() {
            return Some(block);
        }
        let old = part.insert(block);
        if old.is_none() {
            self.count.fetch_add(1, Relaxed);
        }
        old
    }

    /// Takes a block out.
    pub(super) fn remove(&self, domain: u32, address: usize) -> Option<Block> {
        // ORDERING: Relaxed; who frees a block has it from whoever entered it, and sees that.
        if self.count.load(Relaxed) == 0 {
            return None;
        }
        let removed = self.part(domain, address).remove(domain, address);
        if removed.is_some() {
            self.count.fetch_sub(1, Relaxed);
        }
        removed
    }

    /// The block with this address.
    pub(super) fn get(&self, domain: u32, address: usize) -> Option<Block> {
        let part = self.part(domain, address);
        part.find(domain, address).map(|index| part.slot(index))
    }

    /// Calls `f` with every block, part by part. The thread is inside the recorder, so that
    /// nothing that `f` allocates comes back here, nor what a signal handler does.
    pub(super) fn each(&self, mut f: impl FnMut(Block)) {
        for part in &self.parts {
            let part = lock(part);
            (0..part.size)
                .map(|index| part.slot(index))
                .filter(|block| block.stack != 0)
                .for_each(&mut f);
        }
    }

    /// How many blocks there are, roughly.
    pub(super) fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// Forgets all blocks. Inside the recorder, for the same reason.
    pub(super) fn clear(&self) {
        for part in &self.parts {
            let mut part = lock(part);
            self.count.fetch_sub(part.count, Relaxed);
            part.free();
        }
    }

    /// Locks everything, for a fork.
    pub(super) fn lock_all(&self) -> [MutexGuard<'_, Part>; PARTS] {
        std::array::from_fn(|index| lock(&self.parts[index]))
    }
}

/// A guard for each part.
pub(super) type AllLocks = [MutexGuard<'static, Part>; PARTS];

fn lock(part: &Mutex<Part>) -> MutexGuard<'_, Part> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Part {
    fn slot(&self, index: usize) -> Block {
        debug_assert!(index < self.size);
        let slots = self.slots.unwrap_or(NonNull::dangling());
        // SAFETY: callers ask for slots of the table, which has them.
        let slot = unsafe { slots.add(index) };
        // SAFETY: as above; a slot of zeros is an empty one.
        unsafe { slot.read() }
    }

    fn set_slot(&mut self, index: usize, block: Block) {
        debug_assert!(index < self.size);
        let slots = self.slots.unwrap_or(NonNull::dangling());
        // SAFETY: callers ask for slots of the table, which has them.
        let slot = unsafe { slots.add(index) };
        // SAFETY: as above.
        unsafe { slot.write(block) };
    }

    fn home(&self, domain: u32, address: usize) -> usize {
        hash(domain, address) as usize & (self.size - 1)
    }

    /// Where a block is.
    fn find(&self, domain: u32, address: usize) -> Option<usize> {
        if self.count == 0 {
            return None;
        }
        let mut index = self.home(domain, address);
        loop {
            let block = self.slot(index);
            if block.stack == 0 {
                return None;
            }
            if block.address == address && block.domain == domain {
                return Some(index);
            }
            index = (index + 1) & (self.size - 1);
        }
    }

    fn insert(&mut self, block: Block) -> Option<Block> {
        if let Some(index) = self.find(block.domain, block.address) {
            let old = self.slot(index);
            self.set_slot(index, block);
            return Some(old);
        }
        let mut index = self.home(block.domain, block.address);
        while self.slot(index).stack != 0 {
            index = (index + 1) & (self.size - 1);
        }
        self.set_slot(index, block);
        self.count += 1;
        None
    }

    fn remove(&mut self, domain: u32, address: usize) -> Option<Block> {
        let mut hole = self.find(domain, address)?;
        let removed = self.slot(hole);
        let mut index = hole;
        loop {
            index = (index + 1) & (self.size - 1);
            let block = self.slot(index);
            if block.stack == 0 {
                break;
            }
            // It may move up if its home does not lie between the hole and itself.
            let home = self.home(block.domain, block.address);
            let distance = index.wrapping_sub(home) & (self.size - 1);
            if distance >= index.wrapping_sub(hole) & (self.size - 1) {
                self.set_slot(hole, block);
                hole = index;
            }
        }
        self.set_slot(
            hole,
            Block {
                stack: 0,
                ..removed
            },
        );
        self.count -= 1;
        Some(removed)
    }

    /// Moves to a table of twice the size; false if there is no memory for it.
    fn grow(&mut self) -> bool {
        let size = (self.size * 2).max(FIRST_SIZE);
        let Some(slots) = memory::map(size * size_of::<Block>()) else {
            return false;
        };
        memory::add_used(size * size_of::<Block>());
        let mut old = std::mem::replace(
            self,
            Self {
                slots: Some(slots.cast()),
                size,
                count: 0,
            },
        );
        for index in 0..old.size {
            let block = old.slot(index);
            if block.stack != 0 {
                self.insert(block);
            }
        }
        old.free();
        true
    }

    fn free(&mut self) {
        if let Some(slots) = self.slots.take() {
            let bytes = self.size * size_of::<Block>();
            memory::sub_used(bytes);
            // SAFETY: the table is nobody's any more.
            unsafe { memory::unmap(slots.cast(), bytes) };
        }
        (self.size, self.count) = (0, 0);
    }
}

fn hash(domain: u32, address: usize) -> u64 {
    let product =
        (address as u64 ^ u64::from(domain).rotate_left(48)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ (product >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn block(domain: u32, address: usize, size: usize) -> Block {
        Block {
            address,
            size,
            chance: 1.0,
            thread: 1,
            when_ns: 0,
            domain,
            stack: 7,
        }
    }

    #[test]
    fn it_finds_what_a_map_finds() {
        let live = Live::new();
        let mut model = HashMap::new();
        let mut random = 1_u64;
        for step in 0..200_000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let key = (random >> 33) as usize;
            let (domain, address) = (key as u32 & 1, (key >> 1) % 3000 * 4096);
            if random >> 63 == 0 {
                let old = live.insert(block(domain, address, step));
                let known = model.insert((domain, address), step);
                assert_eq!(old.map(|block| block.size), known);
            } else {
                let removed = live.remove(domain, address);
                assert_eq!(
                    removed.map(|block| block.size),
                    model.remove(&(domain, address))
                );
            }
        }
        assert_eq!(live.count(), model.len());
        let mut found = HashMap::new();
        live.each(|block| {
            found.insert((block.domain, block.address), block.size);
        });
        assert_eq!(found, model);
        for (&(domain, address), &size) in &model {
            assert_eq!(
                live.get(domain, address).map(|block| block.size),
                Some(size)
            );
        }
        live.clear();
        assert_eq!(live.count(), 0);
        assert!(live.get(0, 4096).is_none());
    }
}
