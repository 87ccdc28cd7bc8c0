//! What one thread allocates between two moments.
//!
//! ```text
//!  Counted ── alloc, realloc, dealloc ──▶ COUNTERS, while the thread has a region
//!                                            │ the most bytes since the last look
//!                                            ▼
//!  Region::new, usage, drop ─────────────▶ OPEN: the thread's regions, each with its peak
//! ```
//! The counters see one peak alone. So whenever a region begins, ends or is asked, that peak is
//! handed to all that are open, and starts anew: regions may overlap in any way.

use std::alloc::{GlobalAlloc, Layout, alloc, dealloc};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::hint::black_box;
use std::marker::PhantomData;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use crate::snapshot::Size;

/// An allocator whose blocks [`measure`] and [`Region`] count.
///
/// Each thread counts for itself, without a lock, and only while it has a region: else it costs
/// a look at a thread-local number for each call. Tracing need not be on, and may be.
///
/// ```
/// use std::alloc::System;
/// use tracemalloc::Counted;
///
/// // Or `Counted(pymalloc::PyMalloc)`.
/// #[global_allocator]
/// static GLOBAL: Counted<System> = Counted(System);
///
/// let (list, usage) = tracemalloc::measure(|| vec![0_u8; 1000])?;
/// assert_eq!((usage.allocations, usage.allocated_bytes), (1, 1000));
/// # drop(list);
/// # Ok::<(), tracemalloc::NotCounted>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted<A>(pub A);

/// What a thread has allocated and freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Blocks that were allocated.
    pub allocations: u64,
    /// Times that a block was given another size.
    pub reallocations: u64,
    /// Blocks that were freed.
    pub frees: u64,
    /// Bytes that were asked for: of new blocks, and by how much others grew.
    pub allocated_bytes: u64,
    /// Bytes that were given up: of freed blocks, and by how much others shrank.
    pub freed_bytes: u64,
    /// The most bytes there were at once beyond those at the start. That a block which moves is
    /// in two places for a moment is not counted.
    pub peak_bytes: u64,
}

/// The global allocator is not [`Counted`], or the thread is at the end of its exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotCounted;

/// Calls `f`, and says what the calling thread allocated and freed meanwhile.
///
/// What `f` returns is alive then, and counts as such. Other threads are not counted, neither
/// those that run beside it, such as other tests, nor those that `f` starts.
///
/// # Errors
///
/// [`NotCounted`]; `f` is not called then.
///
/// # Examples
///
/// ```
/// # use std::alloc::System;
/// # #[global_allocator]
/// # static GLOBAL: tracemalloc::Counted<System> = tracemalloc::Counted(System);
/// let (sum, usage) = tracemalloc::measure(|| {
///     let squares: Vec<u64> = (0..100).map(|n| n * n).collect();
///     squares.iter().sum::<u64>()
/// })?;
/// assert_eq!(sum, 328_350);
/// assert_eq!((usage.allocations, usage.peak_bytes), (1, 800));
/// assert_eq!(usage.live_bytes(), 0);
/// # Ok::<(), tracemalloc::NotCounted>(())
/// ```
///
/// A loop that must not allocate:
///
/// ```
/// # use std::alloc::System;
/// # #[global_allocator]
/// # static GLOBAL: tracemalloc::Counted<System> = tracemalloc::Counted(System);
/// let mut text = String::with_capacity(100);
/// let ((), usage) = tracemalloc::measure(|| {
///     for _ in 0..10 {
///         text.push_str("ten bytes.");
///     }
/// })?;
/// assert!(usage.is_empty(), "{usage}");
/// # Ok::<(), tracemalloc::NotCounted>(())
/// ```
pub fn measure<R>(f: impl FnOnce() -> R) -> Result<(R, Usage), NotCounted> {
    let region = Region::new()?;
    let result = f();
    Ok((result, region.usage()))
}

/// A time in which a thread's allocations are counted: from when it is made until it is dropped.
///
/// A thread may have several at once.
///
/// # Examples
///
/// ```
/// # use std::alloc::System;
/// # #[global_allocator]
/// # static GLOBAL: tracemalloc::Counted<System> = tracemalloc::Counted(System);
/// use tracemalloc::Region;
///
/// let region = Region::new()?;
/// let list = vec![1_u8; 500];
/// assert_eq!(region.usage().live_bytes(), 500);
/// drop(list);
/// let usage = region.usage();
/// assert_eq!((usage.live_bytes(), usage.peak_bytes), (0, 500));
/// # Ok::<(), tracemalloc::NotCounted>(())
/// ```
#[derive(Debug)]
pub struct Region {
    number: u64,
    start: Usage,
    /// It is of the thread that made it.
    _thread: PhantomData<*const ()>,
}

/// A thread's counters; they go on from where they were in the thread's last region.
struct Counters {
    /// How many regions there are; while nothing is counted, how many more than before, or fewer.
    regions: Cell<isize>,
    allocations: Cell<u64>,
    reallocations: Cell<u64>,
    frees: Cell<u64>,
    allocated: Cell<u64>,
    freed: Cell<u64>,
    /// The most that `live` has been since it was last handed on.
    high: Cell<i64>,
}

/// A thread's regions.
struct Regions(Vec<Open>);

/// A region as its thread sees it.
struct Open {
    number: u64,
    /// The most that `live` was until the peak was last handed on.
    high: i64,
}

thread_local! {
    // It has no destructor, so that it can be used at any time.
    static COUNTERS: Counters = const {
        Counters {
            regions: Cell::new(0),
            allocations: Cell::new(0),
            reallocations: Cell::new(0),
            frees: Cell::new(0),
            allocated: Cell::new(0),
            freed: Cell::new(0),
            high: Cell::new(0),
        }
    };
    static OPEN: RefCell<Regions> = const { RefCell::new(Regions(Vec::new())) };
    static NEXT_NUMBER: Cell<u64> = const { Cell::new(0) };
}

fn add(counter: &Cell<u64>, number: usize) {
    counter.set(counter.get().wrapping_add(number as u64));
}

impl Counters {
    fn live(&self) -> i64 {
        self.allocated.get().wrapping_sub(self.freed.get()) as i64
    }

    fn grow(&self, bytes: usize) {
        add(&self.allocated, bytes);
        self.high.set(self.high.get().max(self.live()));
    }

    fn shrink(&self, bytes: usize) {
        add(&self.freed, bytes);
    }

    /// What was counted up to now, without a peak.
    fn read(&self) -> Usage {
        Usage {
            allocations: self.allocations.get(),
            reallocations: self.reallocations.get(),
            frees: self.frees.get(),
            allocated_bytes: self.allocated.get(),
            freed_bytes: self.freed.get(),
            peak_bytes: 0,
        }
    }

    /// Calls `f`; what it allocates and frees is counted in no region.
    fn uncounted<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Before<'a>(&'a Counters, isize);
        impl Drop for Before<'_> {
            fn drop(&mut self) {
                let Self(counters, before) = self;
                counters.regions.set(counters.regions.get() + *before);
            }
        }
        let _before = Before(self, self.regions.replace(0));
        f()
    }

    /// Hands the peak to all regions, and starts a new one.
    fn hand_on(&self, open: &mut [Open]) {
        let high = self.high.replace(self.live());
        for region in open {
            region.high = region.high.max(high);
        }
    }
}

/// Bytes that the thread has allocated less those it has freed, while it had a region.
#[cfg(feature = "profile")]
pub(crate) fn live_bytes() -> i64 {
    COUNTERS.with(Counters::live)
}

/// Calls `f`; what it allocates and frees is not counted, but while it has a region of its own.
#[cfg(any(feature = "framehop", feature = "profile"))]
pub(crate) fn uncounted<R>(f: impl FnOnce() -> R) -> R {
    COUNTERS.with(|counters| counters.uncounted(f))
}

/// Calls `f` with the thread's counters, if it has a region.
#[inline]
fn count(f: impl FnOnce(&Counters)) {
    COUNTERS.with(|counters| {
        if counters.regions.get() > 0 {
            f(counters);
        }
    });
}

#[inline]
fn allocated(block: *mut u8, bytes: usize) {
    count(|counters| {
        if !block.is_null() {
            add(&counters.allocations, 1);
            counters.grow(bytes);
        }
    });
}

// SAFETY: every method is the inner allocator's; what is done beside it touches no block.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counted<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is the same.
        let block = unsafe { self.0.alloc(layout) };
        allocated(block, layout.size());
        block
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is the same.
        let block = unsafe { self.0.alloc_zeroed(layout) };
        allocated(block, layout.size());
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(|counters| {
            add(&counters.frees, 1);
            counters.shrink(layout.size());
        });
        // SAFETY: the caller's contract is the same.
        unsafe { self.0.dealloc(block, layout) };
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's contract is the same.
        let moved = unsafe { self.0.realloc(block, layout, new_size) };
        count(|counters| {
            if !moved.is_null() {
                add(&counters.reallocations, 1);
                counters.grow(new_size.saturating_sub(layout.size()));
                counters.shrink(layout.size().saturating_sub(new_size));
            }
        });
        moved
    }
}

impl Region {
    /// Begins to count.
    ///
    /// # Errors
    ///
    /// [`NotCounted`].
    pub fn new() -> Result<Self, NotCounted> {
        if !is_counted() {
            return Err(NotCounted);
        }
        let number = NEXT_NUMBER.get();
        NEXT_NUMBER.set(number + 1);
        COUNTERS.with(|counters| {
            let open = |open: &RefCell<Regions>| {
                let open = &mut open.borrow_mut().0;
                counters.uncounted(|| open.reserve(1));
                counters.regions.set(counters.regions.get() + 1);
                counters.hand_on(open);
                let high = counters.live();
                open.push(Open { number, high });
            };
            OPEN.try_with(open).map_err(|_| NotCounted)?;
            Ok(Self {
                number,
                start: counters.read(),
                _thread: PhantomData,
            })
        })
    }

    /// What the thread has allocated and freed since the region began.
    ///
    /// Where a thread-local keeps the region to the end of its thread, the peak may be said too low
    /// there: it is that of the time since one of the thread's regions last began, ended or was
    /// asked.
    #[must_use]
    pub fn usage(&self) -> Usage {
        COUNTERS.with(|counters| {
            let (start, now) = (&self.start, counters.read());
            let high = |open: &RefCell<Regions>| {
                let open = &mut open.borrow_mut().0;
                counters.hand_on(open);
                let this = open.iter().find(|region| region.number == self.number);
                this.map(|region| region.high)
            };
            // While the thread exits its list is gone, and with it what was handed on.
            let high = OPEN.try_with(high).ok().flatten();
            let high = high.unwrap_or_else(|| counters.high.get());
            let live_at_start = start.allocated_bytes.wrapping_sub(start.freed_bytes) as i64;
            let peak = high.wrapping_sub(live_at_start);
            Usage {
                allocations: now.allocations.wrapping_sub(start.allocations),
                reallocations: now.reallocations.wrapping_sub(start.reallocations),
                frees: now.frees.wrapping_sub(start.frees),
                allocated_bytes: now.allocated_bytes.wrapping_sub(start.allocated_bytes),
                freed_bytes: now.freed_bytes.wrapping_sub(start.freed_bytes),
                peak_bytes: u64::try_from(peak).unwrap_or(0),
            }
        })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        COUNTERS.with(|counters| {
            counters.regions.set(counters.regions.get() - 1);
            let _ = OPEN.try_with(|open| {
                let open = &mut open.borrow_mut().0;
                counters.hand_on(open);
                open.retain(|region| region.number != self.number);
            });
        });
    }
}

impl Drop for Regions {
    fn drop(&mut self) {
        let regions = std::mem::take(&mut self.0);
        COUNTERS.with(|counters| counters.uncounted(|| drop(regions)));
    }
}

/// Whether the global allocator counts: found out by asking it for a block.
fn is_counted() -> bool {
    static KNOWN: AtomicBool = AtomicBool::new(false);
    // ORDERING: Relaxed; who sees it false finds out again.
    if KNOWN.load(Relaxed) {
        return true;
    }
    let counted = COUNTERS.with(|counters| {
        let before = counters.read();
        let (regions, high) = (counters.regions.get(), counters.high.get());
        counters.regions.set(1);
        let layout = Layout::new::<u64>();
        // SAFETY: the layout is not empty.
        let block = black_box(unsafe { alloc(layout) });
        if !block.is_null() {
            // SAFETY: the block of that layout.
            unsafe { dealloc(block, layout) };
        }
        counters.regions.set(regions);
        let counted = counters.allocations.get() != before.allocations;
        counters.allocations.set(before.allocations);
        counters.frees.set(before.frees);
        counters.allocated.set(before.allocated_bytes);
        counters.freed.set(before.freed_bytes);
        counters.high.set(high);
        counted
    });
    KNOWN.store(counted, Relaxed);
    counted
}

impl Usage {
    /// Blocks allocated less blocks freed; below 0 if blocks from before the start were freed.
    #[must_use]
    pub const fn live_blocks(&self) -> i64 {
        self.allocations.wrapping_sub(self.frees) as i64
    }

    /// The same in bytes.
    #[must_use]
    pub const fn live_bytes(&self) -> i64 {
        self.allocated_bytes.wrapping_sub(self.freed_bytes) as i64
    }

    /// Whether the allocator was not asked for anything; blocks may have been freed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.allocations == 0 && self.reallocations == 0
    }
}

impl fmt::Display for Usage {
    /// `5 allocations, 1 reallocation, 4 frees; 1200 B allocated, peak 900 B, left +300 B`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = |count: u64| if count == 1 { "" } else { "s" };
        let &Self {
            allocations,
            reallocations,
            frees,
            ..
        } = self;
        write!(
            f,
            "{allocations} allocation{}, {reallocations} reallocation{}, {frees} free{}; \
             {} allocated, peak {}, left {}",
            s(allocations),
            s(reallocations),
            s(frees),
            Size::new(self.allocated_bytes as f64),
            Size::new(self.peak_bytes as f64),
            Size::signed(self.live_bytes() as f64),
        )
    }
}

impl fmt::Display for NotCounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the global allocator is not counted; wrap it: \
             `#[global_allocator] static GLOBAL: Counted<PyMalloc> = Counted(PyMalloc);`",
        )
    }
}

impl std::error::Error for NotCounted {}

#[cfg(test)]
mod tests {
    use super::*;

    // The allocator of these tests is not counted.
    #[test]
    fn without_the_wrapper_it_says_so() {
        let called = Cell::new(false);
        assert_eq!(measure(|| called.set(true)), Err(NotCounted));
        assert!(!called.get());
        assert_eq!(Region::new().err(), Some(NotCounted));
        assert!(NotCounted.to_string().contains("Counted<PyMalloc>"));
    }

    #[test]
    fn usage_is_shown_in_a_line() {
        let usage = Usage {
            allocations: 5,
            reallocations: 1,
            frees: 6,
            allocated_bytes: 1200,
            freed_bytes: 1500,
            peak_bytes: 20_000,
        };
        assert_eq!(
            usage.to_string(),
            "5 allocations, 1 reallocation, 6 frees; 1200 B allocated, peak 19.5 KiB, left -300 B"
        );
        assert_eq!((usage.live_blocks(), usage.live_bytes()), (-1, -300));
        assert!(!usage.is_empty());
        assert!(
            Usage {
                frees: 3,
                ..Usage::default()
            }
            .is_empty()
        );
    }
}
