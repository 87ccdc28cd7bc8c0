//! A thread's heap: a front for each size class, and the pools it owns.
//!
//! ```text
//!  alloc ─▶ pop ─▶ block                          free ─▶ push
//!            │ front empty                                 │ front over capacity
//!            ▼                                             ▼
//!          refill                                        spill
//!            │ 1 the front's older list                    │ the older list, run by run
//!            │ 2 an own pool: free list, carve, collect    ▼
//!            │ 3 the commons: borrow a few blocks       give_back
//!            │ 4 adopt a common pool, or a new one         │ own pool:      free_local
//!            ▼                                             │ owned, other:  remote push
//!          block                                           ▼ common:        commons.free
//! ```
//!
//! # States of the heap
//! `New` (not used yet, or there was no memory to enlist the thread) → `Live` → `Guest` (the
//! thread is exiting, or nobody would tell of its exit). A guest owns nothing: it borrows single
//! blocks and gives each back at once, so allocation works in any destructor, and nothing is left
//! behind. So does a new heap with what it frees, up to a number (`ENLISTING_FREE`), and for as
//! long as it cannot be enlisted.
//!
//! # Invariants
//! 1. A pool whose owner is this heap's `id` is either on `pools` of its class, or
//!    full, or on its way to this heap's mailbox.
//! 2. Only this heap's thread makes its `id` a pool's owner, and only it, or a
//!    thread that found its mailbox closed, makes the pool common.
//!
//! # Access
//! The thread alone.

#[cfg(not(loom))]
mod inspect;
#[cfg(all(feature = "trace", not(any(loom, miri))))]
mod traced;

use core::cell::Cell;
use core::ptr;

use crate::block::{Chain, Taken};
use crate::config::{ARENA_SIZE, POOL_SIZE};
use crate::front::{Front, Hand, Rest};
use crate::pool::{Held, OwnerId, Pool};
use crate::region;
use crate::registry::Member;
use crate::remote_free::Pushed;
use crate::shared::Shared;
use crate::size_class::SizeClass;
use crate::trace::HeapTrace;

/// Blocks carved at once: as many as fill this many bytes, a page, ...
const CARVE_BYTES: usize = 4 << 10;
/// ... but no more than this.
const CARVE_MOST: usize = 128;
/// A class is borrowed for in steps that double from this many bytes ...
const BORROW_FIRST: usize = 64;
/// ... to this many; then the thread gets a pool of its own.
const BORROW_LAST: usize = if cfg!(loom) { 1 } else { 2 << 10 };

/// A thread that gave back this many bytes more than it fetched is shrinking: its
/// fronts are emptied and kept short, because a block in a front keeps a whole pool.
const SHRINKING_BYTES: usize = 1 << 20;
/// The capacity of a front while the thread is shrinking, unless what is freed lies together:
/// then it doubles with each list that goes home, up to what it is else.
const SHORT_FRONT: u32 = 4;
/// A list whose blocks lie together has no more runs than these.
const FEW_RUNS: u32 = 2;

/// So many bytes of blocks larger than these may lie in a heap's fronts when it wants
/// another pool of such blocks: beyond, they go home first, and may leave it a pool.
const IDLE_BYTES: usize = 64 << 10;
/// The classes of these blocks: those whose pools are larger than the smallest.
const IDLE_FROM: usize = POOL_SIZE / 8;
/// The appetite of a class that grows: it has had two to seven pools, by its size.
const GROWING: u8 = 8;

/// A thread that only frees is enlisted with its free of this number. Where this is C's
/// malloc, the C library may free what other threads have left (glibc: the thread-local
/// memory of stacks that it no longer keeps) after a thread's exit was told, and if that is the
/// first that this thread does with memory, nobody will be told of its exit. (Nor where a
/// thread uses memory first in the last round of its keys' destructors.)
#[cfg(not(loom))]
const ENLISTING_FREE: usize = if cfg!(feature = "initial-exec") {
    65
} else {
    1
};

/// The heap of one thread.
#[derive(Debug)]
pub(crate) struct Heap {
    hands: [Hand; SizeClass::COUNT],
    rests: [Rest; SizeClass::COUNT],
    /// Bytes given back to pools less bytes fetched from them, within 0 and
    /// `2 * SHRINKING_BYTES`; while the heap is new, how many blocks were given back.
    given: Cell<usize>,
    /// 0 unless live.
    id: Cell<OwnerId>,
    member: Cell<Option<&'static Member>>,
    state: Cell<State>,
    pub(crate) trace: HeapTrace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum State {
    /// The memory of a new thread-local, which is zeros, says this.
    New = 0,
    Live,
    Guest,
}

impl Heap {
    /// The heap of a thread that has not allocated yet.
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self {
            hands: [const { Hand::new() }; SizeClass::COUNT],
            rests: [const { Rest::new() }; SizeClass::COUNT],
            given: Cell::new(0),
            id: Cell::new(0),
            member: Cell::new(None),
            state: Cell::new(State::New),
            trace: HeapTrace::new(),
        }
    }

    /// The heap of a thread that has not allocated yet.
    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self {
            hands: std::array::from_fn(|_| Hand::new()),
            rests: std::array::from_fn(|_| Rest::new()),
            given: Cell::new(0),
            id: Cell::new(0),
            member: Cell::new(None),
            state: Cell::new(State::New),
            trace: HeapTrace::new(),
        }
    }

    /// The blocks at hand of a class.
    #[inline(always)]
    pub(crate) fn hand(&self, class: SizeClass) -> &Hand {
        // SAFETY: a class's number is below COUNT.
        unsafe { self.hands.get_unchecked(class.index()) }
    }

    /// The class of one of this heap's hands: so the hit paths keep an address alone.
    pub(crate) fn class_of(&self, hand: &Hand) -> SizeClass {
        let offset = ptr::from_ref(hand).addr() - self.hands.as_ptr().addr();
        SizeClass::from_index(offset / size_of::<Hand>()).unwrap_or(SizeClass::SMALLEST)
    }

    fn front(&self, class: SizeClass) -> Front<'_> {
        // SAFETY: a class's number is below COUNT.
        let rest = unsafe { self.rests.get_unchecked(class.index()) };
        Front::new(self.hand(class), rest)
    }

    /// Whether the thread has yet to be enlisted or made a guest.
    pub(crate) fn is_new(&self) -> bool {
        self.state.get() == State::New
    }

    /// Counts a free of a new heap; whether there were so many that the thread should be
    /// enlisted for them.
    #[cfg(not(loom))]
    pub(crate) fn has_freed_many(&self) -> bool {
        let freed = self.given.get() + 1;
        self.given.set(freed);
        freed >= ENLISTING_FREE
    }

    /// Calls `f`, which may allocate, with a new heap as a guest's: nothing that `f` does
    /// enlists the thread.
    #[cfg(not(loom))]
    pub(crate) fn as_guest<R>(&self, f: impl FnOnce() -> R) -> R {
        if !self.is_new() {
            return f();
        }
        self.state.set(State::Guest);
        let result = f();
        self.state.set(State::New);
        result
    }

    /// Gives the thread its place in the registry; where `willing` is false it is a guest, and
    /// without memory for a place it stays new.
    pub(crate) fn enlist(&self, shared: &Shared, willing: bool) {
        debug_assert!(self.is_new());
        if !willing {
            self.state.set(State::Guest);
        } else if let Some((id, member)) = shared.registry.enlist() {
            self.given.set(0);
            self.id.set(id);
            self.member.set(Some(member));
            self.state.set(State::Live);
            for class in SizeClass::all() {
                self.front(class).open(self.front_capacity(class));
            }
        }
    }

    /// A block for a thread whose front is empty; null if memory has run out.
    pub(crate) fn refill(&self, shared: &Shared, class: SizeClass) -> *mut u8 {
        let front = self.front(class);
        if self.state.get() != State::Live {
            let taken = borrow(shared, class, 1);
            return taken.map_or(core::ptr::null_mut(), |taken| taken.first.cast());
        }
        let taken = front.take_older().or_else(|| {
            let fetched = self.fetch(shared, class)?;
            let bytes = fetched.len as usize * class.block_size();
            self.given.set(self.given.get().saturating_sub(bytes));
            Some(fetched)
        });
        let Some(taken) = taken else {
            return core::ptr::null_mut();
        };
        let block = front.load(taken, self.front_capacity(class));
        self.note_cached(class);
        block.cast()
    }

    /// Tells the registry how many blocks the front has.
    fn note_cached(&self, class: SizeClass) {
        if let Some(member) = self.member.get() {
            member.set_cached(class, self.front(class).len());
        }
    }

    /// The capacity of a front: none where every step has to be a slow one.
    fn front_capacity(&self, class: SizeClass) -> u32 {
        if self.trace.is_exact() {
            0
        } else {
            self.list_capacity(class)
        }
    }

    /// The largest capacity that a front may have now.
    fn longest_front(&self, class: SizeClass) -> u32 {
        if self.trace.is_exact() {
            0
        } else {
            class.front_capacity()
        }
    }

    /// How long a front's list may become.
    fn list_capacity(&self, class: SizeClass) -> u32 {
        if self.is_shrinking() {
            class.front_capacity().min(SHORT_FRONT)
        } else {
            class.front_capacity()
        }
    }

    fn is_shrinking(&self) -> bool {
        self.given.get() > SHRINKING_BYTES
    }

    /// Free blocks from where they cost least.
    fn fetch(&self, shared: &Shared, class: SizeClass) -> Option<Taken> {
        self.collect_mail(shared);
        let front = self.front(class);
        while let Some(pool) = front.pools().first() {
            if let Some(taken) = take_or_carve(pool, class) {
                return Some(taken);
            }
            if !pool.collect() {
                used_to_full(front, pool);
            }
        }
        let step = BORROW_FIRST.max(class.block_size()) << front.appetite().get();
        if step <= BORROW_LAST {
            front.appetite().set(front.appetite().get() + 1);
            let most = (step / class.block_size()) as u32;
            return borrow(shared, class, most);
        }
        let pool = self.own_another(shared, class)?;
        take_or_carve(pool, class)
    }

    /// A pool with room that this heap did not own until now.
    fn own_another(&self, shared: &Shared, class: SizeClass) -> Option<Held> {
        let mailbox = self.member.get()?.mailbox();
        let pool = match shared.commons.adopt(class, self.id.get(), mailbox) {
            Some(pool) => pool,
            None => {
                self.give_back_idle(shared, class);
                let (pool, growth) = shared.arenas.take_pool(class, self.grows(class))?;
                shared.make_way_for_arenas(growth);
                pool.set_owner(self.id.get(), mailbox);
                pool.pool().remote.make_owned();
                pool
            }
        };
        self.front(class).pools().push(pool);
        Some(pool)
    }

    /// Notes that a class gets a new pool; whether it has had some, and fills them: of large
    /// blocks much may never be touched.
    fn grows(&self, class: SizeClass) -> bool {
        if class.pool_size() == ARENA_SIZE {
            return false;
        }
        let appetite = self.front(class).appetite();
        let grows = appetite.get() >= GROWING;
        if !grows {
            let more = class.pool_size() / POOL_SIZE;
            appetite.set(appetite.get() + more as u8);
        }
        grows
    }

    /// Empties the fronts of classes of large blocks, if much lies there and a pool for
    /// such blocks is wanted: a block in a front that no longer moves keeps its pages,
    /// and no other class can use them.
    fn give_back_idle(&self, shared: &Shared, wanted: SizeClass) {
        if wanted.block_size() <= IDLE_FROM {
            return;
        }
        let large = || SizeClass::all().filter(|class| class.block_size() > IDLE_FROM);
        let idle = |class: SizeClass| self.front(class).len() as usize * class.block_size();
        if large().map(idle).sum::<usize>() > IDLE_BYTES {
            large().for_each(|class| self.empty_front(shared, class));
        }
    }

    /// Takes in the full pools that came back with room.
    fn collect_mail(&self, shared: &Shared) {
        let Some(mailbox) = self.member.get().map(Member::mailbox) else {
            return;
        };
        if mailbox.is_empty() {
            return;
        }
        for pool in mailbox.take() {
            // The mailbox may have been another thread's, and the pool too.
            if !pool.pool().is_owned_by(self.id.get()) {
                pool.recount();
                pool.set_owner(self.id.get(), mailbox);
            }
            pool.collect();
            if pool.is_empty() {
                shared.arenas.release_pool(pool);
            } else {
                self.front(pool.pool().class()).pools().push(pool);
            }
        }
    }

    /// Gives blocks of an overfull front back, and leaves it with room.
    pub(crate) fn spill(&self, shared: &Shared, class: SizeClass) {
        let front = self.front(class);
        if self.state.get() != State::Live {
            for list in front.close().into_iter().flatten() {
                self.give_back(shared, class, list);
            }
        } else {
            let capacity = self.front_capacity(class);
            if let Some(older) = front.rotate(capacity) {
                let runs = self.give_back(shared, class, older);
                if runs <= FEW_RUNS {
                    front.lengthen(older.len, self.longest_front(class));
                }
                self.count_given(shared, older.len as usize * class.block_size());
            }
        }
        self.note_cached(class);
    }

    /// Takes the one block that was pushed to a front without room.
    #[cfg(not(loom))]
    pub(crate) fn take_back(&self, class: SizeClass) -> *mut u8 {
        let [pushed, _] = self.front(class).close();
        pushed.map_or(ptr::null_mut(), |pushed| pushed.first.cast())
    }

    /// Counts bytes given back; empties all fronts when the thread starts to shrink,
    /// and again each time it has shrunk as much.
    fn count_given(&self, shared: &Shared, bytes: usize) {
        let before = self.given.get();
        let after = before + bytes;
        self.given.set(after);
        if before <= SHRINKING_BYTES && after > SHRINKING_BYTES || after > 2 * SHRINKING_BYTES {
            self.given.set(SHRINKING_BYTES + 1);
            SizeClass::all().for_each(|class| self.empty_front(shared, class));
        }
    }

    /// Gives a list of free blocks back to their pools, run by run: neighbours in
    /// the list often lie in one pool. How many runs there were.
    fn give_back(&self, shared: &Shared, class: SizeClass, list: Taken) -> u32 {
        let mut runs = 0;
        let mut rest = Some(list);
        while let Some(list) = rest {
            let chain;
            // SAFETY: the list's blocks are the thread's.
            (chain, rest) = unsafe { list.split_run(class.pool_size()) };
            runs += 1;
            // SAFETY: a block of ours, of this class.
            let pool = unsafe { region::pool_of(chain.first.addr(), class) };
            if pool.is_owned_by(self.id.get()) {
                self.free_local(shared, class, pool, chain);
            } else {
                free_remote(shared, pool, chain);
            }
        }
        runs
    }

    /// Frees blocks of a pool of this heap's.
    fn free_local(&self, shared: &Shared, class: SizeClass, pool: &'static Pool, chain: Chain) {
        // SAFETY: this heap owns it; if it is on its way to the mailbox, whoever
        // brings it touches its link alone, which is not touched here.
        let pool = unsafe { Held::new(pool) };
        // SAFETY: the chain is of this pool, and the thread's.
        unsafe { pool.put(chain) };
        let front = self.front(class);
        if !pool.is_listed() {
            if !pool.pool().remote.reopen() {
                // On its way to the mailbox, with a block to collect: not empty.
                return;
            }
            front.pools().push(pool);
        }
        if pool.is_empty() {
            front.pools().remove(pool);
            shared.arenas.release_pool(pool);
        }
    }

    /// Gives back all free blocks the thread has, and every pool that is empty then.
    pub(crate) fn flush(&self, shared: &Shared) {
        self.collect_mail(shared);
        for class in SizeClass::all() {
            self.empty_front(shared, class);
            let pools = self.front(class).pools();
            let mut next = pools.first();
            while let Some(pool) = next {
                next = pools.after(pool);
                if pool.collect() && pool.is_empty() {
                    pools.remove(pool);
                    shared.arenas.release_pool(pool);
                }
            }
        }
    }

    /// Gives back the free blocks of a class that the thread has.
    fn empty_front(&self, shared: &Shared, class: SizeClass) {
        let front = self.front(class);
        let [current, older] = front.close();
        if let Some(list) = current {
            self.give_back(shared, class, list);
        }
        if let Some(list) = older {
            self.give_back(shared, class, list);
        }
        if self.state.get() == State::Live {
            front.open(self.front_capacity(class));
        }
        self.note_cached(class);
    }

    /// The thread exits: its blocks go home, its pools to the commons. What it does
    /// with memory afterwards, it does as a guest.
    pub(crate) fn exit(&self, shared: &Shared) {
        let Some(member) = self.member.get() else {
            return;
        };
        // A guest's fronts stay closed.
        self.state.set(State::Guest);
        self.flush(shared);
        // Pools that come too late for the mailbox go to the commons by the hand of
        // whoever brings them.
        for pool in member.mailbox().close() {
            shared.commons.take_in(&shared.arenas, pool);
        }
        for class in SizeClass::all() {
            let pools = self.front(class).pools();
            while let Some(pool) = pools.first() {
                pools.remove(pool);
                shared.commons.take_in(&shared.arenas, pool);
            }
        }
        self.id.set(0);
        self.member.set(None);
        shared.registry.retire(member);
    }
}

/// Blocks of a pool, those that were out before first: they are warm. Of a pool of the
/// smallest size all of these; of a larger one no more than fit a front.
fn take_or_carve(pool: Held, class: SizeClass) -> Option<Taken> {
    let free = if class.pool_size() == POOL_SIZE {
        pool.take_free()
    } else {
        pool.take_free_up_to(class.front_capacity())
    };
    let most = (CARVE_BYTES / class.block_size()).clamp(1, CARVE_MOST) as u32;
    free.or_else(|| pool.carve(most))
}

/// Up to `most` blocks of a common pool.
fn borrow(shared: &Shared, class: SizeClass, most: u32) -> Option<Taken> {
    let (taken, growth) = shared.commons.borrow(&shared.arenas, class, most)?;
    shared.make_way_for_arenas(growth);
    Some(taken)
}

/// Takes a pool without a free block off its list, unless one comes back meanwhile.
fn used_to_full(front: Front<'_>, pool: Held) {
    front.pools().remove(pool);
    if !pool.pool().remote.try_full() {
        front.pools().push(pool);
    }
}

/// Frees blocks of a pool that another heap owns, or none.
fn free_remote(shared: &Shared, pool: &'static Pool, chain: Chain) {
    loop {
        // SAFETY: the chain is of this pool, and the thread's.
        match unsafe { pool.remote.push(pool.base(), chain) } {
            Pushed::Queued => return,
            Pushed::First => {
                // SAFETY: the push that leaves `FULL` holds the pool.
                let pool = unsafe { Held::new(pool) };
                // SAFETY: a full pool's owner had a mailbox; they are never freed.
                let home = unsafe { &*pool.home() };
                if home.post(pool).is_err() {
                    pool.recount();
                    shared.commons.take_in(&shared.arenas, pool);
                }
                return;
            }
            Pushed::Common => {
                // SAFETY: as for the push.
                if unsafe { shared.commons.free(&shared.arenas, pool, chain) } {
                    return;
                }
                // Adopted since: there is an owner to push to.
            }
        }
    }
}

#[cfg(loom)]
impl Heap {
    /// Asks that the front has the blocks it counts.
    pub(crate) fn assert_front_counted(&self, class: SizeClass) {
        let front = self.front(class);
        assert_eq!(front.blocks().count(), front.len() as usize);
    }
}
