//! Bytes that are traced now, and the most there have been.
//!
//! ```text
//!  thread: delta, high ──64 KiB, or exit──▶ CURRENT += delta; PEAK = max(PEAK, before + high)
//! ```
//! Each thread counts for itself, so that threads do not wait for each other's cache line. While
//! one thread alone allocates, both numbers are exact; with more, the peak may miss up to 64 KiB
//! for each thread.

use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::Relaxed;

use super::thread;

/// A thread passes on what it has counted beyond this.
const PASS_ON: i64 = 64 << 10;

static CURRENT: AtomicI64 = AtomicI64::new(0);
static PEAK: AtomicI64 = AtomicI64::new(0);

/// A thread's share: what it allocated less what it freed since it last passed that on, and the
/// most that was.
#[derive(Debug, Default)]
pub(super) struct Share {
    delta: AtomicI64,
    high: AtomicI64,
}

impl Share {
    /// Counts bytes that were allocated, or, below 0, freed. For the thread itself; whether
    /// there is a new peak of all threads.
    #[inline]
    pub(super) fn add(&self, bytes: i64) -> bool {
        // ORDERING: Relaxed, here and below; numbers for statistics, written by one thread.
        let delta = self.delta.load(Relaxed) + bytes;
        self.delta.store(delta, Relaxed);
        if delta > self.high.load(Relaxed) {
            self.high.store(delta, Relaxed);
        }
        if delta.abs() < PASS_ON {
            return false;
        }
        self.pass_on()
    }

    /// Passes everything on; whether there is a new peak.
    pub(super) fn pass_on(&self) -> bool {
        let delta = self.delta.load(Relaxed);
        let before = CURRENT.fetch_add(delta, Relaxed);
        let high = before + self.high.load(Relaxed);
        self.delta.store(0, Relaxed);
        self.high.store(0, Relaxed);
        PEAK.fetch_max(high, Relaxed) < high
    }
}

/// Bytes traced now.
pub(super) fn current() -> i64 {
    let mut current = CURRENT.load(Relaxed);
    thread::each(|thread| current += thread.share.delta.load(Relaxed));
    current
}

/// Bytes traced now, and the most there have been.
pub(super) fn get() -> (u64, u64) {
    let (current, mut highest) = (current(), 0);
    thread::each(|thread| {
        let share = &thread.share;
        let others = current - share.delta.load(Relaxed);
        highest = highest.max(others + share.high.load(Relaxed));
    });
    let peak = PEAK.load(Relaxed).max(current).max(highest);
    (
        u64::try_from(current).unwrap_or(0),
        u64::try_from(peak).unwrap_or(0),
    )
}

/// Makes the peak what is traced now.
pub(super) fn reset_peak() {
    PEAK.store(current(), Relaxed);
    thread::each(|thread| {
        let share = &thread.share;
        share.high.store(share.delta.load(Relaxed), Relaxed);
    });
}

/// Forgets everything: nothing is traced.
pub(super) fn clear() {
    thread::each(|thread| {
        thread.share.delta.store(0, Relaxed);
        thread.share.high.store(0, Relaxed);
    });
    CURRENT.store(0, Relaxed);
    PEAK.store(0, Relaxed);
}
