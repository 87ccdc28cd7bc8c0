//! `ClassTracker`: objects and bytes of types over time.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use super::bytes::bytes;
use super::names::short_type_name;
use super::output::print_out;
use super::snapshot::snapshot;
use super::type_stats::TypeStats;

/// The `ClassTracker` of one flavour: of the `snapshot` where it is used.
///
/// `again` is a line of the example, as of `census_functions`.
macro_rules! class_tracker {
    ($flavour:literal, again: $again:literal) => {
        /// Follows types over time: their objects and bytes at each snapshot (Pympler's
        /// `ClassTracker`).
        ///
        /// No type has to be prepared for it. The numbers can be printed, plotted, and put
        /// into an [`Explorer`](crate::objgraph::Explorer).
        ///
        /// ```
        #[doc = concat!("use ", $flavour, "::{Gc, objgraph::ClassTracker};")]
        ///
        /// let mut tracker = ClassTracker::new();
        /// tracker.track_class::<u64>();
        /// tracker.create_snapshot("start");
        /// let list = Gc::new(vec![Gc::new(1_u64), Gc::new(2)]);
        #[doc = $again]
        /// tracker.create_snapshot("end");
        /// let counts: Vec<_> = tracker.snapshots().iter().map(|s| s.types["u64"].0).collect();
        /// assert_eq!(counts, [0, 2]);
        /// # drop(list);
        /// ```
        #[derive(Clone, Debug)]
        pub struct ClassTracker {
            started: Instant,
            /// Empty for all types.
            tracked: Vec<&'static str>,
            snapshots: Vec<ClassSnapshot>,
        }

        impl Default for ClassTracker {
            fn default() -> Self {
                Self::new()
            }
        }

        impl ClassTracker {
            /// Follows all types, until [`Self::track_class`] names some.
            #[must_use]
            pub fn new() -> Self {
                ClassTracker {
                    started: Instant::now(),
                    tracked: Vec::new(),
                    snapshots: Vec::new(),
                }
            }

            /// Follows `T`, and other types only if they are named, too.
            pub fn track_class<T: ?Sized + 'static>(&mut self) {
                self.tracked.push(std::any::type_name::<T>());
            }

            /// Takes the numbers of now. Collects nothing; costs a snapshot of the graph,
            /// which is not kept.
            pub fn create_snapshot(&mut self, label: &str) {
                let stats = snapshot().typestats();
                let at = self.started.elapsed();
                self.snapshots
                    .push(ClassSnapshot::new(label, at, stats, &self.tracked));
            }

            /// What was taken, oldest first.
            #[must_use]
            pub fn snapshots(&self) -> &[ClassSnapshot] {
                &self.snapshots
            }

            /// A table of all snapshots, printed as Pympler's `stats.print_summary`.
            ///
            /// ```
            #[doc = concat!("use ", $flavour, "::objgraph::ClassTracker;")]
            ///
            /// let mut tracker = ClassTracker::new();
            /// tracker.create_snapshot("start");
            /// assert!(tracker.summary().to_string().starts_with("---- SUMMARY ---"));
            /// ```
            #[must_use]
            pub fn summary(&self) -> impl fmt::Display {
                Summary(&self.snapshots)
            }

            /// Prints [`Self::summary`] to standard output.
            ///
            /// ```
            #[doc = concat!($flavour, "::objgraph::ClassTracker::new().print_summary();")]
            /// ```
            pub fn print_summary(&self) {
                print_out(format_args!("{}", self.summary()));
            }

            /// A line for each type with its objects over time, those with the most first.
            ///
            /// ```
            #[doc = concat!("use ", $flavour, "::{Gc, objgraph::ClassTracker};")]
            ///
            /// let mut tracker = ClassTracker::new();
            /// let mut list = Vec::new();
            /// for label in ["1", "2", "3"] {
            ///     let one = Gc::new([Gc::new('x')]);
            ///     list.push([one.clone(), one]);
            ///     tracker.create_snapshot(label);
            /// }
            /// assert_eq!(tracker.plot(1).to_string(), "[Gc<char>; 1]  ▃▆█  1 .. 3\n");
            /// ```
            #[must_use]
            pub fn plot(&self, limit: usize) -> impl fmt::Display {
                Plot(&self.snapshots, limit)
            }
        }

        impl<'a> IntoIterator for &'a ClassTracker {
            type Item = &'a ClassSnapshot;
            type IntoIter = std::slice::Iter<'a, ClassSnapshot>;

            /// As [`ClassTracker::snapshots`].
            fn into_iter(self) -> Self::IntoIter {
                self.snapshots.iter()
            }
        }
    };
}
pub(crate) use class_tracker;

class_tracker! { "cyclegc", again: "# let again = ();" }

/// The numbers of one moment in a [`ClassTracker`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassSnapshot {
    /// What it was called.
    pub label: String,
    /// The time since the tracker was made.
    pub at: Duration,
    /// Objects and bytes of each type that is followed, by its name with modules.
    pub types: BTreeMap<String, (usize, usize)>,
    /// All objects.
    pub object_count: usize,
    /// The bytes of all objects.
    pub total_bytes: usize,
}

impl ClassSnapshot {
    /// Of all types, or of those that are tracked.
    pub(crate) fn new(label: &str, at: Duration, stats: TypeStats, tracked: &[&str]) -> Self {
        let all = stats.iter();
        let (object_count, total_bytes) =
            all.fold((0, 0), |sum, row| (sum.0 + row.count, sum.1 + row.bytes));
        let types = if tracked.is_empty() {
            stats.sums
        } else {
            let sum = |name: &&str| stats.sums.get(*name).copied().unwrap_or((0, 0));
            let tracked = tracked.iter();
            tracked
                .map(|name| ((*name).to_owned(), sum(name)))
                .collect()
        };
        ClassSnapshot {
            label: label.to_owned(),
            at,
            types,
            object_count,
            total_bytes,
        }
    }
}

/// The types that were ever seen, those with the most objects in the end first.
pub(super) fn type_names<'a>(
    snapshots: impl IntoIterator<Item = &'a ClassSnapshot>,
) -> Vec<&'a str> {
    let mut last: BTreeMap<&str, usize> = BTreeMap::new();
    for snapshot in snapshots {
        last.values_mut().for_each(|count| *count = 0);
        let types = snapshot.types.iter();
        last.extend(types.map(|(name, (count, _))| (name.as_str(), *count)));
    }
    let mut names: Vec<(&str, usize)> = last.into_iter().collect();
    names.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    names.into_iter().map(|(name, _)| name).collect()
}

/// Prints as Pympler's `stats.print_summary`.
pub(crate) struct Summary<'a>(pub(crate) &'a [ClassSnapshot]);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:-<79}", "---- SUMMARY ")?;
        for snapshot in self.0 {
            let label: String = snapshot.label.chars().take(35).collect();
            writeln!(
                f,
                "{label:<35} {:>11} {:>12} {:>12} {:>5}",
                "active",
                bytes(snapshot.total_bytes),
                "average",
                "pct"
            )?;
            for (name, (count, size)) in &snapshot.types {
                let name: String = short_type_name(name).chars().take(33).collect();
                let average = size.checked_div(*count).unwrap_or(0);
                let percent = (100 * size).checked_div(snapshot.total_bytes).unwrap_or(0);
                writeln!(
                    f,
                    "  {name:<33} {count:>11} {:>12} {:>12} {percent:>4}%",
                    bytes(*size),
                    bytes(average)
                )?;
            }
        }
        writeln!(f, "{:-<79}", "")
    }
}

/// A line for each of so many types.
pub(crate) struct Plot<'a>(pub(crate) &'a [ClassSnapshot], pub(crate) usize);

impl fmt::Display for Plot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let names = type_names(self.0);
        let shown = &names[..names.len().min(self.1)];
        let widths = shown
            .iter()
            .map(|name| short_type_name(name).chars().count());
        let width = widths.max().unwrap_or(0);
        for name in shown {
            let count = |s: &ClassSnapshot| s.types.get(*name).map_or(0, |sum| sum.0);
            let counts: Vec<usize> = self.0.iter().map(count).collect();
            let most = counts.iter().copied().max().unwrap_or(0).max(1);
            let bar = |count: &usize| BARS[(count * 8).div_ceil(most).max(1) - 1];
            let bars: String = counts.iter().map(bar).collect();
            let name = short_type_name(name);
            let ends = (counts.first().unwrap_or(&0), counts.last().unwrap_or(&0));
            writeln!(f, "{name:<width$}  {bars}  {} .. {}", ends.0, ends.1)?;
        }
        Ok(())
    }
}
