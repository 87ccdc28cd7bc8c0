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
//! first free, and goes to the spare ones when it is empty.
//!
//! # Invariants
//!
//! 1. `free` holds only blocks of the word at `base`, in a listed pool, whose
//!    `used` has ones for them.
//! 2. `tracked` holds each tracked pool once, at its `place_in_heap`. It is
//!    borrowed for one expression.
//! 3. After `close` nothing is kept: no word, no spare pool, and objects that
//!    are made still have pools of their own.
//!
//! Source: CPython 3.11 `Objects/obmalloc.c`: `usedpools`,
//! `allocate_from_new_pool`, `insert_to_freepool`.

use std::alloc::{Layout, handle_alloc_error};
use std::cell::{Cell, RefCell};
use std::ptr::{self, NonNull};

use crate::header::Header;
use crate::pool::{Kind, MIN_BLOCK_BYTES, POOL_BYTES, Pool, Shape};
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

const SHAPES: [Shape; CLASS_COUNT] = {
    let mut shapes = [Shape::of(MIN_BLOCK_BYTES); CLASS_COUNT];
    let mut class = 0;
    while class < CLASS_COUNT {
        shapes[class] = Shape::of(SIZES[class]);
        class += 1;
    }
    shapes
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

/// Every object has a pool of its own, so that the allocator sees each: for
/// memory checkers.
const ALONE: bool = cfg!(cyclegc_alone);

pub(crate) struct Heap {
    classes: [[Class; CLASS_COUNT]; Kind::COUNT],
    tracked: RefCell<Vec<NonNull<Pool>>>,
    spare: [Cell<Option<NonNull<u8>>>; SPARE_LIMIT],
    spare_count: Cell<usize>,
    closed: Cell<bool>,
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
/// `None` if each such object must be alone.
#[inline(always)]
const fn class_of(block: Layout, prefix_bytes: usize, tracked: bool) -> Option<(Kind, usize)> {
    let kind = match (tracked, prefix_bytes) {
        (false, _) => Kind::Untracked,
        (true, 8) => Kind::Tracked,
        (true, 16) => Kind::TrackedWide,
        (true, _) => return None,
    };
    if ALONE || block.size() > MAX_BLOCK_BYTES || block.align() > GRAIN {
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

    /// Gives the free blocks of the current word back; the pool is `ended` if
    /// it is empty then.
    fn put_back_word(&self, ended: impl FnOnce(NonNull<Pool>)) {
        let (free, base) = (self.free.replace(0), self.base.replace(ptr::null_mut()));
        if free == 0 {
            return;
        }
        let pool = base.map_addr(|address| address & !(POOL_BYTES - 1));
        // SAFETY: invariant 1: the word lies in a pool.
        let pool = unsafe { NonNull::new_unchecked(pool) }.cast::<Pool>();
        // SAFETY: invariant 1: it is there.
        let this = unsafe { pool.as_ref() };
        let word = this.word_at(base).unwrap_or_default();
        if this.give_word_back(word, free) {
            ended(pool);
        }
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
            spare: [const { Cell::new(None) }; SPARE_LIMIT],
            spare_count: Cell::new(0),
            closed: Cell::new(false),
        }
    }

    /// The place of a new object's header, in a block of its own.
    ///
    /// An allocation that fails goes to `handle_alloc_error`, as `Rc`'s does.
    ///
    /// # Panics
    ///
    /// If the object is larger than `isize::MAX` bytes.
    #[inline(always)]
    pub(crate) fn allocate(
        &self,
        block: Layout,
        prefix_bytes: usize,
        tracked: bool,
    ) -> NonNull<Header> {
        let taken = class_of(block, prefix_bytes, tracked)
            .and_then(|(kind, class)| self.classes[kind as usize][class].take(SIZES[class]));
        match taken {
            // SAFETY: the header lies in the block.
            Some(start) => unsafe { start.add(prefix_bytes) }.cast(),
            None => slow_allocate(block.size(), block.align(), prefix_bytes, tracked),
        }
    }

    #[inline]
    fn allocate_slowly(
        &self,
        block: Layout,
        prefix_bytes: usize,
        tracked: bool,
    ) -> NonNull<Header> {
        match class_of(block, prefix_bytes, tracked) {
            Some((kind, class)) if !self.closed.get() => {
                self.allocate_from_pool(block, prefix_bytes, kind, class)
            }
            _ => self.allocate_alone(block, prefix_bytes, tracked),
        }
    }

    /// Goes on to another word of free blocks.
    fn allocate_from_pool(
        &self,
        block: Layout,
        prefix_bytes: usize,
        kind: Kind,
        class: usize,
    ) -> NonNull<Header> {
        let this = &self.classes[kind as usize][class];
        loop {
            let Some(pool) = this.usable.get().or_else(|| self.add_pool(kind, class)) else {
                handle_alloc_error(block)
            };
            // SAFETY: listed pools are there.
            let pool_ref = unsafe { pool.as_ref() };
            let Some((word, free)) = pool_ref.take_word() else {
                this.unlist(pool_ref);
                continue;
            };
            // INVARIANT: 1.
            this.free.set(free);
            this.base.set(Pool::word_start(pool, word));
            if let Some(start) = this.take(SIZES[class]) {
                // SAFETY: the header lies in the block.
                return unsafe { start.add(prefix_bytes) }.cast();
            }
        }
    }

    /// An empty pool at the front of its class; `None` without memory.
    fn add_pool(&self, kind: Kind, class: usize) -> Option<NonNull<Pool>> {
        let shape = SHAPES[class];
        let kept = self.spare_count.get().checked_sub(1).and_then(|last| {
            self.spare_count.set(last);
            self.spare[last].take()
        });
        let small = u8::try_from(class).unwrap_or(u8::MAX);
        let pool = Pool::new(shape, kind, small, kept)?;
        self.enter(pool);
        self.classes[kind as usize][class].list(pool);
        Some(pool)
    }

    #[cold]
    #[inline(never)]
    fn allocate_alone(&self, block: Layout, prefix_bytes: usize, tracked: bool) -> NonNull<Header> {
        state::with(state::State::open);
        let kind = if tracked {
            Kind::Tracked
        } else {
            Kind::Untracked
        };
        let Some((pool, header)) = Pool::new_alone(block, prefix_bytes, kind) else {
            handle_alloc_error(block)
        };
        self.enter(pool);
        header
    }

    /// Takes note of a new pool.
    fn enter(&self, pool: NonNull<Pool>) {
        // SAFETY: the caller's pool is there.
        let this = unsafe { pool.as_ref() };
        if this.kind().is_tracked() {
            let mut tracked = self.tracked.borrow_mut();
            // INVARIANT: 2.
            this.place_in_heap.set(tracked.len());
            tracked.push(pool);
        }
    }

    /// Gives the block of an object back.
    ///
    /// # Safety
    ///
    /// The object was allocated here, and nothing uses it any more.
    #[inline]
    pub(crate) unsafe fn free(&self, object: NonNull<Header>) {
        // SAFETY: the caller's object is allocated.
        let pool = unsafe { Pool::of(object) };
        if pool.free_block(object) {
            // SAFETY: the object's pool, with the provenance of its memory.
            let pool = object.as_ptr().map_addr(|_| ptr::from_ref(pool).addr());
            // SAFETY: a pool is not at address 0.
            self.countdown_ended(unsafe { NonNull::new_unchecked(pool) }.cast());
        }
    }

    /// A pool that was full is not any more, or one has become empty.
    /// Appends the tracked objects in no particular order, those included
    /// whose value is dropped but whose block is still held.
    pub(crate) fn objects(&self, objects: &mut Vec<NonNull<Header>>) {
        for pool in self.tracked.borrow().iter() {
            // SAFETY: invariant 2: it is there.
            let this = unsafe { pool.as_ref() };
            let class = &self.classes[this.kind() as usize][this.class()];
            let word = this.word_at(class.base.get()).filter(|_| !this.alone);
            objects.extend(Pool::objects(
                *pool,
                word.map(|word| (word, class.free.get())),
            ));
        }
    }

    /// The thread ends: gives back what is kept for objects to come.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        for class in self.classes.iter().flatten() {
            class.put_back_word(|pool| self.countdown_ended(pool));
        }
        for spare in &self.spare[..self.spare_count.replace(0)] {
            if let Some(spare) = spare.take() {
                // SAFETY: a spare pool's memory starts with it still.
                unsafe { Pool::free(spare.cast()) };
            }
        }
        let mut tracked = self.tracked.borrow_mut();
        if tracked.is_empty() {
            *tracked = Vec::new();
        }
    }

    #[cold]
    #[inline(never)]
    fn countdown_ended(&self, pool: NonNull<Pool>) {
        // SAFETY: the caller's pool is there.
        let this = unsafe { pool.as_ref() };
        let class = &self.classes[this.kind() as usize][this.class()];
        if this.listed.get() {
            class.unlist(this);
        } else if !this.alone && this.used_count() != 0 {
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
        if this.alone || self.closed.get() || spare_count == SPARE_LIMIT {
            // SAFETY: no block of it is in use, and no list holds it.
            unsafe { Pool::free(pool) };
        } else {
            // SAFETY: as above, and it is not alone.
            self.spare[spare_count].set(Some(unsafe { Pool::give_up(pool) }));
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
) -> NonNull<Header> {
    // SAFETY: the one caller took them from a layout.
    let block = unsafe { Layout::from_size_align_unchecked(size, align) };
    state::with(|state| {
        state.open();
        state.heap.allocate_slowly(block, prefix_bytes, tracked)
    })
}
