//! Where the objects of a thread live.
//!
//! Objects lie in pools of blocks of their size class. A new object takes the
//! next free block of the class's current word, 64 blocks side by side; a dead
//! one gives its block back to its pool:
//!
//! ```text
//!  Gc::new --> class.free: a one for each free block of the word
//!                  | none left
//!                  v
//!              class.usable: pools with free blocks
//!                  | none
//!                  v
//!              a spare pool, or a new one from the allocator
//! ```
//!
//! A pool leaves the list when it is full, comes back to its front with the
//! first free, and goes to the spare ones when it is empty. Objects that suit
//! no class are in `lone.rs`. A global allocator must not make objects: it
//! would be called from here.
//!
//! # Invariants
//!
//! 1. `free` holds only blocks of the word at `base`, in a listed pool, whose
//!    `used` has ones for them. While it is 0, `base` may be of a pool long gone.
//! 2. `tracked` holds each tracked pool once, at its `place_in_heap`. It is
//!    borrowed for one expression.
//! 3. After `close` nothing is kept: no word and no spare pool, and objects that
//!    are made still are alone.
//!
//! Source: CPython 3.11 `Objects/obmalloc.c`: `usedpools`,
//! `allocate_from_new_pool`, `insert_to_freepool`.

use std::alloc::{Layout, handle_alloc_error};
use std::cell::{Cell, RefCell};
use std::ptr::{self, NonNull};

use crate::header::{ALONE, Header, TRACKED};
use crate::lone::Lone;
use crate::pool::{Kind, MIN_BLOCK_BYTES, Pool};
use crate::state;

/// The block sizes: each multiple of 16 up to 512, then four in each doubling.
const SIZES: [usize; CLASS_COUNT] = {
    let mut sizes = [0; CLASS_COUNT];
    let mut bytes = MIN_BLOCK_BYTES;
    let mut class = 0;
    while class < CLASS_COUNT {
        sizes[class] = bytes;
        bytes += if bytes < 512 {
            16
        } else {
            1 << (bytes.ilog2() - 2)
        };
        class += 1;
    }
    sizes
};

const CLASS_COUNT: usize = 42;
const MAX_BLOCK_BYTES: usize = SIZES[CLASS_COUNT - 1];
const GRAIN: usize = 16;

/// The class of a size in grains.
const CLASSES: [u8; MAX_BLOCK_BYTES / GRAIN + 1] = {
    let mut classes = [0; MAX_BLOCK_BYTES / GRAIN + 1];
    let mut class = 0;
    let mut grains = 0;
    while grains < classes.len() {
        if SIZES[class] < grains * GRAIN {
            class += 1;
        }
        #[allow(clippy::cast_possible_truncation, reason = "there are few classes")]
        {
            classes[grains] = class as u8;
        }
        grains += 1;
    }
    classes
};

/// Empty pools that a thread keeps.
const SPARE_LIMIT: usize = 16;

/// Blocks of up to this alignment are in pools: all sizes above 512 are
/// multiples of it, and those below are what was asked for.
const MAX_ALIGN: usize = 128;

/// Every object is alone, so that a memory checker sees each.
const ALL_ALONE: bool = cfg!(cyclegc_alone);

pub(crate) struct Heap {
    classes: [[Class; CLASS_COUNT]; Kind::COUNT],
    tracked: RefCell<Vec<NonNull<Pool>>>,
    lone: Lone,
    spare: [Cell<Option<NonNull<Pool>>>; SPARE_LIMIT],
    spare_count: Cell<usize>,
    closed: Cell<bool>,
}

/// Where the header of a new object lies.
#[repr(C)]
pub(crate) struct Place {
    pub(crate) header: NonNull<Header>,
    /// `ALONE`, or none.
    pub(crate) flags: u32,
}

struct Class {
    /// Blocks of the current word that are free.
    free: Cell<u64>,
    /// The first block of that word.
    base: Cell<*mut u8>,
    /// Pools with free blocks.
    usable: Cell<Option<NonNull<Pool>>>,
}

/// The pools for blocks of this layout with the header `prefix_bytes` in them;
/// `None` if each such object is alone.
#[inline(always)]
const fn class_of(block: Layout, prefix_bytes: usize, tracked: bool) -> Option<(Kind, usize)> {
    let kind = match (tracked, prefix_bytes) {
        (false, _) => Kind::Untracked,
        (true, 8) => Kind::Tracked,
        (true, 16) => Kind::TrackedWide,
        (true, _) => return None,
    };
    if ALL_ALONE || block.size() > MAX_BLOCK_BYTES || block.align() > MAX_ALIGN {
        return None;
    }
    Some((kind, CLASSES[block.size().div_ceil(GRAIN)] as usize))
}

impl Class {
    const fn new() -> Self {
        Class {
            free: Cell::new(0),
            base: Cell::new(ptr::null_mut()),
            usable: Cell::new(None),
        }
    }

    /// The next free block of the current word.
    #[inline(always)]
    fn take(&self, block_bytes: usize) -> Option<NonNull<u8>> {
        let free = self.free.get();
        if free == 0 {
            return None;
        }
        self.free.set(free & (free - 1));
        let offset = free.trailing_zeros() as usize * block_bytes;
        // SAFETY: invariant 1: the block lies in the pool.
        let block = unsafe { self.base.get().add(offset) };
        // SAFETY: a block is not at address 0.
        Some(unsafe { NonNull::new_unchecked(block) })
    }

    /// Gives the free blocks of the current word back.
    fn put_back_word(&self) {
        let (free, base) = (self.free.replace(0), self.base.replace(ptr::null_mut()));
        if free == 0 {
            return;
        }
        // SAFETY: invariant 1: the word's pool is there.
        let pool = unsafe { Pool::around(base) };
        // SAFETY: as above.
        unsafe { pool.as_ref() }.give_back(base, free);
    }

    /// Puts a pool at the front of the list.
    fn list(&self, pool: NonNull<Pool>) {
        let head = self.usable.replace(Some(pool));
        // SAFETY: the caller's pool is there.
        let this = unsafe { pool.as_ref() };
        if let Some(next) = head {
            // SAFETY: listed pools are there.
            unsafe { next.as_ref() }.previous.set(Some(pool));
        }
        this.previous.set(None);
        this.next.set(head);
        this.listed.set(true);
        // INVARIANT: 4 of `pool.rs`.
        this.set_countdown(this.used_count());
    }

    fn unlist(&self, pool: &Pool) {
        let (previous, next) = (pool.previous.take(), pool.next.take());
        match previous {
            // SAFETY: listed pools are there.
            Some(previous) => unsafe { previous.as_ref() }.next.set(next),
            None => self.usable.set(next),
        }
        if let Some(next) = next {
            // SAFETY: listed pools are there.
            unsafe { next.as_ref() }.previous.set(previous);
        }
        pool.listed.set(false);
        // INVARIANT: 4 of `pool.rs`.
        pool.set_countdown(1);
    }
}

impl Heap {
    pub(crate) const fn new() -> Self {
        Heap {
            classes: [const { [const { Class::new() }; CLASS_COUNT] }; Kind::COUNT],
            tracked: RefCell::new(Vec::new()),
            lone: Lone::new(),
            spare: [const { Cell::new(None) }; SPARE_LIMIT],
            spare_count: Cell::new(0),
            closed: Cell::new(false),
        }
    }

    /// A block for a new object.
    ///
    /// An allocation that fails goes to `handle_alloc_error`, as `Rc`'s does.
    #[inline(always)]
    pub(crate) fn allocate(&self, block: Layout, prefix_bytes: usize, tracked: bool) -> Place {
        let taken = class_of(block, prefix_bytes, tracked)
            .and_then(|(kind, class)| self.classes[kind as usize][class].take(SIZES[class]));
        match taken {
            Some(start) => Place {
                // SAFETY: the header lies in the block.
                header: unsafe { start.add(prefix_bytes) }.cast(),
                flags: 0,
            },
            None => slow_allocate(block.size(), block.align(), prefix_bytes, tracked),
        }
    }

    /// As `allocate`; `None` if there is no memory.
    fn allocate_slowly(&self, block: Layout, prefix_bytes: usize, tracked: bool) -> Option<Place> {
        match class_of(block, prefix_bytes, tracked) {
            Some((kind, class)) if !self.closed.get() => {
                let start = self.take_from_pool(kind, class)?;
                // SAFETY: the header lies in the block.
                let header = unsafe { start.add(prefix_bytes) }.cast();
                Some(Place { header, flags: 0 })
            }
            _ => {
                let header = self.lone.allocate(block, prefix_bytes, tracked)?;
                // INVARIANT: 1 of `lone.rs`.
                let flags = ALONE;
                Some(Place { header, flags })
            }
        }
    }

    /// Goes on to another word of free blocks, and takes the first.
    fn take_from_pool(&self, kind: Kind, class: usize) -> Option<NonNull<u8>> {
        let this = &self.classes[kind as usize][class];
        loop {
            let pool = this.usable.get().or_else(|| self.add_pool(kind, class))?;
            // SAFETY: listed pools are there.
            let pool_ref = unsafe { pool.as_ref() };
            let Some((word, free)) = pool_ref.take_word() else {
                this.unlist(pool_ref);
                continue;
            };
            // INVARIANT: 1.
            this.free.set(free);
            // SAFETY: the pool is listed, and has the word.
            let base = unsafe { Pool::word_start(pool, word) };
            this.base.set(base.as_ptr());
            return this.take(SIZES[class]);
        }
    }

    /// An empty pool at the front of its class; `None` without memory.
    fn add_pool(&self, kind: Kind, class: usize) -> Option<NonNull<Pool>> {
        let kept = self.spare_count.get().checked_sub(1).and_then(|last| {
            self.spare_count.set(last);
            self.spare[last].take()
        });
        #[allow(clippy::cast_possible_truncation, reason = "both are small")]
        let pool = Pool::new(kept, SIZES[class] as u32, kind, class as u8)?;
        if kind.is_tracked() {
            let mut tracked = self.tracked.borrow_mut();
            // INVARIANT: 2.
            // SAFETY: the pool is there.
            unsafe { pool.as_ref() }.place_in_heap.set(tracked.len());
            tracked.push(pool);
        }
        self.classes[kind as usize][class].list(pool);
        Some(pool)
    }

    /// Gives the block of an object that is not `ALONE` back.
    ///
    /// # Safety
    ///
    /// The object was allocated here, and nothing uses it any more.
    #[inline]
    pub(crate) unsafe fn free(&self, object: NonNull<Header>) {
        // SAFETY: the caller's object is allocated.
        let pool = unsafe { Pool::of(object) };
        // SAFETY: and so its pool is there.
        if unsafe { pool.as_ref() }.free_block(object) {
            self.countdown_ended(pool);
        }
    }

    /// Gives the block of any object back.
    ///
    /// # Safety
    ///
    /// As for [`Self::free`].
    pub(crate) unsafe fn free_any(&self, object: NonNull<Header>) {
        // SAFETY: the caller's object is allocated.
        let header = unsafe { object.as_ref() };
        if !header.has(ALONE) {
            // SAFETY: the caller's.
            unsafe { self.free(object) };
            return;
        }
        let layout = header.vtable().layout;
        // SAFETY: the caller's object is allocated.
        let (block, prefix_bytes) = unsafe { layout(object) };
        // SAFETY: it was allocated so.
        unsafe {
            self.lone
                .free(object, block, prefix_bytes, header.has(TRACKED))
        };
        if self.closed.get() {
            self.lone.trim();
        }
    }

    /// Appends the tracked objects in no particular order, those included
    /// whose value is dropped but whose block is still held.
    pub(crate) fn objects(&self, objects: &mut Vec<NonNull<Header>>) {
        for pool in self.tracked.borrow().iter() {
            // SAFETY: invariant 2: it is there.
            let this = unsafe { pool.as_ref() };
            let class = &self.classes[this.kind() as usize][this.class()];
            objects.extend(this.objects(class.base.get(), class.free.get()));
        }
        self.lone.objects(objects);
    }

    /// The thread ends: gives back what is kept for objects to come.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        for class in self.classes.iter().flatten() {
            class.put_back_word();
            let mut next = class.usable.get();
            while let Some(pool) = next {
                // SAFETY: listed pools are there.
                let this = unsafe { pool.as_ref() };
                next = this.next.get();
                if this.used_count() == 0 {
                    self.countdown_ended(pool);
                }
            }
        }
        for spare in &self.spare[..self.spare_count.replace(0)] {
            if let Some(spare) = spare.take() {
                // SAFETY: nothing uses a spare pool.
                unsafe { Pool::free(spare) };
            }
        }
        self.lone.trim();
        let mut tracked = self.tracked.borrow_mut();
        if tracked.is_empty() {
            *tracked = Vec::new();
        }
    }

    /// A pool that was full is not any more, or one has become empty.
    #[cold]
    #[inline(never)]
    fn countdown_ended(&self, pool: NonNull<Pool>) {
        // SAFETY: the caller's pool is there.
        let this = unsafe { pool.as_ref() };
        let class = &self.classes[this.kind() as usize][this.class()];
        if this.listed.get() {
            // The class's only pool waits there: it is soon wanted again.
            if class.usable.get() == Some(pool) && this.next.get().is_none() && !self.closed.get() {
                return;
            }
            class.unlist(this);
        } else if this.used_count() != 0 {
            class.list(pool);
            return;
        }
        self.release(pool);
    }

    /// Keeps an empty pool, or gives it back to the allocator.
    fn release(&self, pool: NonNull<Pool>) {
        // SAFETY: the caller's pool is there.
        let this = unsafe { pool.as_ref() };
        if this.kind().is_tracked() {
            let mut tracked = self.tracked.borrow_mut();
            let place = this.place_in_heap.get();
            tracked.swap_remove(place);
            if let Some(moved) = tracked.get(place) {
                // INVARIANT: 2.
                // SAFETY: invariant 2: it is there.
                unsafe { moved.as_ref() }.place_in_heap.set(place);
            }
            if self.closed.get() && tracked.is_empty() {
                *tracked = Vec::new();
            }
        }
        let spare_count = self.spare_count.get();
        if self.closed.get() || spare_count == SPARE_LIMIT {
            // SAFETY: no block of it is in use, and no list holds it.
            unsafe { Pool::free(pool) };
        } else {
            self.spare[spare_count].set(Some(pool));
            self.spare_count.set(spare_count + 1);
        }
    }
}

/// What [`Heap::allocate`] does when no block is at hand.
///
/// `extern "C"` because it does not unwind: so `Gc::new` can write its value
/// straight into the block.
#[cold]
#[inline(never)]
extern "C" fn slow_allocate(
    size: usize,
    align: usize,
    prefix_bytes: usize,
    tracked: bool,
) -> Place {
    // SAFETY: the one caller took them from a layout.
    let block = unsafe { Layout::from_size_align_unchecked(size, align) };
    let place = state::with(|state| {
        state.open();
        state.heap.allocate_slowly(block, prefix_bytes, tracked)
    });
    place.unwrap_or_else(|| handle_alloc_error(block))
}

#[cfg(all(test, not(cyclegc_alone)))]
mod tests {
    use super::*;
    use crate::pool::POOL_BYTES;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    /// A heap that gives all back, whatever the test does.
    struct Closing(Heap);

    impl Drop for Closing {
        fn drop(&mut self) {
            self.0.close();
            if !std::thread::panicking() {
                assert!(self.0.tracked.borrow().is_empty(), "a pool is left");
            }
        }
    }

    fn heap() -> Closing {
        Closing(Heap::new())
    }

    /// As `Heap::allocate`, which goes to the thread's heap when it is slow.
    fn allocate(heap: &Heap, block: Layout, prefix_bytes: usize) -> NonNull<Header> {
        let (kind, class) = class_of(block, prefix_bytes, true).unwrap();
        match heap.classes[kind as usize][class].take(SIZES[class]) {
            // SAFETY: the header lies in the block.
            Some(start) => unsafe { start.add(prefix_bytes) }.cast(),
            None => {
                heap.allocate_slowly(block, prefix_bytes, true)
                    .unwrap()
                    .header
            }
        }
    }

    fn free(heap: &Heap, objects: impl IntoIterator<Item = NonNull<Header>>) {
        for object in objects {
            // SAFETY: the test allocated it and uses it no more.
            unsafe { heap.free(object) };
        }
    }

    fn listed(heap: &Heap) -> Vec<usize> {
        let mut objects = Vec::new();
        heap.objects(&mut objects);
        let mut addresses: Vec<usize> = objects.iter().map(|object| object.addr().get()).collect();
        addresses.sort_unstable();
        addresses
    }

    fn sorted(objects: &[NonNull<Header>]) -> Vec<usize> {
        let mut addresses: Vec<usize> = objects.iter().map(|object| object.addr().get()).collect();
        addresses.sort_unstable();
        addresses
    }

    #[test]
    fn blocks_of_every_size_are_apart_and_found_again() {
        let heap = heap();
        for size in (32..=MAX_BLOCK_BYTES).step_by(48) {
            for (prefix_bytes, align) in [(8, 8), (16, 8), (16, 16)] {
                let count = 3 * POOL_BYTES / size + 3;
                let objects: Vec<_> = (0..count)
                    .map(|_| {
                        allocate(
                            &heap.0,
                            layout(size.next_multiple_of(align), align),
                            prefix_bytes,
                        )
                    })
                    .collect();
                let addresses = sorted(&objects);
                assert!(
                    addresses.windows(2).all(|pair| pair[0] + size <= pair[1]),
                    "{size}"
                );
                assert!(addresses.iter().all(|at| (at - prefix_bytes) % align == 0));
                assert_eq!(listed(&heap.0), addresses, "{size}");
                for object in &objects {
                    // SAFETY: the block is ours.
                    let block = unsafe { object.cast::<u8>().sub(prefix_bytes) };
                    // SAFETY: its bytes are ours, so nothing of the heap's is there.
                    unsafe { block.write_bytes(0xA5, size) };
                }
                assert_eq!(listed(&heap.0), addresses, "{size}");
                free(&heap.0, objects);
                assert_eq!(listed(&heap.0), []);
            }
        }
    }

    #[test]
    fn a_freed_block_is_used_again_before_a_new_pool() {
        let heap = heap();
        let block = layout(64, 8);
        let mut objects: Vec<_> = (0..5_000).map(|_| allocate(&heap.0, block, 8)).collect();
        let pools = heap.0.tracked.borrow().len();
        for round in 0..50 {
            let (kept, freed): (Vec<_>, Vec<_>) = objects
                .iter()
                .enumerate()
                .partition(|(at, _)| at % 7 != round % 7);
            let freed: Vec<_> = freed.into_iter().map(|(_, object)| *object).collect();
            let count = freed.len();
            free(&heap.0, freed);
            objects = kept.into_iter().map(|(_, object)| *object).collect();
            objects.extend((0..count).map(|_| allocate(&heap.0, block, 8)));
            assert_eq!(listed(&heap.0), sorted(&objects));
        }
        assert_eq!(heap.0.tracked.borrow().len(), pools);
        free(&heap.0, objects);
    }

    #[test]
    fn empty_pools_go_back_but_for_a_few() {
        let heap = heap();
        let objects: Vec<_> = (0..50_000)
            .map(|_| allocate(&heap.0, layout(64, 8), 8))
            .collect();
        assert!(heap.0.tracked.borrow().len() > 2 * SPARE_LIMIT);
        free(&heap.0, objects);
        // The one with the current word is kept too.
        assert!(heap.0.tracked.borrow().len() <= 1);
        assert_eq!(heap.0.spare_count.get(), SPARE_LIMIT);
    }

    #[test]
    fn blocks_of_every_alignment_that_pools_serve_are_aligned() {
        let heap = Heap::new();
        for align in [8, 16, 32, 64, 128] {
            for size in (align..=MAX_BLOCK_BYTES).step_by(align) {
                let (kind, class) = class_of(layout(size, align), 0, false).unwrap();
                assert_eq!(SIZES[class] % align, 0, "{size} aligned to {align}");
                let block = heap.take_from_pool(kind, class).unwrap();
                assert_eq!(block.addr().get() % align, 0);
                free(&heap, [block.cast()]);
            }
        }
        heap.close();
    }

    #[test]
    fn a_closed_heap_keeps_nothing() {
        let heap = heap();
        let before: Vec<_> = (0..1_000)
            .map(|_| allocate(&heap.0, layout(48, 8), 8))
            .collect();
        heap.0.close();
        let place = heap.0.allocate_slowly(layout(48, 8), 8, true).unwrap();
        assert_eq!(place.flags, ALONE);
        // SAFETY: it was allocated so.
        unsafe { heap.0.lone.free(place.header, layout(48, 8), 8, true) };
        free(&heap.0, before);
        assert_eq!(heap.0.tracked.borrow().capacity(), 0);
    }
}
