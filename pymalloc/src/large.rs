//! Large blocks: whole pages for each, and a bounded cache of freed ones.
//!
//! ```text
//!  alloc ──▶ cut from a cached span ─┐        free, shrink ─▶ cache ─▶ oldest out: munmap
//!         └▶ mmap ───────────────────┴▶ entered in the map
//!  realloc ─▶ 1 into the cached span behind it: nothing moves
//!             2 to a cached span that has room: bytes are copied
//!             3 mremap: pages move, bytes are not copied
//! ```
//! CPython hands these to `malloc`; a mapping each is what glibc does beyond its
//! threshold. A page fault costs more than to copy a page, so growth goes where pages
//! are resident (`large_cache.rs`); where there are none, `mremap` is why a `Vec` that
//! doubles costs no copies.
//!
//! A block that grows to [`HUGE_MIN`] is being filled: it gets huge pages from then on.
//! Others do not, since a table that is touched here and there would be resident whole.
//!
//! # Invariants
//! 1. Every live large block is in the map, and in the sums, with the size of its
//!    pages, except while `resize` moves it: then nobody else may use it, and nobody
//!    can be given an address in it, because it is still mapped.
//! 2. The cached bytes are at most the limit, but while `keep` takes out what is too much.
//! 3. No cached span lies in a block.

use core::alloc::Layout;
use core::ptr::{NonNull, null_mut};

use crate::large_cache::{Cache, Mapping};
use crate::large_map::{LargeMap, Node};
use crate::os;
use crate::sync::{Mutex, MutexGuard, lock};

/// Zeroed blocks of up to this many bytes come from the cache too, and are cleared.
const CLEAR_MAX: usize = 1 << 20;

/// Growth up to this many bytes is by a copy, where the cache has room for it: new
/// pages cost more.
const COPY_MAX: usize = 4 << 20;

/// A block that grows to this many bytes gets huge pages. Half of it or more is in use
/// then, so the unused rest of the last huge page is small beside it.
const HUGE_MIN: usize = 4 << 20;

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
    /// The most bytes that were in use when any were mapped.
    peak_bytes: usize,
    /// Bytes of the freed mappings that the kernel would not take.
    stuck_bytes: usize,
    /// Pages were given back, ...
    gave_back: bool,
    /// ... and the system was asked for pages since.
    asked_again: bool,
}

// SAFETY: the nodes are touched by whoever has the state, that is, by the lock.
unsafe impl Send for State {}

impl Large {
    /// No blocks.
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(State {
            map: LargeMap::new(),
            cache: Cache::new(),
            count: 0,
            bytes: 0,
            peak_bytes: 0,
            stuck_bytes: 0,
            gave_back: false,
            asked_again: false,
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
        // Any page of a cached span may be out of line with a larger alignment. To
        // clear one costs less than to have the kernel clear pages, one by one.
        let reuse = layout.align() <= os::MIN_PAGE_SIZE && (!zeroed || size <= CLEAR_MAX);
        if reuse && let Some(start) = self.alloc_cached(size) {
            if zeroed {
                // SAFETY: the block is new, and nobody else's.
                unsafe { start.write_bytes(0, size) };
            }
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
        self.lock().take_cached(size)
    }

    fn alloc_new(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
        self.make_way(size);
        let start = os::map_aligned(size, align)?;
        let mapping = Mapping { start, size };
        let mut state = self.lock();
        state.asked_again |= state.gave_back;
        if let Some(node) = state.map.node() {
            state.enter_mapped(node, mapping);
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
            drop(state);
            report_invalid(block);
        };
        let mapping = Mapping {
            start: block,
            size: node.size(),
        };
        state.map.put_idle(node);
        self.keep(state, mapping);
    }

    /// Puts pages that nobody uses into the cache; what is too much goes back. Of more
    /// than the limit the front is kept, if the program has ever wanted pages again: else
    /// it may have been the last that it frees.
    fn keep<'a>(&'a self, mut state: MutexGuard<'a, State>, mapping: Mapping) {
        let limit = crate::settings::large_cache_bytes();
        let mut excess = if mapping.size > limit && !state.asked_again {
            Some(mapping)
        } else {
            state.cache.put(mapping);
            state.cache.take_excess(limit, os::page_size())
        };
        while let Some(mapping) = excess {
            state.gave_back = true;
            drop(state);
            // SAFETY: the cache gave it up, or never had it.
            unsafe { self.unmap(mapping) };
            state = self.lock();
            excess = state.cache.take_excess(limit, os::page_size());
        }
        let stuck = state.stuck_bytes > 0;
        drop(state);
        if stuck {
            self.unmap_stuck();
        }
    }

    /// Before `size` more bytes are mapped: what is cached, and did not serve, goes back as
    /// far as more is in use than ever was. Memory that grows does not carry its cache
    /// along; memory that breathes finds it as it was.
    fn make_way(&self, size: usize) {
        let state = self.lock();
        let wanted = state.bytes.saturating_add(size);
        let growth = wanted.saturating_sub(state.peak_bytes);
        if growth > 0 {
            self.shrink_cache(state, growth);
        }
    }

    /// As `make_way`, for `size` bytes that the arenas never had before.
    pub(crate) fn make_way_for_arenas(&self, size: usize) {
        self.shrink_cache(self.lock(), size);
    }

    /// Gives `size` bytes of the cache back, or all of it.
    fn shrink_cache<'a>(&'a self, mut state: MutexGuard<'a, State>, size: usize) {
        let limit = state.cache.bytes().saturating_sub(size);
        while let Some(mapping) = state.cache.take_excess(limit, os::page_size()) {
            drop(state);
            // SAFETY: the cache gave it up.
            unsafe { self.unmap(mapping) };
            state = self.lock();
        }
    }

    /// Makes a block `new_size` bytes long: in place if the cache has what lies behind
    /// it, by a copy into a cached span, or else by moving its pages. Null, and the block
    /// unchanged, if the kernel refuses: memory has run out, or the program has given
    /// parts of the block properties of their own (`mlock`, `madvise`). The alignment
    /// must be no more than a page of any kernel.
    ///
    /// # Safety
    /// `block` is a live large block, the caller's.
    pub(crate) unsafe fn resize(&self, block: NonNull<u8>, new_size: usize) -> *mut u8 {
        let Some(size) = mapped_size(new_size) else {
            return null_mut();
        };
        let mut state = self.lock();
        let addr = block.addr().get();
        let Some(node) = state.map.find(addr).filter(|node| node.addr() == addr) else {
            drop(state);
            report_invalid(block);
        };
        let old = node.size();
        if size <= old {
            if old - size > old / 8 {
                state.set_size(node, size);
                // SAFETY: within the block.
                let rest = unsafe { block.add(size) };
                let rest = Mapping {
                    start: rest,
                    size: old - size,
                };
                self.keep(state, rest);
            }
            return block.as_ptr();
        }
        if state.cache.take_at(addr + old, size - old) {
            state.set_size(node, size);
            return block.as_ptr();
        }
        if size <= COPY_MAX
            && let Some(new) = state.take_cached(size)
        {
            drop(state);
            // SAFETY: the new block is nobody else's, and longer.
            unsafe { new.copy_from_nonoverlapping(block, old) };
            // SAFETY: the caller's block, whose contents have moved.
            unsafe { self.dealloc(block) };
            return new.as_ptr();
        }
        state.leave(block);
        drop(state);
        self.make_way(size);
        // SAFETY: whole pages of ours, the caller's.
        let mut moved = unsafe { os::remap(block, old, size) };
        if moved.is_none() && self.trim() > 0 {
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
        self.lock().enter_mapped(node, now);
        if let Some(start) = moved
            && size >= HUGE_MIN
            && old < HUGE_MIN
        {
            // SAFETY: the block, just moved.
            unsafe { os::use_huge_pages(start, size) };
        }
        moved.map_or(null_mut(), NonNull::as_ptr)
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

    /// The block that `addr` lies in: where it starts, and its size.
    pub(crate) fn block_at(&self, addr: usize) -> Option<(usize, usize)> {
        let state = self.lock();
        let node = state.map.find(addr)?;
        Some((node.addr(), node.size()))
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

/// The end of a process that frees or resizes a large block that is none: it costs nothing
/// to notice, and to go on would leave the program's idea of its memory wrong.
#[cold]
#[inline(never)]
#[cfg(not(miri))]
fn report_invalid(block: NonNull<u8>) -> ! {
    use crate::report::{Misuse, Report};

    let what = format_args!("no large block starts there: freed before, or never allocated");
    let mut report = Report::new(Misuse::InvalidFree, block.addr().get(), what);
    report.bytes_around(block.addr().get());
    report.abort()
}

/// Under Miri nothing comes here.
#[cfg(miri)]
fn report_invalid(_: NonNull<u8>) -> ! {
    std::process::abort()
}

impl State {
    /// A block of at least `size` bytes without a request to the system.
    fn take_cached(&mut self, size: usize) -> Option<NonNull<u8>> {
        let node = self.map.node()?;
        let mapping = self.cache.take(size).or_else(|| self.take_stuck(size));
        match mapping {
            Some(mapping) => self.enter(node, mapping),
            None => self.map.put_idle(node),
        }
        Some(mapping?.start)
    }

    fn set_size(&mut self, node: &Node, size: usize) {
        self.bytes = self.bytes - node.size() + size;
        node.set_size(size);
    }

    /// Enters a block, by a node that is in no map.
    fn enter(&mut self, node: &'static Node, mapping: Mapping) {
        self.map
            .insert(node, mapping.start.addr().get(), mapping.size);
        self.count += 1;
        self.bytes += mapping.size;
    }

    /// The same for one that may be what more is in use by than ever was. Not before it is
    /// mapped: a request that cannot be met is no use.
    fn enter_mapped(&mut self, node: &'static Node, mapping: Mapping) {
        self.enter(node, mapping);
        self.peak_bytes = self.peak_bytes.max(self.bytes);
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
        let mapping = Mapping::at(addr, found)?;
        self.map.drop_stuck();
        self.stuck_bytes -= found;
        Some(mapping)
    }

    /// Bytes of the freed mappings that are kept only because the kernel refused them.
    pub(crate) fn stuck_bytes(&self) -> usize {
        self.stuck_bytes
    }

    /// Bytes of the freed mappings that are kept.
    pub(crate) fn cached_bytes(&self) -> usize {
        self.cache.bytes()
    }

    /// Whether the map is in order and adds up, and the cache lies apart; else where not.
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
        for (addr, size) in self.cache.spans() {
            let next = self
                .map
                .first_from(addr)
                .map_or(usize::MAX, |(next, _)| next);
            if self.map.find(addr).is_some() || next < addr + size {
                return Err(addr);
            }
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
