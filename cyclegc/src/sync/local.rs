//! What a thread keeps for itself: how many objects it made and ended, and where its
//! destructors are.
//!
//! Nothing here is waited for by anybody. The numbers go to the [`census`](crate::sync::census)
//! every so often and when the thread ends; there is no destructor, so that this can be used
//! for as long as the thread runs anything, by the destructors of other thread-locals too.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::sync::domain::domain;
use crate::sync::header::Object;
use crate::sync::types::maybe_const;

pub(crate) struct Local {
    /// Tracked objects made minus those ended that the census does not know of.
    balance: Cell<i32>,
    /// The census is told where the balance reaches one of these.
    high: Cell<i32>,
    low: Cell<i32>,
    /// The thread tells the census when it ends.
    #[cfg_attr(loom, expect(dead_code, reason = "no model counts objects"))]
    opened: Cell<bool>,
    /// That was told: the thread is in its last destructors.
    #[cfg_attr(loom, expect(dead_code, reason = "no model counts objects"))]
    closed: Cell<bool>,
    /// A collection runs in this thread, or code that it called.
    pub(crate) collecting: Cell<bool>,
    /// The thread holds the lock of the collector: it must not wait for it.
    pub(crate) proving: Cell<bool>,
    number: Cell<usize>,

    /// Where the stack was when the outermost destructor of an object started; 0 if none
    /// runs.
    pub(crate) stack_base: Cell<usize>,
    /// Objects whose count is 0 and whose end waits (CPython's trashcan).
    pub(crate) pending: RefCell<Vec<Object>>,
    /// `pending` is not empty.
    pub(crate) has_pending: Cell<bool>,
    /// The outermost destructor is ending what waits.
    pub(crate) draining: Cell<bool>,
}

/// Objects of which the census need not know at once.
const BALANCE: i32 = 64;

#[cfg(not(loom))]
thread_local! {
    static LOCAL: std::mem::ManuallyDrop<Local> =
        const { std::mem::ManuallyDrop::new(Local::new()) };
    static CLOSER: Closer = const { Closer };
}

#[cfg(loom)]
loom::thread_local! {
    static LOCAL: Local = Local::new();
}

/// Runs `f` on this thread's part.
#[cfg(not(loom))]
#[inline(always)]
pub(crate) fn with<R>(f: impl FnOnce(&Local) -> R) -> R {
    // Small enough to be inlined everywhere, whatever `f` is.
    let local = LOCAL.with(|local| std::ptr::from_ref(&**local));
    // SAFETY: it has no destructor, so it lives as long as the thread runs, and `f`
    // cannot keep the reference longer than this call.
    f(unsafe { &*local })
}

#[cfg(loom)]
pub(crate) fn with<R>(f: impl FnOnce(&Local) -> R) -> R {
    LOCAL.with(f)
}

impl Local {
    maybe_const! {
        fn new() -> Self {
            Local {
                balance: Cell::new(0),
                high: Cell::new(0),
                low: Cell::new(0),
                opened: Cell::new(false),
                closed: Cell::new(false),
                collecting: Cell::new(false),
                proving: Cell::new(false),
                number: Cell::new(usize::MAX),
                stack_base: Cell::new(0),
                pending: RefCell::new(Vec::new()),
                has_pending: Cell::new(false),
                draining: Cell::new(false),
            }
        }
    }

    /// Counts a tracked object that is about to be made; true if it may be time to collect.
    #[inline(always)]
    #[must_use]
    pub(crate) fn born(&self) -> bool {
        let balance = self.balance.get() + 1;
        self.balance.set(balance);
        balance >= self.high.get() && self.report()
    }

    /// Counts a tracked object that ends.
    #[inline(always)]
    pub(crate) fn died(&self) {
        let balance = self.balance.get() - 1;
        self.balance.set(balance);
        if balance <= self.low.get() {
            let _ = self.report();
        }
    }

    /// Tells the census; true if it may be time to collect.
    #[cold]
    pub(crate) fn report(&self) -> bool {
        let limit = self.open();
        self.high.set(limit);
        self.low.set(-limit);
        domain().census.add(self.balance.replace(0).into())
    }

    /// Makes sure that the census is told when the thread ends; returns how long it may
    /// wait: not at all if the thread is beyond that.
    fn open(&self) -> i32 {
        #[cfg(not(loom))]
        if self.closed.get() || !self.opened.replace(true) && CLOSER.try_with(|_| ()).is_err() {
            return 0;
        }
        let threshold = domain().census.threshold().young / 8;
        i32::try_from(threshold).map_or(BALANCE, |limit| limit.clamp(1, BALANCE))
    }

    /// Tells threads apart, as well as need be.
    pub(crate) fn number(&self) -> usize {
        static NEXT: AtomicUsize = AtomicUsize::new(0);

        if self.number.get() == usize::MAX {
            // ORDERING: Relaxed: any numbers will do.
            self.number
                .set(NEXT.fetch_add(1, Relaxed) & (usize::MAX >> 1));
        }
        self.number.get()
    }

    /// The thread ends: from here on, the census is told at once.
    #[cfg(not(loom))]
    fn close(&self) {
        self.closed.set(true);
        let _ = self.report();
        if let Ok(mut pending) = self.pending.try_borrow_mut()
            && pending.is_empty()
        {
            *pending = Vec::new();
        }
    }
}

#[cfg(not(loom))]
struct Closer;

#[cfg(not(loom))]
impl Drop for Closer {
    fn drop(&mut self) {
        with(Local::close);
    }
}
