//! The distinct stacks, each kept once: a number stands for a stack.
//!
//! ```text
//!  return addresses ──hash──▶ level 0, full ─▶ level 1, full ─▶ level 2, newest
//!                                  │ found                          │ not found: a new record
//!                                  ▼                                ▼
//!                   records  ┌──────────────┬──────────────┬──────────────┬─────────
//!                            │ head, frames │ head, frames │ head, frames │ ...
//!                            └──────────────┴──────────────┴──────────────┴─────────
//!                            id: the number of the record's first word
//! ```
//! Nothing is moved or removed, so that readers need no lock. A level that is half full is closed
//! by one of twice its size behind it. Without memory for that one it fills to seven eighths, and
//! then a new stack gets no id.
//!
//! # Invariants
//! 1. A record is complete before its id is in a level, and its frames are never written again.
//! 2. Ids are not 0, and lie below `2^31`.
//! 3. Two threads that meet a new stack at the same moment may give it two ids: whoever adds up by
//!    stack adds up by its frames.
//! 4. `used` grows, up to the capacity and no further: the words below are each some record's.
//!
//! # Orderings
//! A slot is filled with Release and read with Acquire: who finds the id there finds the record.
//! Who finds it in an entry, or in a block of `live.rs`, has it by what publishes that: a store
//! with Release as well, or a lock.

use std::ptr::{NonNull, null_mut};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicI64, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize};

use super::memory;

/// The number of a stack; never 0.
pub(super) type StackId = u32;

/// Address space for records, at most: what is written of it is memory.
const MOST_BYTES: usize = 8 << 30;
const LEAST_BYTES: usize = 1 << 20;

const FIRST_LEVEL: usize = 1 << 12;
const LEVELS: usize = 18;

/// The first words of a record; the frames follow.
#[repr(C)]
pub(super) struct Record {
    hash: u32,
    len: u32,
    /// Live blocks and bytes of this stack, where peaks are recorded.
    pub(super) live: Sum,
    /// The same at the last peak.
    pub(super) at_peak: Sum,
}

/// How many blocks, and how many bytes.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Sum {
    pub(super) blocks: AtomicI64,
    pub(super) bytes: AtomicI64,
}

const HEAD_WORDS: usize = size_of::<Record>() / 8;

/// All stacks.
#[derive(Debug)]
pub(super) struct Stacks {
    words: AtomicPtr<AtomicU64>,
    capacity: AtomicUsize,
    used: AtomicUsize,
    levels: [Level; LEVELS],
    newest: AtomicUsize,
}

#[derive(Debug)]
struct Level {
    slots: AtomicPtr<AtomicU32>,
    filled: AtomicUsize,
}

impl Stacks {
    /// None yet.
    pub(super) const fn new() -> Self {
        Self {
            words: AtomicPtr::new(null_mut()),
            capacity: AtomicUsize::new(0),
            used: AtomicUsize::new(1),
            levels: [const {
                Level {
                    slots: AtomicPtr::new(null_mut()),
                    filled: AtomicUsize::new(0),
                }
            }; LEVELS],
            newest: AtomicUsize::new(0),
        }
    }

    /// Makes room, once, before the first stack; false if there is none to be had. Not for two
    /// threads at once.
    pub(super) fn prepare(&self) -> bool {
        self.prepare_for(MOST_BYTES, LEAST_BYTES)
    }

    fn prepare_for(&self, most_bytes: usize, least_bytes: usize) -> bool {
        // ORDERING: Relaxed; who made room did so before, by the rule above.
        if !self.words.load(Relaxed).is_null() {
            return true;
        }
        if !self.open(0) {
            return false;
        }
        let Some((start, bytes)) = memory::map_up_to(most_bytes, least_bytes) else {
            return false;
        };
        self.capacity.store(bytes / 8, Relaxed);
        // ORDERING: Release publishes the capacity and the first level; pairs with `intern`.
        self.words.store(start.as_ptr().cast(), Release);
        true
    }

    /// The number of a stack, given its [`hash`]; `None` if there is no room for a new one.
    pub(super) fn intern(&self, frames: &[usize], hash: u64) -> Option<StackId> {
        // ORDERING: Acquire; pairs with `prepare`. A thread may learn that tracing is on before
        // it learns what was made ready for it.
        if self.words.load(Acquire).is_null() {
            return None;
        }
        // ORDERING: Acquire: this level has slots, and those before; pairs with `open`.
        let newest = self.newest.load(Acquire);
        for level in 0..newest {
            if let Found::Id(id) = self.look_up(level, frames, hash) {
                return Some(id);
            }
        }
        let id = match self.look_up(newest, frames, hash) {
            Found::Id(id) => return Some(id),
            Found::Slot(slot, at) if !self.is_overfull(newest) => {
                let id = self.add(frames, hash)?;
                self.put(newest, slot, at, id)
            }
            Found::Slot(..) | Found::Full => {
                let is_open = self.open(newest + 1);
                return is_open.then(|| self.intern(frames, hash))?;
            }
        };
        if self.levels[newest].filled.load(Relaxed) > size_of_level(newest) / 2 {
            self.open(newest + 1);
        }
        Some(id)
    }

    /// Whether there was no memory for a level behind this one, for so long that looking a stack
    /// up begins to take many steps.
    fn is_overfull(&self, level: usize) -> bool {
        self.levels[level].filled.load(Relaxed) >= size_of_level(level) / 8 * 7
    }

    /// Puts an id in a slot that was empty, or the next that is. One of many threads may find
    /// none: then its id is in no level, but good.
    fn put(&self, level: usize, slot: &AtomicU32, at: usize, id: StackId) -> StackId {
        // ORDERING: Release, here and below, publishes the record; pairs with `look_up` and `each`.
        if slot.compare_exchange(0, id, Release, Relaxed).is_ok() {
            self.levels[level].filled.fetch_add(1, Relaxed);
            return id;
        }
        // ORDERING: Relaxed; the slot was found there, so this thread has loaded it before.
        let slots = self.levels[level].slots.load(Relaxed);
        for step in 1..size_of_level(level) {
            let index = (at + step) & (size_of_level(level) - 1);
            // SAFETY: an open level has that many slots.
            let slot = unsafe { &*slots.wrapping_add(index) };
            if slot.compare_exchange(0, id, Release, Relaxed).is_ok() {
                self.levels[level].filled.fetch_add(1, Relaxed);
                break;
            }
        }
        id
    }

    fn look_up(&self, level: usize, frames: &[usize], hash: u64) -> Found<'_> {
        // ORDERING: Acquire receives the slots' zeros; pairs with `make_level`, since `newest` may
        // have been raised by another thread than the slots are from.
        let slots = self.levels[level].slots.load(Acquire);
        if slots.is_null() {
            return Found::Full;
        }
        let mask = size_of_level(level) - 1;
        for step in 0..=mask {
            let index = (hash as usize).wrapping_add(step) & mask;
            // SAFETY: an open level has that many slots.
            let slot = unsafe { &*slots.wrapping_add(index) };
            // ORDERING: Acquire receives the record; pairs with `put`.
            let id = slot.load(Acquire);
            if id == 0 {
                return Found::Slot(slot, index);
            }
            let record = self.record(id);
            if record.hash == high_half(hash) && self.frames_of(id, record) == frames {
                return Found::Id(id);
            }
        }
        Found::Full
    }

    fn add(&self, frames: &[usize], hash: u64) -> Option<StackId> {
        let size = HEAD_WORDS + frames.len();
        let id = self.reserve(size)?;
        memory::add_used(size * 8);
        let words = self.words.load(Relaxed);
        // SAFETY: the words from `id` on are this record's alone (invariant 4).
        let start = unsafe { words.add(id) };
        let record = Record {
            hash: high_half(hash),
            len: frames.len() as u32,
            live: Sum::default(),
            at_peak: Sum::default(),
        };
        // SAFETY: as above.
        unsafe { start.cast::<Record>().write(record) };
        // SAFETY: as above.
        let to = unsafe { start.add(HEAD_WORDS) };
        // SAFETY: as above; both are that long.
        unsafe {
            to.cast::<usize>()
                .copy_from_nonoverlapping(frames.as_ptr(), frames.len())
        };
        Some(id as StackId)
    }

    /// Takes so many words; the first one's number.
    fn reserve(&self, size: usize) -> Option<usize> {
        let capacity = self.capacity.load(Relaxed).min(1 << 31);
        let take = |used: usize| used.checked_add(size).filter(|&end| end <= capacity);
        // ORDERING: Relaxed; the words are nobody's until they are reserved.
        // INVARIANT: 4.
        self.used.fetch_update(Relaxed, Relaxed, take).ok()
    }

    /// Lets new stacks go to a level; false if there is no memory for it.
    fn open(&self, level: usize) -> bool {
        if !self.make_level(level) {
            return false;
        }
        // ORDERING: Release publishes the slots, if they are this thread's; pairs with `intern`.
        self.newest.fetch_max(level, Release);
        true
    }

    /// Makes the slots of a level, unless there are some; false if there is no memory for them.
    fn make_level(&self, level: usize) -> bool {
        let Some(new) = self.levels.get(level) else {
            return false;
        };
        // ORDERING: Relaxed; it is asked whether they are there, and no more.
        if new.slots.load(Relaxed).is_null() {
            let bytes = size_of_level(level) * size_of::<u32>();
            let Some(start) = memory::map(bytes) else {
                return false;
            };
            let slots: NonNull<AtomicU32> = start.cast();
            // ORDERING: Release publishes the zeros; pairs with `look_up` and `each`.
            let won = new
                .slots
                .compare_exchange(null_mut(), slots.as_ptr(), Release, Relaxed);
            if won.is_err() {
                // SAFETY: mapped above, known to nobody.
                unsafe { memory::unmap(start, bytes) };
            } else {
                memory::add_used(bytes);
            }
        }
        true
    }

    /// The head of a record.
    pub(super) fn record(&self, id: StackId) -> &Record {
        let start = self.words.load(Relaxed).wrapping_add(id as usize);
        // SAFETY: an id is a complete record's (invariant 1).
        unsafe { &*start.cast::<Record>() }
    }

    fn frames_of(&self, id: StackId, record: &Record) -> &[usize] {
        let start = self.words.load(Relaxed);
        let start = start.wrapping_add(id as usize + HEAD_WORDS);
        // SAFETY: the frames follow the head: that many, never written again.
        unsafe { std::slice::from_raw_parts(start.cast(), record.len as usize) }
    }

    /// The return addresses of a stack, the most recent call's first.
    pub(super) fn frames(&self, id: StackId) -> &[usize] {
        self.frames_of(id, self.record(id))
    }

    /// Calls `f` with every stack that is in a level.
    pub(super) fn each(&self, mut f: impl FnMut(StackId, &Record)) {
        for (index, level) in self.levels.iter().enumerate() {
            // ORDERING: Acquire, here and below, as in `look_up`.
            let slots = level.slots.load(Acquire);
            if slots.is_null() {
                return;
            }
            for slot in 0..size_of_level(index) {
                // SAFETY: an open level has that many slots.
                let id = unsafe { &*slots.wrapping_add(slot) }.load(Acquire);
                if id != 0 {
                    f(id, self.record(id));
                }
            }
        }
    }

    /// No id that was given until now is as large as this.
    pub(super) fn end(&self) -> usize {
        // ORDERING: Relaxed; it publishes nothing, and others may take words meanwhile.
        self.used.load(Relaxed)
    }
}

enum Found<'a> {
    Id(StackId),
    /// An empty slot, and its number.
    Slot(&'a AtomicU32, usize),
    Full,
}

const fn size_of_level(level: usize) -> usize {
    FIRST_LEVEL << level
}

const fn high_half(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// A hash of 64 bits: return addresses two at a time, each pair in a chain of its own.
#[inline]
pub(super) fn hash(frames: &[usize]) -> u64 {
    const K: [u64; 3] = [
        0x9e37_79b9_7f4a_7c15,
        0xd1b5_4a32_d192_ed03,
        0x8cb9_2ba7_2f3d_8dd7,
    ];
    let (mut one, mut two) = (K[0], K[1] ^ frames.len() as u64);
    let pairs = frames.chunks_exact(2);
    let last = pairs.remainder().first().copied().unwrap_or_default();
    for pair in pairs {
        one = fold(one ^ pair[0] as u64, K[1]);
        two = fold(two ^ pair[1] as u64, K[2]);
    }
    fold(fold(one ^ last as u64, K[2]) ^ two, K[0])
}

/// Both halves of a product, one upon the other.
#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::super::unordered::in_two_threads;
    use super::*;

    fn intern(stacks: &Stacks, frames: &[usize]) -> StackId {
        stacks.intern(frames, hash(frames)).expect("there is room")
    }

    #[test]
    fn a_stack_has_one_number_and_keeps_it_through_all_levels() {
        static STACKS: Stacks = Stacks::new();
        assert!(STACKS.prepare());
        let stack = |n: usize| (0..n % 30).map(|depth| n * 31 + depth).collect::<Vec<_>>();
        let ids: Vec<_> = (0..20_000).map(|n| intern(&STACKS, &stack(n))).collect();
        for (n, id) in ids.iter().enumerate() {
            assert_eq!(intern(&STACKS, &stack(n)), *id);
            assert_eq!(STACKS.frames(*id), stack(n));
        }
        assert!(STACKS.newest.load(Relaxed) >= 2);
        // Stacks of no frames are all the same.
        let distinct = ids.len() - ids.iter().filter(|&&id| id == ids[0]).count() + 1;
        let mut count = 0;
        STACKS.each(|_, _| count += 1);
        assert_eq!(count, distinct);
    }

    #[test]
    fn threads_that_meet_a_stack_together_get_a_number_each_can_use() {
        static STACKS: Stacks = Stacks::new();
        assert!(STACKS.prepare());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for n in 0..10_000_usize {
                        let frames = [n, n + 1, n + 2];
                        let id = intern(&STACKS, &frames);
                        assert_eq!(STACKS.frames(id), frames);
                    }
                });
            }
        });
    }

    #[test]
    fn who_learns_that_there_is_room_can_use_it() {
        static STACKS: Stacks = Stacks::new();
        in_two_threads(
            || usize::from(STACKS.prepare_for(32 << 10, 32 << 10)),
            |_| {
                let id = intern(&STACKS, &[1, 2]);
                assert_eq!(STACKS.frames(id), [1, 2]);
            },
        );
    }

    #[test]
    fn who_finds_a_stack_finds_it_whole() {
        static STACKS: Stacks = Stacks::new();
        assert!(STACKS.prepare());
        in_two_threads(
            || intern(&STACKS, &[7, 8, 9]) as usize,
            |id| assert_eq!(intern(&STACKS, &[7, 8, 9]) as usize, id),
        );
    }

    /// Another thread has taken the slot that was empty.
    #[test]
    fn who_finds_a_stack_in_the_next_slot_finds_it_whole() {
        static STACKS: Stacks = Stacks::new();
        let (first, second, at) = ([1, 2], [3, 4], 5);
        assert!(STACKS.prepare() && STACKS.intern(&first, at as u64).is_some());
        in_two_threads(
            || {
                let id = STACKS.add(&second, at as u64).expect("there is room");
                let slots = STACKS.levels[0].slots.load(Relaxed);
                // SAFETY: the level is open, and has more slots.
                let slot = unsafe { &*slots.wrapping_add(at) };
                STACKS.put(0, slot, at, id) as usize
            },
            |id| {
                let found = STACKS.intern(&second, at as u64);
                assert_eq!(found.map(|found| found as usize), Some(id));
            },
        );
    }

    /// That is not open yet.
    #[test]
    fn who_opens_another_threads_level_finds_its_zeros() {
        static STACKS: Stacks = Stacks::new();
        assert!(STACKS.prepare());
        in_two_threads(
            || usize::from(STACKS.make_level(1)),
            |_| {
                assert!(STACKS.open(1));
                let id = intern(&STACKS, &[7, 8, 9]);
                assert_eq!(intern(&STACKS, &[7, 8, 9]), id);
            },
        );
    }

    #[test]
    fn who_goes_through_all_stacks_finds_each_whole() {
        static STACKS: Stacks = Stacks::new();
        in_two_threads(
            || {
                assert!(STACKS.prepare());
                intern(&STACKS, &[7, 8, 9]) as usize
            },
            |id| {
                let mut found = Vec::new();
                STACKS.each(|id, _| found.push((id as usize, STACKS.frames(id))));
                assert_eq!(found, [(id, &[7, 8, 9][..])]);
            },
        );
    }

    /// Words that are taken and given back could be another's in between.
    #[test]
    fn a_stack_that_has_no_room_takes_none_for_a_moment() {
        static STACKS: Stacks = Stacks::new();
        const WORDS: usize = 512;
        assert!(STACKS.prepare_for(WORDS * 8, WORDS * 8));
        let tries = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..2_000_000 {
                    assert_eq!(STACKS.reserve(WORDS), None);
                    tries.fetch_add(1, Relaxed);
                }
            });
            let kept: Vec<_> = (0..60_usize)
                .filter_map(|n| {
                    let frames = vec![n; n % 7];
                    Some((STACKS.intern(&frames, hash(&frames))?, frames))
                })
                .collect();
            assert!(kept.len() > 40);
            for (id, frames) in kept {
                assert_eq!(STACKS.frames(id), frames);
            }
            while tries.load(Relaxed) < 2_000_000 {
                let end = STACKS.end();
                assert!(end <= WORDS, "{end}");
            }
        });
    }

    #[test]
    fn without_memory_for_a_level_a_stack_has_one_number_or_none() {
        static STACKS: Stacks = Stacks::new();
        assert!(STACKS.prepare());
        // SAFETY: the child allocates nothing, and leaves.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let none = libc::rlimit {
                rlim_cur: 0,
                rlim_max: 0,
            };
            // SAFETY: the limits of this process, which is about to end.
            let limited = unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const none) };
            let mut ids = [None; 3 * FIRST_LEVEL];
            let intern = |n| STACKS.intern(&[n, 1, 2], hash(&[n, 1, 2]));
            for (n, id) in ids.iter_mut().enumerate() {
                *id = intern(n);
            }
            let count = ids.iter().flatten().count();
            let right = limited == 0
                && (FIRST_LEVEL / 2..FIRST_LEVEL).contains(&count)
                && ids.iter().enumerate().all(|(n, id)| intern(n) == *id);
            // SAFETY: leaves at once.
            unsafe { libc::_exit(i32::from(!right)) };
        }
        let mut status = 0;
        // SAFETY: waits for the child above.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0);
    }

    #[test]
    fn the_hash_sees_order_length_and_every_frame() {
        let all: [&[usize]; 8] = [
            &[],
            &[0],
            &[0, 0],
            &[1, 2],
            &[2, 1],
            &[1, 2, 0],
            &[1, 2, 0, 0],
            &[1, 2, 3],
        ];
        for (i, one) in all.iter().enumerate() {
            for two in &all[i + 1..] {
                assert_ne!(hash(one), hash(two), "{one:?} {two:?}");
            }
        }
    }
}
