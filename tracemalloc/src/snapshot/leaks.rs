//! Which places keep more and more: a series of snapshots, and a line through each place's sizes.
//!
//! ```text
//!  growing   ╱   the sizes rise, and rise still in the later half: a leak, or a cache without bound
//!  bounded  ╭─   they rose, and have stopped: a cache that is full
//!  static   ──   the same all along
//!  falling  ╲    less than before
//! ```

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::SystemTime;

use super::frame::Traceback;
use super::key::{self, KeyType};
use super::size::Size;
use super::{Snapshot, Total};

/// What became of a place's memory from snapshot to snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Growth {
    /// It grew, and was growing still.
    Growing,
    /// It grew, and then no more.
    Bounded,
    /// It stayed, within what is noise.
    Static,
    /// It became less.
    Falling,
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Growing => "growing",
            Self::Bounded => "bounded",
            Self::Static => "static",
            Self::Falling => "falling",
        })
    }
}

/// A place, and how its memory went.
#[derive(Debug, Clone, PartialEq)]
pub struct Trend {
    /// The place, or the name of the group.
    pub traceback: Traceback,
    /// What became of it.
    pub growth: Growth,
    /// Bytes in each snapshot, the oldest first.
    pub sizes: Vec<u64>,
    /// Bytes a second, by a line through all sizes; from one snapshot to the next, if the
    /// snapshots do not say when they were taken.
    pub slope: f64,
    /// Half of the 95 % interval of the slope.
    pub slope_error: f64,
    /// Whether `slope` is by the second.
    pub is_timed: bool,
}

impl fmt::Display for Trend {
    /// `src/cache.rs:17: growing, 1.2 MiB -> 4.8 MiB, +61.0 KiB/s ± 2.1 KiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = |at: Option<&u64>| Size::new(at.copied().unwrap_or(0) as f64);
        write!(
            f,
            "{}: {}, {} -> {}, {}/{} ± {}",
            self.traceback,
            self.growth,
            size(self.sizes.first()),
            size(self.sizes.last()),
            Size::signed(self.slope),
            if self.is_timed { "s" } else { "snapshot" },
            Size::new(self.slope_error),
        )
    }
}

/// Why trends cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooFewSnapshots;

impl fmt::Display for TooFewSnapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a trend needs three snapshots at least; with two, compare them")
    }
}

impl std::error::Error for TooFewSnapshots {}

/// How the memory of each place went, growing ones first, and of those the steepest.
///
/// `snapshots` are in the order they were taken. A place counts as growing if a straight line
/// through its sizes rises, at 95 % confidence, over all snapshots and over the later half as well,
/// where that has three. The snapshots count as equally far apart for this, so that one which
/// a busy machine took late hides nothing. A cache that fills and stays is no leak, as long as it
/// was full in the first half.
///
/// ```
/// # use tracemalloc::{KeyType, RawSnapshot, Snapshot};
/// # let take = || Snapshot::from(RawSnapshot::default());
/// let snapshots = [take(), take(), take()];
/// for trend in tracemalloc::trends(&snapshots, KeyType::Lineno)? {
///     println!("{trend}");
/// }
/// # Ok::<(), tracemalloc::TooFewSnapshots>(())
/// ```
///
/// # Errors
///
/// With fewer than three snapshots.
pub fn trends(snapshots: &[Snapshot], key: KeyType) -> Result<Vec<Trend>, TooFewSnapshots> {
    if snapshots.len() < 3 {
        return Err(TooFewSnapshots);
    }
    let (times, is_timed) = times(snapshots);
    let totals: Vec<HashMap<Traceback, Total>> = snapshots
        .iter()
        .map(|snapshot| key::add_up(snapshot, key, false))
        .collect();
    let places: HashSet<&Traceback> = totals.iter().flat_map(HashMap::keys).collect();
    let mut trends: Vec<Trend> = places
        .into_iter()
        .map(|place| {
            let size =
                |totals: &HashMap<Traceback, Total>| totals.get(place).map_or(0, Total::size);
            let sizes: Vec<u64> = totals.iter().map(size).collect();
            let line = Line::through(&times, &sizes);
            Trend {
                traceback: place.clone(),
                growth: growth(&sizes),
                slope: line.slope,
                slope_error: line.error,
                sizes,
                is_timed,
            }
        })
        .collect();
    trends.sort_unstable_by(|a, b| {
        let steepness = |trend: &Trend| trend.slope.abs();
        a.growth
            .cmp(&b.growth)
            .then_with(|| steepness(b).total_cmp(&steepness(a)))
            .then_with(|| a.traceback.cmp(&b.traceback))
    });
    Ok(trends)
}

/// Seconds since the first snapshot, or their numbers if the times do not rise.
fn times(snapshots: &[Snapshot]) -> (Vec<f64>, bool) {
    let seconds = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0.0, |time| time.as_secs_f64())
    };
    let times: Vec<f64> = snapshots.iter().map(|s| seconds(s.time())).collect();
    if times.windows(2).all(|pair| pair[0] < pair[1]) {
        let first = times.first().copied().unwrap_or(0.0);
        return (times.iter().map(|time| time - first).collect(), true);
    }
    (numbers(snapshots.len()), false)
}

/// The numbers of so many snapshots.
fn numbers(count: usize) -> Vec<f64> {
    (0..count).map(|number| number as f64).collect()
}

fn growth(sizes: &[u64]) -> Growth {
    let numbers = numbers(sizes.len());
    let all = Line::through(&numbers, sizes);
    let half = (sizes.len() / 2).min(sizes.len().saturating_sub(3));
    let later = Line::through(&numbers[half..], &sizes[half..]);
    let (first, last) = (sizes.first(), sizes.last());
    if all.slope - all.error > 0.0 && later.slope - later.error > 0.0 {
        Growth::Growing
    } else if all.slope + all.error < 0.0 {
        Growth::Falling
    } else if last > first && (all.slope - all.error > 0.0 || later.is_flat()) && !all.is_flat() {
        Growth::Bounded
    } else {
        Growth::Static
    }
}

/// A straight line through points, by least squares.
struct Line {
    slope: f64,
    /// Half of the 95 % interval of the slope.
    error: f64,
}

impl Line {
    fn through(x: &[f64], sizes: &[u64]) -> Self {
        let n = x.len() as f64;
        let y = || sizes.iter().map(|&size| size as f64);
        let (mean_x, mean_y) = (x.iter().sum::<f64>() / n, y().sum::<f64>() / n);
        let spread: f64 = x.iter().map(|x| (x - mean_x).powi(2)).sum();
        let both: f64 = x
            .iter()
            .zip(y())
            .map(|(x, y)| (x - mean_x) * (y - mean_y))
            .sum();
        let slope = both / spread;
        let off_line = |(x, y): (&f64, f64)| (y - mean_y - slope * (x - mean_x)).powi(2);
        let rest: f64 = x.iter().zip(y()).map(off_line).sum();
        let freedom = x.len().saturating_sub(2);
        let deviation = (rest / (freedom.max(1) as f64) / spread).sqrt();
        Self {
            slope,
            error: student(freedom) * deviation,
        }
    }

    fn is_flat(&self) -> bool {
        self.slope.abs() <= self.error || self.slope == 0.0
    }
}

/// Student's t for a two-sided 95 % interval.
fn student(freedom: usize) -> f64 {
    const TABLE: [f64; 10] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    ];
    match freedom {
        0 => f64::INFINITY,
        1..=10 => TABLE[freedom - 1],
        11..=30 => 2.1,
        _ => 1.96,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use super::growth as of;

    #[test]
    fn a_leak_a_full_cache_and_a_table_are_told_apart() {
        assert_eq!(
            of(&[100, 210, 290, 405, 500, 610, 700, 795]),
            Growth::Growing
        );
        assert_eq!(
            of(&[100, 300, 500, 600, 600, 600, 600, 600]),
            Growth::Bounded
        );
        assert_eq!(of(&[600, 600, 600, 600]), Growth::Static);
        assert_eq!(of(&[600, 610, 590, 605, 600, 598]), Growth::Static);
        assert_eq!(of(&[800, 600, 400, 200]), Growth::Falling);
        assert_eq!(of(&[0, 0, 0, 0, 0]), Growth::Static);
    }

    #[test]
    fn a_line_through_exact_points_has_no_error() {
        let line = Line::through(&[0.0, 1.0, 2.0], &[5, 8, 11]);
        assert!((line.slope - 3.0).abs() < 1e-9);
        assert!(line.error < 1e-6);
    }

    #[test]
    fn three_noisy_points_are_not_enough() {
        assert_eq!(of(&[100, 130, 140]), Growth::Static);
    }
}
