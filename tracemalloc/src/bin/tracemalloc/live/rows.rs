//! The rows of the table.

use std::cmp::Reverse;
use std::collections::HashMap;

use tracemalloc::{KeyType, Snapshot, StandardError, Traceback};

use crate::plain::plain_line;

/// The blocks of one place, or that have something else in common.
pub(super) struct Row {
    pub(super) group: Traceback,
    /// The place, without control characters.
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) count: u64,
    /// How many bytes more than in the snapshot before; `None` without one.
    pub(super) difference: Option<i64>,
    /// How far size and count may be off; `None` where every block was recorded.
    pub(super) error: Option<StandardError>,
}

impl Row {
    fn new(group: Traceback, size: u64, count: u64) -> Self {
        // The place itself where only one frame is in it, and of a traceback the most recent.
        let name = group
            .last()
            .map_or_else(|| group.to_string(), ToString::to_string);
        Self {
            name: plain_line(&name).into_owned(),
            group,
            size,
            count,
            difference: None,
            error: None,
        }
    }
}

/// What rows are sorted by: the largest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Size,
    Difference,
    Count,
}

impl Order {
    /// The next, and the first again.
    pub(super) const fn next(self) -> Self {
        match self {
            Self::Size => Self::Difference,
            Self::Difference => Self::Count,
            Self::Count => Self::Size,
        }
    }
}

/// The groups of a snapshot, and those that are no more but were in the snapshot before.
pub(super) fn rows(
    snapshot: &Snapshot,
    before: Option<&Snapshot>,
    key: KeyType,
    cumulative: bool,
) -> Vec<Row> {
    let clamp = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let old = before.map(|before| before.statistics(key, cumulative));
    let mut sizes: Option<HashMap<Traceback, u64>> =
        old.map(|old| old.into_iter().map(|s| (s.traceback, s.size)).collect());
    let mut rows: Vec<Row> = Vec::new();
    for statistic in snapshot.statistics(key, cumulative) {
        let mut row = Row::new(statistic.traceback, statistic.size, statistic.count);
        row.error = statistic.error;
        row.difference = sizes.as_mut().map(|sizes| {
            let old = sizes.remove(&row.group).unwrap_or(0);
            clamp(row.size) - clamp(old)
        });
        rows.push(row);
    }
    let mut gone: Vec<Row> = Vec::new();
    for (group, size) in sizes.unwrap_or_default() {
        let mut row = Row::new(group, 0, 0);
        row.difference = Some(-clamp(size));
        gone.push(row);
    }
    gone.sort_unstable_by(|a, b| (a.difference, &a.group).cmp(&(b.difference, &b.group)));
    rows.append(&mut gone);
    rows
}

/// Sorts rows, which are the largest first; equal ones stay as they are.
pub(super) fn sort(rows: &mut [Row], order: Order) {
    match order {
        Order::Size => rows.sort_by_key(|row| Reverse((row.size, row.count))),
        Order::Difference => rows.sort_by_key(|row| {
            let difference = row.difference.unwrap_or(0).unsigned_abs();
            Reverse((difference, row.size))
        }),
        Order::Count => rows.sort_by_key(|row| Reverse((row.count, row.size))),
    }
}
