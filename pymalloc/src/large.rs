//! Large blocks: a mapping of its own for each, and a bounded cache of freed ones.
//!
//! ```text
//!  alloc ─▶ a cached mapping that fits ─┐                    free ─▶ cache ─▶ oldest out: munmap
//!        └▶ mmap ───────────────────────┴▶ entered in the map        (or munmap, if too large)
//!  realloc ─▶ mremap: pages move, bytes are not copied
//! ```
//! CPython hands these to `malloc`; a mapping each is what glibc does beyond its
//! threshold. Growing by `mremap` is why a `Vec` that doubles costs no copies.
//!
//! The block starts with its mapping. Mapped sizes are whole pages.
//!
//! # Invariants
//! 1. Every live large block is in the map with the size of its mapping, except
//!    while `realloc` moves it: then nobody else may use it, and nobody can be given
//!    an address in it, because it is still mapped.
//! 2. The cached bytes are at most the limit.

use core::alloc::Layout;
use core::ptr::{NonNull, null_mut};

use crate::large_map::{LargeMap, Node};
use crate::os;
use crate::sync::{Mutex, MutexGuard, lock};

/// Large blocks of all threads.
#[derive(Debug)]
pub(crate) struct Large(Mutex<State>);

/// What the lock guards.
#[derive(Debug)]
pub(crate) struct State {
    map: LargeMap,
    cache: Cache,
    pub(crate) count: usize,
    pub(crate) bytes: usize,
}

// SAFETY: the nodes are touched by whoever has the state, that is, by the lock.
unsafe impl Send for State {}

#[derive(Clone, Copy, Debug)]
struct Mapping {
    start: NonNull<u8>,
    size: usize,
}

impl Mapping {
    /// Gives it back to the system.
    ///
    /// Where the kernel refuses, because that would split a mapping and no more are
    /// allowed, the memory at least goes back; the addresses are lost.
    ///
    /// # Safety
    /// Nobody uses it.
    unsafe fn unmap(self) {
        // SAFETY: the caller's promise.
        if !unsafe { os::unmap(self.start, self.size) } {
            // SAFETY: as above.
            unsafe { os::discard(self.start.as_ptr(), self.size) };
        }
    }
}

impl Large {
    /// No blocks.
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(State {
            map: LargeMap::new(),
            cache: Cache::new(),
            count: 0,
            bytes: 0,
        }))
    }

    /// Locks it, for a fork and for statistics.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    /// A block; null if memory has run out. All zero if `zeroed`.
    pub(crate) fn alloc(&self, layout: Layout, zeroed: bool) -> *mut u8 {
        let Some(size) = mapped_size(layout.size()) else {
            return null_mut();
        };
        // A cached mapping holds old bytes, and any page of it may be out of line
        // with a larger alignment. To clear it costs what new pages cost.
        let reuse = !zeroed && layout.align() <= os::MIN_PAGE_SIZE;
        let cached = if reuse {
            self.lock().cache.take(size)
        } else {
            None
        };
        let mapping = cached.or_else(|| {
            let start = os::map_aligned(size, layout.align())?;
            Some(Mapping { start, size })
        });
        let Some(mapping) = mapping else {
            return null_mut();
        };
        if self.lock().enter(mapping) {
            mapping.start.as_ptr()
        } else {
            // SAFETY: nobody was told of it.
            unsafe { mapping.unmap() };
            null_mut()
        }
    }

    /// Frees a block.
    ///
    /// # Safety
    /// `block` is a live large block, the caller's.
    pub(crate) unsafe fn dealloc(&self, block: NonNull<u8>) {
        let mut state = self.lock();
        let Some(node) = state.map.remove(block.addr().get()) else {
            debug_assert!(false, "not a large block: {block:?}");
            return;
        };
        let mapping = Mapping {
            start: block,
            size: node.size(),
        };
        state.map.put_idle(node);
        state.count -= 1;
        state.bytes -= mapping.size;
        let mut excess = state.cache.put(mapping);
        while let Some(mapping) = excess {
            drop(state);
            // SAFETY: the cache gave it up, or did not want it.
            unsafe { mapping.unmap() };
            state = self.lock();
            excess = state.cache.take_excess();
        }
    }

    /// Makes a block `new_size` bytes long, at another address if need be; null, and
    /// the block unchanged, if memory has run out. The alignment must be no more than
    /// a page of any kernel.
    ///
    /// # Safety
    /// `block` is a live large block, the caller's.
    pub(crate) unsafe fn resize(&self, block: NonNull<u8>, new_size: usize) -> *mut u8 {
        let Some(size) = mapped_size(new_size) else {
            return null_mut();
        };
        let state = self.lock();
        let Some(node) = state.map.find(block.addr().get()) else {
            debug_assert!(false, "not a large block: {block:?}");
            return null_mut();
        };
        let old = node.size();
        if size <= old && old - size <= old / 8 {
            return block.as_ptr();
        }
        state.map.remove(block.addr().get());
        drop(state);
        // SAFETY: a block is one mapping; it is the caller's.
        let moved = unsafe { os::remap(block, old, size) };
        let (start, now) = moved.map_or((block, old), |start| (start, size));
        let mut state = self.lock();
        state.map.insert(node, start.addr().get(), now);
        state.bytes = state.bytes - old + now;
        moved.map_or(null_mut(), NonNull::as_ptr)
    }

    /// The size of the block that `addr` lies in.
    pub(crate) fn size_at(&self, addr: usize) -> Option<usize> {
        self.lock().map.find(addr).map(Node::size)
    }

    /// Gives the cached mappings back; how many bytes.
    pub(crate) fn trim(&self) -> usize {
        let mut given = 0;
        loop {
            let Some(mapping) = self.lock().cache.take_oldest() else {
                return given;
            };
            given += mapping.size;
            // SAFETY: the cache gave it up.
            unsafe { mapping.unmap() };
        }
    }
}

impl State {
    /// Enters a new block; false if there is no memory for its record.
    fn enter(&mut self, mapping: Mapping) -> bool {
        let Some(node) = self.map.node() else {
            return false;
        };
        let addr = mapping.start.addr().get();
        self.map.insert(node, addr, mapping.size);
        self.count += 1;
        self.bytes += mapping.size;
        true
    }

    /// Bytes of the freed mappings that are kept.
    pub(crate) fn cached_bytes(&self) -> usize {
        self.cache.bytes
    }

    /// Whether the map is in order and adds up; else where it is not.
    pub(crate) fn verify(&self) -> Result<(), usize> {
        let (mut end, mut bytes, mut count) = (0, 0, 0);
        while let Some((addr, size)) = self.map.first_from(end) {
            if size == 0 || !size.is_multiple_of(os::page_size()) {
                return Err(addr);
            }
            bytes += size;
            count += 1;
            end = addr + size;
        }
        if (bytes, count) == (self.bytes, self.count) {
            Ok(())
        } else {
            Err(end)
        }
    }

    /// Bytes mapped, and used, by the map's records.
    pub(crate) fn record_bytes(&self) -> (usize, usize) {
        (self.map.slab().mapped_bytes(), self.map.slab().used_bytes())
    }
}

/// Whole pages for `size` bytes; `None` beyond the address space.
fn mapped_size(size: usize) -> Option<usize> {
    size.checked_next_multiple_of(os::page_size())
}

/// Freed mappings, oldest first.
#[derive(Debug)]
struct Cache {
    entries: [Option<Mapping>; Cache::SLOTS],
    len: usize,
    bytes: usize,
}

impl Cache {
    const SLOTS: usize = 32;

    const fn new() -> Self {
        Self {
            entries: [None; Self::SLOTS],
            len: 0,
            bytes: 0,
        }
    }

    fn remove(&mut self, index: usize) -> Option<Mapping> {
        let kept = self.entries.get_mut(index..self.len)?;
        let mapping = kept.first_mut()?.take()?;
        kept.rotate_left(1);
        self.len -= 1;
        self.bytes -= mapping.size;
        Some(mapping)
    }

    /// The mapping that fits best: at most a quarter longer than need be.
    fn take(&mut self, size: usize) -> Option<Mapping> {
        let fits = |mapping: &Mapping| mapping.size >= size && mapping.size - size <= size / 4;
        let (index, _) = self
            .entries
            .iter()
            .enumerate()
            .filter_map(|(index, entry)| Some((index, (*entry)?)))
            .filter(|(_, mapping)| fits(mapping))
            .min_by_key(|(_, mapping)| mapping.size)?;
        self.remove(index)
    }

    /// Keeps a mapping; returns one that must go, this one if it is too large to be
    /// kept. More may have to go: `take_excess`.
    fn put(&mut self, mapping: Mapping) -> Option<Mapping> {
        let limit = crate::settings::large_cache_bytes();
        if mapping.size > limit {
            return Some(mapping);
        }
        let out = if self.len == Self::SLOTS {
            self.remove(0)
        } else {
            None
        };
        if let Some(slot) = self.entries.get_mut(self.len) {
            *slot = Some(mapping);
            self.len += 1;
            self.bytes += mapping.size;
        }
        out.or_else(|| self.take_excess())
    }

    /// The oldest mapping, while there are more bytes than may be kept.
    fn take_excess(&mut self) -> Option<Mapping> {
        if self.bytes > crate::settings::large_cache_bytes() {
            self.take_oldest()
        } else {
            None
        }
    }

    fn take_oldest(&mut self) -> Option<Mapping> {
        self.remove(0)
    }
}
