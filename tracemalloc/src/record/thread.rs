//! The recorder's part of each thread: whether it is inside the recorder, and what it needs there.
//!
//! ```text
//!  thread-local: busy, quiet, ──▶ Thread, mapped: number, counters, caches, room for a stack
//!                                    │        ▲
//!                      thread exits: │        │ first block of another thread
//!                      counters are  ▼        │
//!                      passed on     free ────┘
//! ```
//! The thread-local part has no destructor of Rust's, so it can be used at any time; the thread's
//! exit is learned from a pthread key. What a thread does with memory after that, it does with a
//! `Thread` taken for that step alone.
//!
//! # Invariants
//! 1. Who is `busy` is in [`inside`] or [`apart`], at most once: what a signal handler allocates
//!    meanwhile is not recorded, and what it frees stays in the tables until its address is used
//!    again.
//! 2. A `Thread` that is `taken` is one thread's. They are never unmapped.
//!
//! # Access
//! The counters are written by the thread, and read by any. All else is the thread's.

use std::cell::{Cell, UnsafeCell};
use std::ops::Range;
use std::ptr::{NonNull, null_mut};
use std::sync::OnceLock;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64};

use super::counters::Share;
use super::memory;
use super::roll;
use super::sampling;
use super::stacks::StackId;
use super::walk;

/// Addresses of a stack that are kept, at most; CPython's limit of frames.
pub(super) const MOST_FRAMES: usize = u16::MAX as usize;
/// Room for a stack: the limit, and what is left out of it afterwards.
const FRAMES_ROOM: usize = MOST_FRAMES + 1 + 64;

const CACHED_STACKS: usize = 1 << 10;

/// A thread's part.
#[derive(Debug)]
pub(super) struct Thread {
    next: AtomicPtr<Thread>,
    taken: AtomicBool,
    pub(super) share: Share,
    /// A number that no other thread has, or had.
    number: AtomicU64,
    own: UnsafeCell<Own>,
}

/// What only the thread itself looks at.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) stack: Range<usize>,
    random: u64,
    /// The generation of settings that `random` was seeded for.
    seeded: u64,
    /// Stacks met before, each at the place that its hash says.
    cached: [(u64, StackId); CACHED_STACKS],
    /// Null until the thread walks by unwind tables; then a box, kept for the next thread.
    #[cfg(feature = "framehop")]
    pub(super) rules: *mut super::unwind::Cache,
    frames: [usize; FRAMES_ROOM],
}

// SAFETY: `own` is touched by the thread that has taken it (invariant 2).
unsafe impl Sync for Thread {}

/// All threads' parts, in use or not.
static ALL: AtomicPtr<Thread> = AtomicPtr::new(null_mut());

struct Local {
    thread: Cell<Option<&'static Thread>>,
    busy: Cell<bool>,
    quiet: Cell<bool>,
    /// Whether the thread is about to fork, or just did, and has all locks of `live.rs`.
    forking: Cell<bool>,
    exited: Cell<bool>,
    /// The thread's number; 0 before its first block.
    number: Cell<u64>,
    /// Bytes to the next sample of a foreign allocator's, and the settings they were drawn for.
    foreign: Cell<(i64, u64)>,
}

thread_local! {
    static LOCAL: Local = const {
        Local {
            thread: Cell::new(None),
            busy: Cell::new(false),
            quiet: Cell::new(false),
            forking: Cell::new(false),
            exited: Cell::new(false),
            number: Cell::new(0),
            foreign: Cell::new((0, 0)),
        }
    };
}

/// Calls `f` with the thread's part, unless the thread is inside already, or there is no memory
/// for its part.
#[inline]
pub(super) fn inside<R>(f: impl FnOnce(&'static Thread) -> R) -> Option<R> {
    LOCAL.with(|local| {
        if local.busy.replace(true) {
            return None;
        }
        let _leave = Leave(local);
        let thread = local.thread.get().or_else(|| enlist(local));
        let result = thread.map(f);
        if local.exited.get()
            && let Some(thread) = local.thread.take()
        {
            thread.release();
        }
        result
    })
}

/// The same for the tables of `live.rs`, which a thread that forks leaves alone.
#[inline]
pub(super) fn inside_with_tables<R>(f: impl FnOnce(&'static Thread) -> R) -> Option<R> {
    if is_forking() {
        return None;
    }
    inside(f)
}

/// The same without the thread's part, so that no memory is needed: for who goes through all of
/// `live.rs`.
pub(super) fn apart<R>(f: impl FnOnce() -> R) -> Option<R> {
    LOCAL.with(|local| {
        if local.busy.replace(true) {
            return None;
        }
        let _leave = Leave(local);
        Some(f())
    })
}

/// Ends what [`inside`] began, even by a panic.
struct Leave<'a>(&'a Local);

impl Drop for Leave<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.busy.set(false);
    }
}

/// Says whether this thread has all locks, for a fork.
pub(super) fn set_forking(forking: bool) {
    LOCAL.with(|local| local.forking.set(forking));
}

/// Whether this thread has all locks of the recorder's, for a fork.
pub(crate) fn is_forking() -> bool {
    LOCAL.with(|local| local.forking.get())
}

/// Calls `f`; what this thread allocates meanwhile is not recorded.
pub(super) fn quietly<R>(f: impl FnOnce() -> R) -> R {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            LOCAL.with(|local| local.quiet.set(self.0));
        }
    }
    let _before = Before(LOCAL.with(|local| local.quiet.replace(true)));
    f()
}

/// Whether this thread's allocations are not to be recorded.
pub(super) fn is_quiet() -> bool {
    LOCAL.with(|local| local.quiet.get())
}

/// Spends bytes of a draw for `generation` of the settings; whether they have run out, so that
/// another draw is due. `draw` gives it.
#[inline]
pub(super) fn spend_foreign(size: usize, generation: u64, draw: impl Fn() -> u64) -> bool {
    LOCAL.with(|local| {
        let (mut left, drawn_for) = local.foreign.get();
        if drawn_for != generation {
            left = i64::try_from(draw()).unwrap_or(i64::MAX);
        }
        left = left.saturating_sub_unsigned(size as u64);
        let due = left < 0;
        if due {
            left = i64::try_from(draw()).unwrap_or(i64::MAX);
        }
        local.foreign.set((left, generation));
        due
    })
}

/// Makes ready for threads to exit. Outside the hook.
pub(super) fn prepare() {
    exit_key();
}

/// Calls `f` with each thread's part, in use or not.
pub(super) fn each(mut f: impl FnMut(&'static Thread)) {
    // ORDERING: Acquire receives this part and all that are older, as each exchange continues
    // those before; pairs with `new`.
    let mut next = ALL.load(Acquire);
    // SAFETY: null, or a part, never unmapped.
    while let Some(thread) = unsafe { next.as_ref() } {
        f(thread);
        next = thread.next.load(Relaxed);
    }
}

#[cold]
fn enlist(local: &Local) -> Option<&'static Thread> {
    let thread = take_idle().or_else(new)?;
    // SAFETY: the part was just taken.
    let own = unsafe { thread.own() };
    own.stack = walk::stack_of_this_thread();
    if local.number.get() == 0 {
        local.number.set(roll::enter());
        own.seeded = 0;
    }
    thread.number.store(local.number.get(), Relaxed);
    local.thread.set(Some(thread));
    if !local.exited.get()
        && let Some(key) = exit_key()
    {
        let value: *const Thread = thread;
        // SAFETY: the key is never deleted; it takes such a pointer.
        unsafe { libc::pthread_setspecific(key, value.cast()) };
    }
    Some(thread)
}

fn take_idle() -> Option<&'static Thread> {
    let mut found = None;
    each(|thread| {
        // ORDERING: Acquire receives what the thread that had it left; pairs with `release`.
        let take = || thread.taken.compare_exchange(false, true, Acquire, Relaxed);
        if found.is_none() && !thread.taken.load(Relaxed) && take().is_ok() {
            found = Some(thread);
        }
    });
    found
}

fn new() -> Option<&'static Thread> {
    let place: NonNull<Thread> = memory::map(size_of::<Thread>())?.cast();
    memory::add_used(size_of::<Thread>() - size_of::<[usize; FRAMES_ROOM]>());
    // SAFETY: zeros are a part: numbers, null pointers, false.
    let thread = unsafe { place.as_ref() };
    thread.taken.store(true, Relaxed);
    let mut first = ALL.load(Relaxed);
    loop {
        thread.next.store(first, Relaxed);
        // ORDERING: Release publishes the part; pairs with `each`.
        match ALL.compare_exchange(first, place.as_ptr(), Release, Relaxed) {
            Ok(_) => return Some(thread),
            Err(now) => first = now,
        }
    }
}

/// Frees the parts of all threads but this one, whose numbers `forget` is told: after a fork, in
/// the child, which has not got these threads.
///
/// # Safety
/// This thread is the only one.
pub(super) unsafe fn take_over(forget: impl Fn(u64)) {
    let mine = LOCAL.with(|local| local.thread.get());
    each(|thread| {
        let is_mine = mine.is_some_and(|mine| std::ptr::eq(mine, thread));
        if is_mine || !thread.taken.load(Relaxed) {
            return;
        }
        forget(thread.number());
        // SAFETY: its thread is gone, and this one is alone.
        unsafe { thread.own() }.forget();
        thread.release();
    });
}

fn exit_key() -> Option<libc::pthread_key_t> {
    static KEY: OnceLock<Option<libc::pthread_key_t>> = OnceLock::new();
    *KEY.get_or_init(|| {
        let mut key = 0;
        // SAFETY: the destructor takes what `enlist` stores.
        let made = unsafe { libc::pthread_key_create(&raw mut key, Some(thread_exits)) };
        (made == 0).then_some(key)
    })
}

extern "C" fn thread_exits(_thread: *mut libc::c_void) {
    LOCAL.with(|local| {
        local.exited.set(true);
        if let Some(thread) = local.thread.take() {
            roll::leave(thread.number());
            thread.release();
        }
    });
}

impl Thread {
    fn release(&self) {
        self.share.pass_on();
        // ORDERING: Release leaves everything to the next; pairs with `take_idle`.
        self.taken.store(false, Release);
    }

    #[cfg(test)]
    pub(super) fn is_taken(&self) -> bool {
        self.taken.load(Relaxed)
    }

    /// A number that no other thread has, or had.
    pub(super) fn number(&self) -> u64 {
        self.number.load(Relaxed)
    }

    /// The thread's own part.
    ///
    /// # Safety
    /// The caller is the thread that has taken it, and has no other reference to it.
    #[expect(
        clippy::mut_from_ref,
        reason = "the thread has it alone, by the contract"
    )]
    pub(super) unsafe fn own(&self) -> &mut Own {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.own.get() }
    }
}

impl Own {
    /// The stack that was met with this hash. Of the hashes of all stacks of a program no two are
    /// the same: a million have the chance of `3e-8` that any are.
    #[inline]
    pub(super) fn cached(&self, hash: u64) -> Option<StackId> {
        let (key, id) = self.cached[hash as usize % CACHED_STACKS];
        (key == hash && id != 0).then_some(id)
    }

    /// Keeps the number of the stack with this hash.
    pub(super) fn cache(&mut self, hash: u64, id: StackId) {
        self.cached[hash as usize % CACHED_STACKS] = (hash, id);
    }

    /// Forgets what may have been in the middle of a change when its thread vanished.
    fn forget(&mut self) {
        self.cached = [(0, 0); CACHED_STACKS];
        #[cfg(feature = "framehop")]
        super::unwind::drop_cache(std::mem::replace(&mut self.rules, null_mut()));
    }

    /// Room for a stack.
    #[inline]
    pub(super) fn frames(&mut self) -> &mut [usize; FRAMES_ROOM] {
        &mut self.frames
    }

    /// The next random number of this thread's, in this generation of settings.
    pub(super) fn random(&mut self, generation: u64, seed: u64, number: u64) -> u64 {
        if self.seeded != generation {
            self.seeded = generation;
            self.random = sampling::next_random(seed ^ number.rotate_left(32)).0;
        }
        let (random, state) = sampling::next_random(self.random);
        self.random = state;
        random
    }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::super::unordered::in_two_threads;
    use super::*;

    fn new_part() -> &'static Thread {
        new().expect("there is memory")
    }

    fn address_of(thread: &Thread) -> usize {
        std::ptr::from_ref(thread).addr()
    }

    #[test]
    fn who_goes_through_all_parts_finds_each_whole() {
        in_two_threads(
            || address_of(new_part()),
            |address| {
                let mut found = None;
                each(|thread| {
                    black_box(thread.number());
                    found = found.or((address_of(thread) == address).then_some(thread));
                });
                found.expect("it is among them").release();
            },
        );
    }

    /// Where other tests run, one of their threads may be quicker.
    #[test]
    fn who_takes_an_idle_part_finds_it_as_it_was_left() {
        in_two_threads(
            || {
                let thread = new_part();
                // SAFETY: nobody else has taken it.
                unsafe { thread.own() }.frames()[0] = 1;
                thread.release();
                address_of(thread)
            },
            |address| {
                let taken: Vec<_> = std::iter::from_fn(take_idle).collect();
                for thread in taken {
                    if address_of(thread) == address {
                        // SAFETY: taken.
                        black_box(unsafe { thread.own() }.frames()[0]);
                    }
                    thread.release();
                }
            },
        );
    }
}
