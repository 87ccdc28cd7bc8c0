//! Bytes that are traced now, and the most there have been.
//!
//! ```text
//!  thread: delta, high ──64 KiB, or exit──▶ CURRENT += delta; PEAK = max(PEAK, before + high)
//! ```
//! Each thread counts for itself, so that threads do not wait for each other's cache line. While
//! one thread alone allocates, both numbers are exact. With more, the peak may be off by up to
//! 64 KiB for each thread, and so may a look at what is current, at a thread that is passing on:
//! its share then counts twice, or not at all. A share is always smaller than that, because a
//! larger block goes to `CURRENT` at once.
//!
//! Sums wrap around, so that sizes no memory has, as a program may `track` them, go as they came.

use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::Relaxed;

use super::thread;

/// A thread passes on what it has counted beyond this.
const PASS_ON: u64 = 64 << 10;

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
        let delta = self.delta.load(Relaxed).wrapping_add(bytes);
        if delta.unsigned_abs() >= PASS_ON {
            return self.pass_on_with(bytes);
        }
        self.delta.store(delta, Relaxed);
        if delta > self.high.load(Relaxed) {
            self.high.store(delta, Relaxed);
        }
        false
    }

    /// Passes everything on.
    pub(super) fn pass_on(&self) {
        self.pass_on_with(0);
    }

    /// Passes everything on, and so many bytes more; whether there is a new peak.
    #[cold]
    fn pass_on_with(&self, bytes: i64) -> bool {
        let delta = self.delta.load(Relaxed);
        let sum = delta.wrapping_add(bytes);
        let before = CURRENT.fetch_add(sum, Relaxed);
        let high = self.high.load(Relaxed).max(sum);
        self.delta.store(0, Relaxed);
        self.high.store(0, Relaxed);
        let high = before.wrapping_add(high);
        PEAK.fetch_max(high, Relaxed) < high
    }
}

/// Bytes traced now.
pub(super) fn current() -> i64 {
    let mut current = CURRENT.load(Relaxed);
    thread::each(|thread| current = current.wrapping_add(thread.share.delta.load(Relaxed)));
    current
}

/// Bytes traced now, and the most there have been.
pub(super) fn get() -> (u64, u64) {
    let (current, mut highest) = (current(), 0);
    thread::each(|thread| {
        let share = &thread.share;
        let others = current.wrapping_sub(share.delta.load(Relaxed));
        highest = highest.max(others.wrapping_add(share.high.load(Relaxed)));
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
    reset_highs();
}

/// Forgets everything: nothing is traced. What another thread is counting at this moment may
/// stay, as in [`current`].
pub(super) fn clear() {
    // The shares are their threads': what they hold is taken from the sum.
    CURRENT.fetch_sub(current(), Relaxed);
    PEAK.store(0, Relaxed);
    reset_highs();
}

fn reset_highs() {
    thread::each(|thread| {
        let share = &thread.share;
        share.high.store(share.delta.load(Relaxed), Relaxed);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn a_large_block_never_counts_twice() {
        const LARGE: i64 = 1 << 40;
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    thread::inside(|thread| thread.share.add(LARGE));
                    thread::inside(|thread| thread.share.add(-LARGE));
                }
            });
            let (mut least, mut most) = (0, 0);
            for _ in 0..1_000_000 {
                let current = current();
                (least, most) = (current.min(least), current.max(most));
            }
            done.store(true, Relaxed);
            // Other tests count a little.
            let little = 100 * PASS_ON as i64;
            assert!(least > -little && most < LARGE + little, "{least} {most}");
        });
    }
}
