//! `SummaryTracker`: what changed, by type.

use std::collections::BTreeMap;
use std::fmt;

use super::bytes::Bytes;
use super::names::short_type_name;
use super::output::print_out;
use super::snapshot::snapshot;
use super::type_stats::TypeStats;

/// The `SummaryTracker` of one flavour: of the `snapshot` where it is used.
///
/// `again` and `gone` are lines of the example, as of `census_functions`.
macro_rules! summary_tracker {
    ($flavour:literal, again: $again:literal, gone: $gone:literal) => {
        /// Remembers objects and bytes of each type, and says what changed since (Pympler's
        /// `SummaryTracker`).
        ///
        /// ```
        #[doc = concat!("use ", $flavour, "::{Gc, objgraph::SummaryTracker};")]
        ///
        /// let mut tracker = SummaryTracker::new();
        /// let list = Gc::new(vec![Gc::new([0_u8; 40]), Gc::new([1; 40])]);
        #[doc = $again]
        /// let diff = tracker.diff();
        /// let arrays = diff.rows.iter().find(|row| row.name == "[u8; 40]").unwrap();
        /// assert!(arrays.count == 2 && arrays.bytes > 80);
        #[doc = $gone]
        /// assert!(tracker.diff().rows.iter().all(|row| row.count < 0));
        /// assert!(tracker.diff().rows.is_empty());
        /// ```
        #[derive(Clone, Debug)]
        pub struct SummaryTracker {
            before: TypeStats,
        }

        impl Default for SummaryTracker {
            fn default() -> Self {
                Self::new()
            }
        }

        impl SummaryTracker {
            /// Remembers what is there now. Costs a snapshot.
            #[must_use]
            pub fn new() -> Self {
                SummaryTracker {
                    before: snapshot().typestats(),
                }
            }

            /// What changed since the last time, which is now. Collects nothing; costs a
            /// snapshot.
            pub fn diff(&mut self) -> SummaryDiff {
                let now = snapshot().typestats();
                let diff = now.since(&self.before);
                self.before = now;
                diff
            }

            /// Prints [`Self::diff`] to standard output.
            ///
            /// ```
            #[doc = concat!($flavour, "::objgraph::SummaryTracker::new().print_diff();")]
            /// ```
            pub fn print_diff(&mut self) {
                print_out(format_args!("{}", self.diff()));
            }
        }
    };
}
pub(crate) use summary_tracker;

summary_tracker! { "cyclegc", again: "# let again = ();", gone: "drop(list);" }

impl TypeStats {
    /// What is different from `before`, the most bytes first (Pympler's
    /// `summary.get_diff`).
    ///
    /// ```
    /// use cyclegc::{Gc, objgraph};
    ///
    /// let before = objgraph::snapshot().typestats();
    /// let list = Gc::new(vec![Gc::new(1)]);
    /// let diff = objgraph::snapshot().typestats().since(&before);
    /// assert_eq!(diff.rows.len(), 2);
    /// # drop(list);
    /// ```
    #[must_use]
    pub fn since(&self, before: &TypeStats) -> SummaryDiff {
        let mut changes: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
        for (stats, sign) in [(self, 1), (before, -1)] {
            for (name, (count, bytes)) in &stats.sums {
                let change = changes.entry(name).or_default();
                change.0 += sign * i64::try_from(*count).unwrap_or(i64::MAX);
                change.1 += sign * i64::try_from(*bytes).unwrap_or(i64::MAX);
            }
        }
        let changes = changes.into_iter().filter(|(_, change)| *change != (0, 0));
        let mut rows: Vec<SummaryRow> = changes
            .map(|(name, (count, bytes))| SummaryRow {
                name: name.to_owned(),
                count,
                bytes,
            })
            .collect();
        rows.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
        SummaryDiff { rows }
    }
}

/// What changed, by type; prints as Pympler's `print_diff`.
///
/// ```
/// use cyclegc::objgraph::{SummaryDiff, SummaryRow};
///
/// let name = "app::Node".to_owned();
/// let diff = SummaryDiff { rows: vec![SummaryRow { name, count: 100, bytes: 5600 }] };
/// assert!(diff.to_string().ends_with("   Node |         100 |     5.47 KiB\n"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SummaryDiff {
    /// The types that changed, the most bytes first.
    pub rows: Vec<SummaryRow>,
}

/// A type that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryRow {
    /// The type, with modules.
    pub name: String,
    /// How many objects more.
    pub count: i64,
    /// How many bytes more.
    pub bytes: i64,
}

impl fmt::Display for SummaryDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self
            .rows
            .iter()
            .map(|row| short_type_name(&row.name))
            .collect();
        let longest = names.iter().map(|name| name.chars().count()).max();
        let width = longest.unwrap_or(0).max("types".len()) + 2;
        writeln!(f, "{:>width$} |   # objects |   total size", "types")?;
        writeln!(f, "{:=<width$} | =========== | ============", "")?;
        for (name, row) in names.iter().zip(&self.rows) {
            writeln!(
                f,
                "{name:>width$} | {:>11} | {:>12}",
                row.count,
                Bytes(row.bytes)
            )?;
        }
        Ok(())
    }
}
