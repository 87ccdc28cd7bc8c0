//! What a measured program says about itself, on lines that the runner reads.
//!
//! ```text
//!  row function ── Clock::start ... Clock::stop ──▶ Report ── print ──▶ stdout
//!                                                     ▲                  │
//!                                     the runner ─────┴───── parse ◀─────┘
//! ```
//!
//! The lines are `name value`, so that a person can read them too.

use std::fmt;
use std::mem;
use std::ptr;
use std::time::{Duration, Instant};

use crate::resident::peak_bytes;

/// How much of a row's work is done, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale(pub u32);

impl Scale {
    /// All of it.
    pub const FULL: Self = Self(1000);

    /// This much of `count`, and at least 1.
    #[must_use]
    pub fn of(self, count: usize) -> usize {
        (count * self.0 as usize / 1000).max(1)
    }
}

/// One run of one row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Folded from what the work computed: the same under every contender.
    pub checksum: u64,
    /// What a time is divided by.
    pub ops: u64,
    /// User time of the work alone, of all threads.
    pub user: Duration,
    /// System time of the work alone, of all threads.
    pub system: Duration,
    /// From the start of the work to its end.
    pub wall: Duration,
    /// The most that was ever resident in the process.
    pub peak_bytes: usize,
    /// Resident while the row held the most; 0 where it does not say.
    pub busy_bytes: usize,
    /// Resident after the row; 0 where it does not say.
    pub after_bytes: usize,
    /// The longest single step; 0 where the row does not time its steps.
    pub pause: Duration,
}

impl Report {
    /// User and system time.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        self.user + self.system
    }

    /// Reads what [`Display`](fmt::Display) wrote; `None` if a line is missing.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let value = |name: &str| -> Option<u64> {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
                .and_then(|number| number.trim().parse().ok())
        };
        let bytes = |name| value(name).and_then(|bytes| usize::try_from(bytes).ok());
        let time = |name| value(name).map(Duration::from_nanos);
        Some(Self {
            checksum: value("checksum")?,
            ops: value("ops")?,
            user: time("user_ns")?,
            system: time("system_ns")?,
            wall: time("wall_ns")?,
            peak_bytes: bytes("peak_bytes")?,
            busy_bytes: bytes("busy_bytes")?,
            after_bytes: bytes("after_bytes")?,
            pause: time("pause_ns")?,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "checksum {}", self.checksum)?;
        writeln!(f, "ops {}", self.ops)?;
        writeln!(f, "user_ns {}", self.user.as_nanos())?;
        writeln!(f, "system_ns {}", self.system.as_nanos())?;
        writeln!(f, "wall_ns {}", self.wall.as_nanos())?;
        writeln!(f, "peak_bytes {}", self.peak_bytes)?;
        writeln!(f, "busy_bytes {}", self.busy_bytes)?;
        writeln!(f, "after_bytes {}", self.after_bytes)?;
        writeln!(f, "pause_ns {}", self.pause.as_nanos())
    }
}

/// Runs while the work does; what prepares it comes before.
#[derive(Debug)]
pub struct Clock {
    wall: Instant,
    user: Duration,
    system: Duration,
}

impl Clock {
    /// Starts the clock.
    #[must_use]
    pub fn start() -> Self {
        let (user, system) = cpu_times();
        Self {
            wall: Instant::now(),
            user,
            system,
        }
    }

    /// Stops it after `ops` operations, whose results folded to `checksum`.
    #[must_use]
    pub fn stop(self, ops: usize, checksum: u64) -> Report {
        let wall = self.wall.elapsed();
        let (user, system) = cpu_times();
        Report {
            checksum,
            ops: ops as u64,
            user: user.saturating_sub(self.user),
            system: system.saturating_sub(self.system),
            wall,
            peak_bytes: peak_bytes(),
            ..Report::default()
        }
    }
}

/// User and system time of this process so far.
fn cpu_times() -> (Duration, Duration) {
    // SAFETY: an `rusage` of zeroes is one.
    let mut usage: libc::rusage = unsafe { mem::zeroed() };
    // SAFETY: `usage` is one `rusage`, and writable.
    let status = unsafe { libc::getrusage(libc::RUSAGE_SELF, ptr::from_mut(&mut usage)) };
    assert_eq!(status, 0, "a process may ask about itself");
    (duration(usage.ru_utime), duration(usage.ru_stime))
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).expect("time used is not negative");
    let micros = u64::try_from(time.tv_usec).expect("time used is not negative");
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}

/// Folds `value` into a checksum, so that the work that made it cannot be left out.
#[inline]
#[must_use]
pub fn fold(checksum: u64, value: u64) -> u64 {
    (checksum ^ value)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_what_is_read() {
        let report = Report {
            checksum: u64::MAX,
            ops: 2,
            user: Duration::from_micros(3),
            system: Duration::from_micros(4),
            wall: Duration::from_nanos(5),
            peak_bytes: 6,
            busy_bytes: 7,
            after_bytes: 8,
            pause: Duration::from_nanos(9),
        };
        let text = format!("said by a library\n{report}");
        assert_eq!(Report::parse(&text), Some(report));
        assert_eq!(Report::parse(&text.replace("wall_ns", "wall")), None);
    }

    #[test]
    fn a_clock_sees_work() {
        let clock = Clock::start();
        let mut sum = 0;
        while clock.wall.elapsed() < Duration::from_millis(30) {
            sum = fold(sum, 1);
        }
        let report = clock.stop(1, sum);
        assert!(report.wall >= Duration::from_millis(30));
        assert!(report.cpu() > Duration::ZERO);
        assert!(report.peak_bytes > 0);
    }

    #[test]
    fn order_matters_to_a_checksum() {
        assert_ne!(fold(fold(0, 1), 2), fold(fold(0, 2), 1));
    }
}
