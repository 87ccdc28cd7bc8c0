//! Blocks added up, and the difference between two sums.

use std::cmp::Ordering;
use std::fmt;

use super::frame::Traceback;
use super::raw::RawTrace;
use super::size::Size;

/// How far an estimate from samples may be off: one standard error of the size and of the count.
///
/// The true value is within one standard error in two of three cases, within two in 19 of 20.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StandardError {
    /// Of the size, in bytes.
    pub size: f64,
    /// Of the number of blocks.
    pub count: f64,
}

/// The blocks allocated at one place, or that have something else in common.
///
/// ```text
/// src/main.rs:17: size=4855 KiB, count=39328, average=126 B
/// src/main.rs:17: size=4855 KiB ± 201 KiB, count=39328 ± 1630, average=126 B     (sampled)
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Statistic {
    /// The place, or the name of the group.
    pub traceback: Traceback,
    /// Bytes of these blocks; an estimate if blocks were sampled.
    pub size: u64,
    /// How many blocks; an estimate if blocks were sampled.
    pub count: u64,
    /// How far the estimates may be off; `None` where every block was recorded.
    pub error: Option<StandardError>,
}

impl Statistic {
    /// The order of a list: the largest first (CPython: `Statistic._sort_key`, reversed).
    pub(crate) fn largest_first(&self, other: &Self) -> Ordering {
        let key = |s: &Self| (s.size, s.count);
        key(other)
            .cmp(&key(self))
            .then_with(|| other.traceback.cmp(&self.traceback))
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: size={}",
            self.traceback,
            Size::new(self.size as f64)
        )?;
        if let Some(error) = self.error {
            write!(f, " ± {}", Size::new(error.size))?;
        }
        write!(f, ", count={}", self.count)?;
        if let Some(error) = self.error {
            write!(f, " ± {:.0}", error.count)?;
        }
        write_average(f, self.size, self.count)
    }
}

/// What became of the blocks of one place between two snapshots.
#[derive(Debug, Clone, PartialEq)]
pub struct StatisticDiff {
    /// The place, or the name of the group.
    pub traceback: Traceback,
    /// Bytes in the newer snapshot.
    pub size: u64,
    /// Bytes more than in the older one.
    pub size_diff: i64,
    /// Blocks in the newer snapshot.
    pub count: u64,
    /// Blocks more than in the older one.
    pub count_diff: i64,
    /// How far the *differences* may be off; `None` where every block was recorded.
    pub error: Option<StandardError>,
}

impl StatisticDiff {
    /// The difference from `old` to `new`, one of which may be missing: then it is nothing.
    pub(crate) fn between(traceback: Traceback, old: &Total, new: &Total, sampled: bool) -> Self {
        let difference = |new: u64, old: u64| {
            let clamp = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
            clamp(new) - clamp(old)
        };
        let error = |a: f64, b: f64| (a + b).max(0.0).sqrt();
        Self {
            traceback,
            size: new.size(),
            size_diff: difference(new.size(), old.size()),
            count: new.count(),
            count_diff: difference(new.count(), old.count()),
            error: sampled.then(|| StandardError {
                size: error(new.size_variance, old.size_variance),
                count: error(new.count_variance, old.count_variance),
            }),
        }
    }

    /// The order of a list: what changed most first (CPython: `StatisticDiff._sort_key`).
    pub(crate) fn most_changed_first(&self, other: &Self) -> Ordering {
        let key = |s: &Self| {
            (
                s.size_diff.unsigned_abs(),
                s.size,
                s.count_diff.unsigned_abs(),
                s.count,
            )
        };
        key(other)
            .cmp(&key(self))
            .then_with(|| other.traceback.cmp(&self.traceback))
    }
}

impl fmt::Display for StatisticDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, size_diff) = (self.size as f64, self.size_diff as f64);
        write!(f, "{}: size={}", self.traceback, Size::new(size))?;
        write!(f, " ({}", Size::signed(size_diff))?;
        if let Some(error) = self.error {
            write!(f, " ± {}", Size::new(error.size))?;
        }
        write!(f, "), count={} ({:+}", self.count, self.count_diff)?;
        if let Some(error) = self.error {
            write!(f, " ± {:.0}", error.count)?;
        }
        f.write_str(")")?;
        write_average(f, self.size, self.count)
    }
}

fn write_average(f: &mut fmt::Formatter<'_>, size: u64, count: u64) -> fmt::Result {
    if count == 0 {
        return Ok(());
    }
    write!(f, ", average={}", Size::new(size as f64 / count as f64))
}

/// A sum of blocks while it is made.
///
/// With `p` the chance of a block to be sampled and `w = 1 / p`, the sum of `w` times a block's
/// size over the sampled blocks is right on average (Horvitz and Thompson), and the sum of
/// `size² w (w - 1)` is its variance, right on average, too.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Total {
    size: f64,
    exact_size: u64,
    count: f64,
    size_variance: f64,
    count_variance: f64,
    is_estimate: bool,
}

impl Total {
    pub(crate) fn add(&mut self, trace: &RawTrace) {
        let weight = trace.weight;
        self.size += weight.bytes;
        self.exact_size = self.exact_size.saturating_add(trace.size as u64);
        self.count += weight.count;
        if weight.count > 1.0 {
            self.is_estimate = true;
            let surplus = weight.count * (weight.count - 1.0);
            let size = trace.size as f64;
            self.size_variance += size * size * surplus;
            self.count_variance += surplus;
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.size += other.size;
        self.exact_size = self.exact_size.saturating_add(other.exact_size);
        self.count += other.count;
        self.size_variance += other.size_variance;
        self.count_variance += other.count_variance;
        self.is_estimate |= other.is_estimate;
    }

    /// Bytes: to the byte where every block was recorded.
    pub(crate) fn size(&self) -> u64 {
        if self.is_estimate {
            self.size.round() as u64
        } else {
            self.exact_size
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.round() as u64
    }

    pub(crate) fn statistic(&self, traceback: Traceback, sampled: bool) -> Statistic {
        Statistic {
            traceback,
            size: self.size(),
            count: self.count(),
            error: sampled.then(|| StandardError {
                size: self.size_variance.sqrt(),
                count: self.count_variance.sqrt(),
            }),
        }
    }
}
