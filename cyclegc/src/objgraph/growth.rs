//! What grew since somebody last asked.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use super::census::{at_ids, typestats};
use super::graph::{ObjectGraph, ObjectId};
use super::node::Node;
use super::output::print_out;
use super::short_type_name;
use super::snapshot::snapshot;
use super::type_stats::TypeStats;
use crate::any::AnyGc;
use crate::module::collect;

/// What grew, in one flavour: of the `collect`, `typestats`, `snapshot` and `at_ids` where
/// this is used, with the marks that `with_marks` there gives.
///
/// `again` and `gone` are lines of the examples, as of `census_functions`.
macro_rules! growth_functions {
    (
        $flavour:literal, again: $again:literal, gone: $gone:literal, $(#[$more:meta])*
    ) => {
        /// Remembers the most objects that each type ever had.
        ///
        /// [`growth`] has one of its own; make one to hunt two leaks at a time, or to leave
        /// the collector alone.
        ///
        /// ```
        #[doc = concat!("use ", $flavour, "::{Gc, objgraph::GrowthTracker};")]
        ///
        /// let mut tracker = GrowthTracker::new();
        /// tracker.growth(10);
        /// let list = Gc::new(vec![Gc::new(1), Gc::new(2)]);
        #[doc = $again]
        /// let growth = tracker.growth(10);
        /// assert_eq!(growth.rows[0].delta, 2); // i32
        /// assert!(tracker.growth(10).rows.is_empty());
        /// # drop(list);
        /// ```
        #[derive(Clone, Debug, Default)]
        pub struct GrowthTracker {
            peaks: Peaks,
            keep_garbage: bool,
        }

        impl GrowthTracker {
            /// Nothing was there yet.
            #[must_use]
            pub fn new() -> Self {
                Self::default()
            }

            /// Does not collect before it counts: cycles that wait for the collector count.
            ///
            /// ```
            #[doc = concat!("use ", $flavour, "::objgraph::GrowthTracker;")]
            ///
            /// let mut tracker = GrowthTracker::new().without_collecting();
            /// assert!(tracker.growth(10).rows.is_empty());
            /// ```
            #[must_use]
            pub fn without_collecting(mut self) -> Self {
                self.keep_garbage = true;
                self
            }

            /// The types that have more objects than ever before, those that grew most first.
            ///
            /// Collects, and costs what [`typestats`] does.
            pub fn growth(&mut self, limit: usize) -> Growth {
                if !self.keep_garbage {
                    collect();
                }
                self.peaks.growth(&typestats(), limit)
            }
        }

        /// The types that have more objects than at any call before (objgraph's `growth`).
        ///
        /// Collects, and costs what [`typestats`] does.
        ///
        $(#[$more])*
        ///
        /// ```
        #[doc = concat!("use ", $flavour, "::{Gc, objgraph};")]
        ///
        /// objgraph::growth(10); // sets the mark
        /// let list = Gc::new(vec![Gc::new(1), Gc::new(2)]);
        #[doc = $again]
        /// assert_eq!(objgraph::growth(1).to_string(), "i32        2        +2\n");
        /// # drop(list);
        /// ```
        pub fn growth(limit: usize) -> Growth {
            collect();
            let stats = typestats();
            with_marks(|marks| marks.peaks.growth(&stats, limit))
        }

        /// Prints [`growth`] to standard output.
        ///
        /// ```
        #[doc = concat!($flavour, "::objgraph::show_growth(10);")]
        /// ```
        pub fn show_growth(limit: usize) {
            print_out(format_args!("{}", growth(limit)));
        }

        /// The objects that were first seen since the last call, by type (objgraph's
        /// `get_new_ids`).
        ///
        /// At first all are new. Costs a snapshot, and collects first.
        ///
        $(#[$more])*
        ///
        /// ```
        #[doc = concat!("use ", $flavour, "::{AnyGc, Gc, objgraph};")]
        ///
        /// objgraph::new_objects();
        /// let list = Gc::new(vec![Gc::new(1)]);
        #[doc = $again]
        /// let new = objgraph::new_objects();
        /// assert_eq!(new.ids.len(), 2);
        /// assert!(new.handles().contains(&AnyGc::from(&list)));
        /// ```
        pub fn new_objects() -> NewObjects {
            collect();
            let graph = snapshot();
            let (rows, ids) = with_marks(|marks| marks.new_objects(&graph));
            NewObjects { rows, ids }
        }

        /// Objects that are new; prints as objgraph's `get_new_ids`.
        ///
        /// ```
        #[doc = concat!("use ", $flavour, "::objgraph::NewObjects;")]
        /// use cyclegc::objgraph::NewRow;
        ///
        /// let name = "app::Node".to_owned();
        /// let rows = vec![NewRow { name, old: 7, current: 8, new: 2 }];
        /// let new = NewObjects { rows, ids: Vec::new() };
        /// assert!(new.to_string().contains("Node            7            8           +2           +1"));
        /// ```
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct NewObjects {
            /// By type, those with the most new objects first.
            pub rows: Vec<NewRow>,
            /// The new objects.
            pub ids: Vec<ObjectId>,
        }

        impl NewObjects {
            /// Handles to those that are still alive; costs what [`at_ids`] does.
            ///
            /// ```
            #[doc = concat!("use ", $flavour, "::{Gc, objgraph};")]
            ///
            /// let list = Gc::new(vec![Gc::new(1)]);
            #[doc = $again]
            /// let new = objgraph::new_objects();
            #[doc = $gone]
            /// assert!(new.handles().is_empty());
            /// ```
            #[must_use]
            pub fn handles(&self) -> Vec<AnyGc> {
                at_ids(&self.ids)
            }
        }

        impl fmt::Display for NewObjects {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_new(&self.rows, f)
            }
        }
    };
}
pub(crate) use growth_functions;

growth_functions! {
    "cyclegc", again: "# let again = ();", gone: "drop(list);",
    /// Each thread has its own marks.
}

thread_local! {
    static MARKS: RefCell<Marks> = const { RefCell::new(Marks::new()) };
}

/// Asks this thread's marks; at its end there are none.
fn with_marks<R: Default>(ask: impl FnOnce(&mut Marks) -> R) -> R {
    let answer = MARKS.try_with(|marks| ask(&mut marks.borrow_mut()));
    answer.unwrap_or_default()
}

/// What `growth` and `new_objects` remember from call to call.
pub(crate) struct Marks {
    pub(crate) peaks: Peaks,
    /// Lower numbers are those of objects that were seen before.
    first_new: u32,
    /// The objects that each type had.
    counts: BTreeMap<String, usize>,
}

impl Marks {
    pub(crate) const fn new() -> Self {
        Marks {
            peaks: Peaks(BTreeMap::new()),
            first_new: 0,
            counts: BTreeMap::new(),
        }
    }

    /// What is new in `graph`: by type, and the objects.
    pub(crate) fn new_objects(&mut self, graph: &ObjectGraph) -> (Vec<NewRow>, Vec<ObjectId>) {
        let first_new = self.first_new;
        let is_new = |node: &Node<'_>| node.id().number() >= first_new;
        let mut rows: BTreeMap<&str, NewRow> = BTreeMap::new();
        for node in graph.nodes() {
            let row = rows
                .entry(node.type_name())
                .or_insert_with(|| NewRow::new(node.type_name(), &self.counts));
            row.current += 1;
            row.new += usize::from(is_new(&node));
        }
        let ids = graph.nodes().filter(is_new).map(Node::id).collect();
        let counts = rows.values().map(|row| (row.name.clone(), row.current));
        self.counts = counts.collect();
        let last = graph.nodes().map(|node| node.id().number()).max();
        // Another thread may have asked of a newer graph meanwhile.
        self.first_new = first_new.max(last.unwrap_or(0).saturating_add(1));
        let mut rows: Vec<NewRow> = rows.into_values().filter(|row| row.new > 0).collect();
        rows.sort_by(|a, b| b.new.cmp(&a.new).then_with(|| a.name.cmp(&b.name)));
        (rows, ids)
    }
}

/// The most objects that each type ever had.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peaks(BTreeMap<String, usize>);

impl Peaks {
    /// The types that are above their peaks, those that grew most first.
    pub(crate) fn growth(&mut self, stats: &TypeStats, limit: usize) -> Growth {
        let mut rows = Vec::new();
        for row in stats.iter() {
            let peak = self.0.entry(row.name.clone()).or_default();
            if row.count > *peak {
                let delta = row.count - *peak;
                *peak = row.count;
                rows.push(GrowthRow {
                    name: row.name,
                    total: row.count,
                    delta,
                });
            }
        }
        rows.sort_by(|a, b| b.delta.cmp(&a.delta).then_with(|| a.name.cmp(&b.name)));
        rows.truncate(limit);
        Growth { rows }
    }
}

/// Types that grew; prints as objgraph's `show_growth`.
///
/// ```
/// use cyclegc::objgraph::{Growth, GrowthRow};
///
/// let name = "app::Node".to_owned();
/// let growth = Growth { rows: vec![GrowthRow { name, total: 7, delta: 5 }] };
/// assert_eq!(growth.to_string(), "Node        7        +5\n");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// Those that grew most first.
    pub rows: Vec<GrowthRow>,
}

/// A type that has more objects than ever before.
///
/// ```
/// use cyclegc::{Gc, objgraph};
///
/// let list = Gc::new(vec![Gc::new(1)]);
/// let row = &objgraph::growth(1).rows[0];
/// assert_eq!((row.total, row.delta), (1, 1));
/// # drop(list);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrowthRow {
    /// The type, with modules.
    pub name: String,
    /// Its objects now.
    pub total: usize,
    /// How many more these are than at most before.
    pub delta: usize,
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self
            .rows
            .iter()
            .map(|row| short_type_name(&row.name))
            .collect();
        let width = names
            .iter()
            .map(|name| name.chars().count())
            .max()
            .unwrap_or(0);
        for (name, row) in names.iter().zip(&self.rows) {
            writeln!(f, "{name:<width$}{:>9}{:>+10}", row.total, row.delta)?;
        }
        Ok(())
    }
}

/// A type with new objects.
///
/// ```
/// use cyclegc::{Gc, objgraph};
///
/// let list = Gc::new(vec![Gc::new(1)]);
/// let new = objgraph::new_objects();
/// assert_eq!((new.rows[0].old, new.rows[0].new), (0, 1));
/// # drop(list);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRow {
    /// The type, with modules.
    pub name: String,
    /// Its objects when somebody last asked.
    pub old: usize,
    /// Its objects now.
    pub current: usize,
    /// Those of them that were not there before.
    pub new: usize,
}

impl NewRow {
    fn new(name: &str, counts: &BTreeMap<String, usize>) -> Self {
        NewRow {
            name: name.to_owned(),
            old: counts.get(name).copied().unwrap_or(0),
            current: 0,
            new: 0,
        }
    }

    /// How many more there are than before.
    #[must_use]
    pub fn delta(&self) -> isize {
        self.current.cast_signed() - self.old.cast_signed()
    }
}

/// Writes new objects by type, as objgraph's `get_new_ids` prints them.
pub(crate) fn write_new(rows: &[NewRow], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let names: Vec<String> = rows.iter().map(|row| short_type_name(&row.name)).collect();
    let longest = names.iter().map(|name| name.chars().count()).max();
    let width = longest.unwrap_or(0).max("Type".len());
    let rule = "=".repeat(width + 4 * 13);
    writeln!(f, "{rule}")?;
    writeln!(
        f,
        "{:<width$}{:>13}{:>13}{:>13}{:>13}",
        "Type", "Old_ids", "Current_ids", "New_ids", "Count_Deltas"
    )?;
    writeln!(f, "{rule}")?;
    for (name, row) in names.iter().zip(rows) {
        let (old, current, new) = (row.old, row.current, row.new);
        writeln!(
            f,
            "{name:<width$}{old:>13}{current:>13}{new:>+13}{:>+13}",
            row.delta()
        )?;
    }
    writeln!(f, "{rule}")
}
