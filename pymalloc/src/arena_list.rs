//! All arenas: which have free pools, fullest first, and when memory goes back.
//!
//! ```text
//!          usable, by kind and number of free pools
//!  Small:   [1] ⇄ arena ⇄ arena   [2] ∅   [3] ⇄ arena   ...  [15] ∅
//!  Middle:  [1] ∅                 [2] ⇄ arena            [3] ∅
//!              ▲ taken from first                     ▲ drained, in the end empty
//!  (twice: arenas all of whose free pools were given back, and the others)
//!
//!  empty:   dirty, of parts ⇄ arena    resident, within what may be retained
//!           dirty, whole ⇄ arena       resident as far as its one pool was used
//!           clean ⇄ arena              given back to the system
//! ```
//! New pools come from the fullest arena that has one, so that sparse arenas drain
//! and can go back: CPython sorts `usable_arenas` by `nfreepools` and finds the place
//! for an arena by `nfp2lasta` (`obmalloc.c: insert_to_freepool`). Here each number of
//! free pools has a list of its own, and a bit that says whether it is empty.
//!
//! An empty pool stays resident for reuse while all such memory is within
//! [`RETAIN_BYTES`] plus a part of what is in use; beyond, empty arenas are given back
//! at once, then the free pools of the emptiest others. So a heap whose pools have become
//! empty is small without a further call. One that breathes would make a system call and
//! a page fault a page with every breath: each arena that is wanted again after it was given
//! back lets more be retained, and each that is given back lets less (`retain_more`).
//! (CPython keeps one empty arena, bpo-37257.)
//!
//! A large heap that grows by blocks that fill their pools gets huge pages: a fault and an
//! entry of the TLB for 2 MiB instead of 512. Until something of such a chunk is given back:
//! then it is taken apart, because a part that is wanted again would bring all of it. What a huge
//! page brought before it was wanted, pools that were never handed out and arenas that are not
//! made yet, is resident uncounted; it goes back with the first part that does, or in `trim`.
//!
//! # Invariants
//! 1. An arena that has a free pool, and one that is used or out to be given back, is
//!    on the list of its number; one whose pools are all free is on `dirty` or `clean`;
//!    one without a free pool is on none.
//! 2. `dirty_bytes` is the sum of the arenas' dirty bytes, `used_bytes` of the pools
//!    handed out.

use core::ptr::NonNull;

use crate::arena::{Arena, Kind, arena_of};
use crate::arena_map::ArenaMap;
use crate::arenas::Wash;
use crate::config::{
    ARENA_SIZE, HUGE_FROM, HUGE_PAGE, RETAIN_BYTES, RETAIN_FRACTION, RETAIN_MORE_DECAY,
    RETAIN_MORE_MAX, RETAIN_MORE_WHOLE_MAX,
};
use crate::os;
use crate::pool::Held;
use crate::region::Region;
use crate::size_class::SizeClass;

/// What the arenas' lock guards.
#[derive(Debug)]
pub(crate) struct ArenaLists {
    /// Arenas whose free pools are clean, and those where one may be resident; each by
    /// kind (small, middle).
    usable: [[ByFree; 2]; 2],
    /// Empty arenas where a pool may be resident: that were cut into pools, and that were one.
    dirty: [List; 2],
    clean: List,
    /// The newest region, and the first of its arenas that was never made.
    region: Option<Region>,
    unmade: usize,
    /// Bytes without memory that were put to use since, each time that was more than ever.
    growth: usize,
    dirty_bytes: usize,
    used_bytes: usize,
    /// The most that `used_bytes` ever was.
    peak_bytes: usize,
    /// What may be retained besides, learned from what was given back too early.
    retain_more: usize,
    /// Bytes that were ever given back and may have been resident.
    pub(crate) given_back: usize,
    pub(crate) counters: Counters,
}

/// CPython's arena counters (`_PyObject_DebugMallocStats`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counters {
    /// Times an arena got memory (`ntimes_arena_allocated`).
    pub(crate) total: usize,
    /// Times an arena's memory was given back whole.
    pub(crate) reclaimed: usize,
    /// The most that had memory at once (`narenas_highwater`).
    pub(crate) highwater: usize,
    /// Those that have memory (`narenas_currently_allocated`).
    pub(crate) current: usize,
}

// SAFETY: the arenas are touched by whoever has the lists, that is, by the lock.
unsafe impl Send for ArenaLists {}

type List = Option<&'static Arena>;

/// Lists of arenas by their number of free pools.
#[derive(Debug)]
struct ByFree {
    lists: [List; 16],
    /// Bit `n`: the list of arenas with `n` free pools is not empty.
    occupied: u16,
}

impl ByFree {
    const fn new() -> Self {
        Self {
            lists: [None; 16],
            occupied: 0,
        }
    }

    /// The least number of free pools of an arena here; 16 if there is none.
    fn fewest(&self) -> usize {
        self.occupied.trailing_zeros() as usize
    }

    /// Puts an arena on the list of its number of free pools.
    fn push(&mut self, arena: &'static Arena) {
        let free = arena.free_count();
        if let Some(list) = self.lists.get_mut(free as usize) {
            push(list, arena);
            self.occupied |= 1 << free;
        }
    }

    /// Takes an arena off that list.
    fn remove(&mut self, arena: &'static Arena) {
        let free = arena.free_count();
        if let Some(list) = self.lists.get_mut(free as usize) {
            remove(list, arena);
            if list.is_none() {
                self.occupied &= !(1 << free);
            }
        }
    }

    /// An arena with the most free pools.
    fn emptiest(&self) -> List {
        let most = self.occupied.checked_ilog2()?;
        *self.lists.get(most as usize)?
    }
}

impl ArenaLists {
    pub(crate) const fn new() -> Self {
        Self {
            usable: [const { [const { ByFree::new() }; 2] }; 2],
            dirty: [None; 2],
            clean: None,
            region: None,
            unmade: 0,
            growth: 0,
            dirty_bytes: 0,
            used_bytes: 0,
            peak_bytes: 0,
            retain_more: 0,
            given_back: 0,
            counters: Counters {
                total: 0,
                reclaimed: 0,
                highwater: 0,
                current: 0,
            },
        }
    }

    /// A new pool, held by the caller; `None` if memory has run out. Where the class `grows`,
    /// the pool and those after it will be filled, and new arenas may share huge pages.
    pub(crate) fn take_pool(
        &mut self,
        class: SizeClass,
        grows: bool,
        map: &ArenaMap,
    ) -> Option<Held> {
        let kind = Kind::of(class);
        let arena = match self.fullest(kind) {
            Some(arena) => arena,
            None => self.take_empty(kind, grows, map)?,
        };
        let (pool, resident) = arena.take_pool(class);
        self.dirty_bytes -= resident;
        self.used_bytes += kind.pool_size();
        self.place(arena);
        if self.used_bytes > self.peak_bytes {
            self.peak_bytes = self.used_bytes;
            if resident == 0 {
                self.growth += kind.pool_size();
            }
        }
        Some(pool)
    }

    /// How much more is in use than ever was, in whole arenas, since this was last asked.
    /// As much of what lies idle should go: it is not what the heap grows by, so it is of
    /// the wrong kind.
    pub(crate) fn take_growth(&mut self) -> usize {
        let growth = self.growth - self.growth % ARENA_SIZE;
        self.growth -= growth;
        growth
    }

    /// Takes back an empty pool that the caller holds.
    pub(crate) fn put_pool(&mut self, pool: Held) {
        let arena = arena_of(pool);
        self.unplace(arena);
        arena.put_pool(pool);
        self.dirty_bytes += arena.kind().pool_size();
        self.used_bytes -= arena.kind().pool_size();
        self.place(arena);
    }

    /// The arena of this kind with the fewest free pools, a resident one among equals,
    /// taken off its list.
    fn fullest(&mut self, kind: Kind) -> Option<&'static Arena> {
        let [clean, dirty] = &self.usable;
        let (clean, dirty) = (clean.get(kind as usize)?, dirty.get(kind as usize)?);
        let from = if dirty.fewest() <= clean.fewest() {
            dirty
        } else {
            clean
        };
        let arena = *from.lists.get(from.fewest())?;
        arena.inspect(|arena| self.unplace(arena))
    }

    /// An empty arena, given to this kind: a resident one, one whose memory was
    /// given back, or a new one.
    ///
    /// An arena that was cut into pools is resident all over, and of one pool for a few
    /// large blocks most would lie idle: such a pool gets it last.
    fn take_empty(&mut self, kind: Kind, grows: bool, map: &ArenaMap) -> Option<&'static Arena> {
        let [parts, whole] = self.dirty;
        let resident = match kind {
            Kind::Whole => whole,
            Kind::Small | Kind::Middle => parts.or(whole),
        };
        let arena = match resident {
            Some(arena) => {
                remove(self.empty_of(arena), arena);
                arena
            }
            None => self.take_clean(kind, grows, map).or_else(|| {
                let arena = parts?;
                remove(self.empty_of(arena), arena);
                Some(arena)
            })?,
        };
        self.dirty_bytes -= arena.dirty_bytes();
        arena.set_kind(kind);
        self.dirty_bytes += arena.dirty_bytes();
        Some(arena)
    }

    /// An empty arena without memory: one whose memory was given back, or a new one.
    fn take_clean(&mut self, kind: Kind, grows: bool, map: &ArenaMap) -> Option<&'static Arena> {
        let arena = match self.clean {
            Some(arena) => {
                remove(&mut self.clean, arena);
                // Else the heap grows, and would have to take memory anyhow.
                if self.used_bytes + kind.pool_size() <= self.peak_bytes {
                    self.learn_to_retain(kind);
                }
                arena
            }
            None => self.make_arena(grows, map)?,
        };
        self.counters.total += 1;
        self.counters.current += 1;
        self.counters.highwater = self.counters.highwater.max(self.counters.current);
        Some(arena)
    }

    /// An arena of this kind was given back too early. One for a single pool teaches less: it
    /// counts whole, however little of it the pool's few blocks touch. What was learned holds
    /// for arenas of all kinds.
    fn learn_to_retain(&mut self, kind: Kind) {
        let most = match kind {
            Kind::Small | Kind::Middle => RETAIN_MORE_MAX,
            Kind::Whole => RETAIN_MORE_WHOLE_MAX,
        };
        let more = most.saturating_sub(self.retain_more);
        self.retain_more += ARENA_SIZE.min(more);
    }

    fn make_arena(&mut self, grows: bool, map: &ArenaMap) -> Option<&'static Arena> {
        let region = match self.region {
            Some(region) if region.usable().contains(&self.unmade) => region,
            _ => {
                let region = Region::reserve(self.region)?;
                map.insert(region);
                self.region = Some(region);
                self.unmade = region.usable().start;
                region
            }
        };
        if grows && self.used_bytes >= HUGE_FROM && region.starts_chunk(self.unmade) {
            region.make_huge(self.unmade);
        }
        // SAFETY: the number is usable, and numbers only go up.
        let arena = unsafe { region.make_arena(self.unmade) };
        self.unmade += 1;
        Some(arena)
    }

    /// Puts an arena on the list where its state wants it (invariant 1).
    fn place(&mut self, arena: &'static Arena) {
        if let Some(by_free) = self.usable_of(arena) {
            by_free.push(arena);
        } else if arena.is_empty() {
            push(self.empty_of(arena), arena);
        }
    }

    /// Takes an arena off that list, before its state changes.
    fn unplace(&mut self, arena: &'static Arena) {
        if let Some(by_free) = self.usable_of(arena) {
            by_free.remove(arena);
        } else if arena.is_empty() {
            remove(self.empty_of(arena), arena);
        }
    }

    /// The lists for an arena of which some pools are free, but not all.
    fn usable_of(&mut self, arena: &Arena) -> Option<&mut ByFree> {
        if arena.is_empty() || arena.free_count() == 0 {
            return None;
        }
        let [clean, dirty] = &mut self.usable;
        let usable = if arena.dirty() != 0 { dirty } else { clean };
        usable.get_mut(arena.kind() as usize)
    }

    /// The list for an arena of which all pools are free.
    fn empty_of(&mut self, arena: &Arena) -> &mut List {
        if arena.dirty() != 0 {
            let [parts, whole] = &mut self.dirty;
            if arena.kind() == Kind::Whole {
                whole
            } else {
                parts
            }
        } else {
            &mut self.clean
        }
    }

    /// What must be given back for the free, resident memory to be within bounds: an
    /// empty arena, or else the free pools of the emptiest arena where one is resident.
    pub(crate) fn take_excess(&mut self) -> Option<Wash> {
        let retained = RETAIN_BYTES + self.retain_more + self.used_bytes / RETAIN_FRACTION;
        if self.dirty_bytes <= retained {
            return None;
        }
        self.take_idle()
    }

    /// An empty arena, or the free pools of the emptiest arena where one is resident.
    pub(crate) fn take_idle(&mut self) -> Option<Wash> {
        let [_, [small, middle]] = &self.usable;
        let [parts, whole] = self.dirty;
        let arena = parts
            .or(whole)
            .or_else(|| middle.emptiest())
            .or_else(|| small.emptiest())?;
        self.take_dirty(arena)
    }

    /// Takes an arena's free, resident pools out; all that are free if it is empty, or if a page
    /// holds several: it goes back when the last of them is free.
    pub(crate) fn take_dirty(&mut self, arena: &'static Arena) -> Option<Wash> {
        match arena.dirty() {
            0 => None,
            _ if arena.is_empty() || arena.kind().pool_size() < os::page_size() => {
                Some(self.take_out(arena, arena.free()))
            }
            dirty => Some(self.take_out(arena, dirty)),
        }
    }

    /// Takes free pools out of an arena.
    fn take_out(&mut self, arena: &'static Arena, bits: u16) -> Wash {
        self.unplace(arena);
        let dirty_bytes = arena.dirty_bytes();
        self.dirty_bytes -= dirty_bytes;
        arena.take_out(bits);
        self.place(arena);
        Wash {
            arena,
            bits,
            dirty_bytes,
            huge_chunk: Region::huge_chunk_at(arena.base()),
        }
    }

    /// Takes back what was given to the system.
    pub(crate) fn put_clean(&mut self, wash: &Wash) {
        self.put_back(wash, wash.arena.left_of(wash.bits, os::page_size()));
    }

    /// Takes back what was out; some of it may be dirty.
    pub(crate) fn put_back(&mut self, wash: &Wash, dirty: u16) {
        let arena = wash.arena;
        if let Some(chunk) = wash.huge_chunk {
            self.make_small(chunk);
        }
        self.unplace(arena);
        let dirty_before = arena.dirty_bytes();
        arena.put_back(wash.bits, dirty);
        self.dirty_bytes += arena.dirty_bytes() - dirty_before;
        if arena.is_empty() && arena.dirty() == 0 {
            self.counters.reclaimed += 1;
            self.counters.current -= 1;
            let less = ARENA_SIZE / RETAIN_MORE_DECAY;
            self.retain_more = self.retain_more.saturating_sub(less);
        }
        self.place(arena);
    }

    /// Gives back what a huge page may have brought of this arena's chunk that nobody wanted yet, if
    /// some of the arena is free.
    pub(crate) fn give_back_unwanted(&mut self, arena: &Arena) {
        if arena.free() != 0 {
            self.take_chunk_apart(arena.base());
        }
    }

    /// The same of the newest chunk, if some of it is not made yet.
    pub(crate) fn give_back_unmade(&mut self) {
        if let Some((start, _)) = self.rest_of_chunk() {
            self.take_chunk_apart(start);
        }
    }

    /// Has small pages in the chunk of an address, if it is for a huge one.
    fn take_chunk_apart(&mut self, address: *mut u8) {
        let Some(chunk) = Region::huge_chunk_at(address) else {
            return;
        };
        // SAFETY: the chunk lies in a region, which is mapped.
        if unsafe { os::avoid_huge_pages(chunk, HUGE_PAGE) } {
            self.make_small(chunk);
        }
    }

    /// Notes that a chunk has small pages from now on. What of it nobody wanted yet goes back:
    /// pools that are free and clean, and what is not made.
    fn make_small(&mut self, chunk: NonNull<u8>) {
        if !Region::make_small(chunk) {
            return;
        }
        let lies_in_it = |start: *mut u8| start.addr() & !(HUGE_PAGE - 1) == chunk.addr().get();
        let arenas = self.arenas_of(Region::of(chunk.addr().get()));
        for arena in arenas.filter(|arena| lies_in_it(arena.base())) {
            for (offset, bytes) in arena.runs(arena.free() & !arena.dirty()) {
                // SAFETY: free pools are held by the lists' lock (arena.rs, invariant 2).
                unsafe { self.discard(arena.base().wrapping_add(offset), bytes) };
            }
        }
        let rest = self.rest_of_chunk();
        if let Some((start, bytes)) = rest.filter(|(start, _)| lies_in_it(*start)) {
            // SAFETY: nobody knows arenas that were not made, and the lock is held.
            unsafe { self.discard(start, bytes) };
        }
    }

    /// Gives a part of a chunk back.
    ///
    /// # Safety
    /// It lies in a region, and nobody has it but the caller.
    unsafe fn discard(&mut self, start: *mut u8, bytes: usize) {
        // SAFETY: regions are mapped.
        unsafe { os::split_huge_page(start, bytes) };
        // SAFETY: the caller's promise.
        self.given_back += unsafe { os::discard(start, bytes) };
    }

    /// What is not made yet of the newest chunk, if a part of it is.
    fn rest_of_chunk(&self) -> Option<(*mut u8, usize)> {
        self.region?.rest_of_chunk(self.unmade)
    }

    /// The arenas of a region that have been made.
    pub(crate) fn arenas_of(&self, region: Region) -> impl Iterator<Item = &'static Arena> + use<> {
        let newest = self
            .region
            .is_some_and(|newest| newest.addr() == region.addr());
        let usable = region.usable();
        let end = if newest { self.unmade } else { usable.end };
        // SAFETY: arenas are made in the order of their numbers, all of a region
        // before the next region is reserved.
        (usable.start..end).map(move |index| unsafe { &*region.arena_address(index) })
    }
}

mod inspect {
    //! What statistics and checks look at.

    use super::{Arena, ArenaLists, Region};

    impl ArenaLists {
        /// The newest region; each knows the one before.
        pub(crate) fn newest_region(&self) -> Option<Region> {
            self.region
        }

        /// Bytes of free pools that may be resident.
        pub(crate) fn dirty_bytes(&self) -> usize {
            self.dirty_bytes
        }

        /// Bytes of the pools handed out.
        pub(crate) fn used_bytes(&self) -> usize {
            self.used_bytes
        }

        /// How many arenas are on lists; `None` if one is on the wrong list.
        pub(crate) fn count_listed(&self) -> Option<usize> {
            let mut count = 0;
            let mut walk = |list: super::List, belongs: &dyn Fn(&Arena) -> bool| {
                let arenas = core::iter::successors(list, |arena| arena.next.get());
                for arena in arenas {
                    count += 1;
                    if !belongs(arena) {
                        return false;
                    }
                }
                true
            };
            let mut sound = self.dirty.iter().enumerate().all(|(whole, list)| {
                walk(*list, &|arena| {
                    arena.is_empty()
                        && arena.dirty() != 0
                        && usize::from(arena.kind() == super::Kind::Whole) == whole
                })
            }) && walk(self.clean, &|arena| arena.is_empty() && arena.dirty() == 0);
            for (dirty, kinds) in self.usable.iter().enumerate() {
                for (kind, by_free) in kinds.iter().enumerate() {
                    for (free, list) in by_free.lists.iter().enumerate() {
                        sound = sound
                            && list.is_some() == (by_free.occupied >> free & 1 == 1)
                            && walk(*list, &|arena| {
                                !arena.is_empty()
                                    && arena.kind() as usize == kind
                                    && arena.free_count() as usize == free
                                    && usize::from(arena.dirty() != 0) == dirty
                            });
                    }
                }
            }
            sound.then_some(count)
        }
    }
}

fn push(list: &mut List, arena: &'static Arena) {
    arena.prev.set(None);
    arena.next.set(*list);
    if let Some(second) = *list {
        second.prev.set(Some(arena));
    }
    *list = Some(arena);
}

fn remove(list: &mut List, arena: &'static Arena) {
    match arena.prev.get() {
        Some(before) => before.next.set(arena.next.get()),
        None => *list = arena.next.get(),
    }
    if let Some(after) = arena.next.get() {
        after.prev.set(arena.prev.get());
    }
}

const _: () = assert!(RETAIN_BYTES.is_multiple_of(ARENA_SIZE));
