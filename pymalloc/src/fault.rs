//! Failures on demand, for tests: with the feature `fault-injection` the n-th request
//! to the system for memory fails, and pages have the size a test wants.
//!
//! Without the feature nothing of this is compiled in.

#[cfg(feature = "fault-injection")]
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Requests still granted before the first refusal, plus one; 0 refuses none.
#[cfg(feature = "fault-injection")]
static GRANTED: AtomicUsize = AtomicUsize::new(0);
#[cfg(feature = "fault-injection")]
static PAGE_SIZE: AtomicUsize = AtomicUsize::new(0);

/// Makes the `n`-th request for memory from now (1 is the next), and every later one,
/// fail as if the system had none left, until [`clear`].
#[cfg(feature = "fault-injection")]
pub fn fail_at(n: usize) {
    GRANTED.store(n.max(1), Relaxed);
}

/// Lets requests succeed again.
#[cfg(feature = "fault-injection")]
pub fn clear() {
    GRANTED.store(0, Relaxed);
}

/// Pretends that pages are `bytes` long, a power of two no smaller than they are. To
/// be called before the first allocation; later it changes nothing.
#[cfg(feature = "fault-injection")]
pub fn set_page_size(bytes: usize) {
    PAGE_SIZE.store(bytes, Relaxed);
}

/// Whether the next request is to fail.
#[cfg(feature = "fault-injection")]
pub(crate) fn refuses() -> bool {
    let take = |granted: usize| (granted > 1).then(|| granted - 1);
    match GRANTED.fetch_update(Relaxed, Relaxed, take) {
        Ok(_) => false,
        Err(granted) => granted == 1,
    }
}

#[cfg(not(feature = "fault-injection"))]
pub(crate) const fn refuses() -> bool {
    false
}

/// The page size to use where the system's is `system`.
#[cfg(feature = "fault-injection")]
pub(crate) fn page_size(system: usize) -> usize {
    let wanted = PAGE_SIZE.load(Relaxed);
    if wanted.is_power_of_two() && wanted >= system {
        wanted
    } else {
        system
    }
}

#[cfg(not(feature = "fault-injection"))]
pub(crate) const fn page_size(system: usize) -> usize {
    system
}
