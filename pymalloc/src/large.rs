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
//! 1. Every live large block is in the map, and in the sums, with the size of its
//!    mapping, except while `resize` moves it: then nobody else may use it, and nobody
//!    can be given an address in it, because it is still mapped.
//! 2. The cached bytes are at most the limit, but while `dealloc` takes out what is too much.

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
    /// Bytes of the freed mappings that the kernel would not take.
    stuck_bytes: usize,
}

// SAFETY: the nodes are touched by whoever has the state, that is, by the lock.
unsafe impl Send for State {}

#[derive(Clone, Copy, Debug)]
struct Mapping {
    start: NonNull<u8>,
    size: usize,
}

impl Large {
    /// No blocks.
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(State {
            map: LargeMap::new(),
            cache: Cache::new(),
            count: 0,
            bytes: 0,
            stuck_bytes: 0,
        }))
    }

    /// Locks it, for a fork and for statistics.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    /// A block; null if memory has run out. All zero if `zeroed`.
    pub(crate) fn alloc(&self, layout: Layout, zeroed: bool) -> *mut u8 {
        let Some(size) = mapped_size(layout.size().max(1)) else {
            return null_mut();
        };
        // A cached mapping holds old bytes, and any page of it may be out of line
        // with a larger alignment. To clear it costs what new pages cost.
        let reuse = !zeroed && layout.align() <= os::MIN_PAGE_SIZE;
        if reuse && let Some(start) = self.alloc_cached(size) {
            return start.as_ptr();
        }
        // What is cached is given up before memory is said to have run out.
        let new = self.alloc_new(size, layout.align()).or_else(|| {
            if self.trim() == 0 {
                return None;
            }
            self.alloc_new(size, layout.align())
        });
        new.map_or(null_mut(), NonNull::as_ptr)
    }

    fn alloc_cached(&self, size: usize) -> Option<NonNull<u8>> {
        let mut state = self.lock();
        let node = state.map.node()?;
        let mapping = state.cache.take(size).or_else(|| state.take_stuck(size));
        match mapping {
            Some(mapping) => state.enter(node, mapping),
            None => state.map.put_idle(node),
        }
        Some(mapping?.start)
    }

    fn alloc_new(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
        let start = os::map_aligned(size, align)?;
        let mapping = Mapping { start, size };
        let mut state = self.lock();
        if let Some(node) = state.map.node() {
            state.enter(node, mapping);
            return Some(start);
        }
        drop(state);
        // SAFETY: nobody was told of it.
        unsafe { self.unmap(mapping) };
        None
    }

    /// Frees a block.
    ///
    /// # Safety
    /// `block` is a live large block, the caller's.
    pub(crate) unsafe fn dealloc(&self, block: NonNull<u8>) {
        let mut state = self.lock();
        let Some(node) = state.leave(block) else {
            debug_assert!(false, "not a large block: {block:?}");
            return;
        };
        let mapping = Mapping {
            start: block,
            size: node.size(),
        };
        state.map.put_idle(node);
        let mut excess = state.cache.put(mapping);
        while let Some(mapping) = excess {
            drop(state);
            // SAFETY: the cache gave it up, or did not want it.
            unsafe { self.unmap(mapping) };
            state = self.lock();
            excess = state.cache.take_excess();
        }
        let stuck = state.stuck_bytes > 0;
        drop(state);
        if stuck {
            self.unmap_stuck();
        }
    }

    /// Makes a block `new_size` bytes long by moving its pages, at another address if
    /// need be; null, and the block unchanged, if the kernel refuses: memory has run
    /// out, or the program has given parts of the block properties of their own
    /// (`mlock`, `madvise`). The alignment must be no more than a page of any kernel.
    ///
    /// # Safety
    /// `block` is a live large block, the caller's.
    pub(crate) unsafe fn resize(&self, block: NonNull<u8>, new_size: usize) -> *mut u8 {
        let Some(size) = mapped_size(new_size) else {
            return null_mut();
        };
        let mut state = self.lock();
        let Some(node) = state.map.find(block.addr().get()) else {
            debug_assert!(false, "not a large block: {block:?}");
            return null_mut();
        };
        let old = node.size();
        if size <= old && old - size <= old / 8 {
            return block.as_ptr();
        }
        state.leave(block);
        drop(state);
        // SAFETY: a block is a mapping; it is the caller's.
        let mut moved = unsafe { os::remap(block, old, size) };
        if moved.is_none() && size > old && self.trim() > 0 {
            // SAFETY: as above; a remap that fails changes nothing.
            moved = unsafe { os::remap(block, old, size) };
        }
        let now = moved.map_or(
            Mapping {
                start: block,
                size: old,
            },
            |start| Mapping { start, size },
        );
        self.lock().enter(node, now);
        match moved {
            Some(start) => start.as_ptr(),
            // Longer than it need be is no failure.
            None if size <= old => block.as_ptr(),
            None => null_mut(),
        }
    }

    /// The size of the block that starts at `addr`.
    pub(crate) fn size_from(&self, addr: usize) -> Option<usize> {
        let state = self.lock();
        let node = state.map.find(addr)?;
        (node.addr() == addr).then_some(node.size())
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
                break;
            };
            given += mapping.size;
            // SAFETY: the cache gave it up.
            unsafe { self.unmap(mapping) };
        }
        while self.unmap_stuck() {}
        given
    }

    /// Gives a mapping back to the system.
    ///
    /// Where the kernel refuses, because that would split a mapping and no more are
    /// allowed, its memory at least goes back, and its addresses are kept, to be used or
    /// offered again.
    ///
    /// # Safety
    /// Nobody uses it.
    unsafe fn unmap(&self, mapping: Mapping) {
        // SAFETY: the caller's promise.
        if unsafe { os::unmap(mapping.start, mapping.size) } {
            return;
        }
        // SAFETY: as above.
        unsafe { os::discard(mapping.start.as_ptr(), mapping.size) };
        let _ = mapping.start.expose_provenance();
        self.lock().put_stuck(mapping);
    }

    /// Offers one of the mappings that were refused again; whether it was taken.
    fn unmap_stuck(&self) -> bool {
        let Some(mapping) = self.lock().take_stuck(0) else {
            return false;
        };
        // SAFETY: nobody uses a stuck mapping.
        let taken = unsafe { os::unmap(mapping.start, mapping.size) };
        if !taken {
            self.lock().put_stuck(mapping);
        }
        taken
    }
}

impl State {
    /// Enters a block, by a node that is in no map.
    fn enter(&mut self, node: &'static Node, mapping: Mapping) {
        self.map
            .insert(node, mapping.start.addr().get(), mapping.size);
        self.count += 1;
        self.bytes += mapping.size;
    }

    /// Takes a block out; its node is in no map then.
    fn leave(&mut self, block: NonNull<u8>) -> Option<&'static Node> {
        let node = self.map.remove(block.addr().get())?;
        self.count -= 1;
        self.bytes -= node.size();
        Some(node)
    }

    /// Keeps a mapping that the kernel would not take. (Without memory for a record
    /// its addresses are lost.)
    fn put_stuck(&mut self, mapping: Mapping) {
        if let Some(node) = self.map.node() {
            self.map
                .put_stuck(node, mapping.start.addr().get(), mapping.size);
            self.stuck_bytes += mapping.size;
        }
    }

    /// The mapping refused last, if it has `size` bytes or not many more; any, for 0.
    fn take_stuck(&mut self, size: usize) -> Option<Mapping> {
        let (addr, found) = self.map.last_stuck()?;
        if size > 0 && !fits(found, size) {
            return None;
        }
        let start = NonNull::new(core::ptr::with_exposed_provenance_mut(addr))?;
        self.map.drop_stuck();
        self.stuck_bytes -= found;
        Some(Mapping { start, size: found })
    }

    /// Bytes of the freed mappings that are kept only because the kernel refused them.
    pub(crate) fn stuck_bytes(&self) -> usize {
        self.stuck_bytes
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

/// Whether a mapping of `found` bytes serves for `size`: at most a quarter longer.
fn fits(found: usize, size: usize) -> bool {
    found >= size && found - size <= size / 4
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

    /// The mapping that fits best.
    fn take(&mut self, size: usize) -> Option<Mapping> {
        let (index, _) = self
            .entries
            .iter()
            .enumerate()
            .filter_map(|(index, entry)| Some((index, (*entry)?)))
            .filter(|(_, mapping)| fits(mapping.size, size))
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
