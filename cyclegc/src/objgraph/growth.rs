//! What grew since somebody last asked.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::census::{at_ids, print_out, typestats};
use super::graph::ObjectId;
use super::node::Node;
use super::snapshot::snapshot;
use super::{ids, short_type_name};
use crate::any::AnyGc;

/// Remembers the most objects that each type ever had.
///
/// [`growth`] has one for each thread; make one to hunt two leaks at a time, or to
/// leave the collector alone.
///
/// ```
/// use cyclegc::{Gc, objgraph::GrowthTracker};
///
/// let mut tracker = GrowthTracker::new();
/// tracker.growth(10);
/// let list = Gc::new(vec![Gc::new(1), Gc::new(2)]);
/// let growth = tracker.growth(10);
/// assert_eq!(growth.rows[0].delta, 2); // i32
/// assert!(tracker.growth(10).rows.is_empty());
/// # drop(list);
/// ```
#[derive(Clone, Debug, Default)]
pub struct GrowthTracker {
    peaks: BTreeMap<String, usize>,
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
    /// let mut tracker = cyclegc::objgraph::GrowthTracker::new().without_collecting();
    /// assert!(tracker.growth(10).rows.is_empty());
    /// ```
    #[must_use]
    pub fn without_collecting(mut self) -> Self {
        self.keep_garbage = true;
        self
    }

    /// The types that have more objects than ever before, those that grew most first.
    ///
    /// Collects, and costs a visit to every object.
    pub fn growth(&mut self, limit: usize) -> Growth {
        if !self.keep_garbage {
            crate::collect();
        }
        let mut rows = Vec::new();
        for row in typestats().iter() {
            let peak = self.peaks.entry(row.name.clone()).or_default();
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

thread_local! {
    static TRACKER: RefCell<GrowthTracker> = RefCell::default();
    static LAST: RefCell<Last> = RefCell::default();
}

/// The types that have more objects than ever before when this thread asked (objgraph's
/// `growth`).
///
/// Collects, and costs a visit to every object.
///
/// ```
/// use cyclegc::{Gc, objgraph};
///
/// objgraph::growth(10); // sets the mark
/// let list = Gc::new(vec![Gc::new(1), Gc::new(2)]);
/// assert_eq!(objgraph::growth(1).to_string(), "i32        2        +2\n");
/// # drop(list);
/// ```
pub fn growth(limit: usize) -> Growth {
    // What is dropped while it collects may ask, too: it finds no marks.
    // At the thread's end there are none, either.
    let mut tracker = TRACKER.try_with(RefCell::take).unwrap_or_default();
    let growth = tracker.growth(limit);
    let _ = TRACKER.try_with(|place| place.replace(tracker));
    growth
}

/// Prints [`growth`] to standard output.
///
/// ```
/// cyclegc::objgraph::show_growth(10);
/// ```
pub fn show_growth(limit: usize) {
    print_out(format_args!("{}", growth(limit)));
}

/// What [`new_objects`] remembers.
#[derive(Default)]
struct Last {
    mark: Option<ObjectId>,
    counts: HashMap<String, usize>,
}

/// The objects that are there since this thread last asked, by type (objgraph's
/// `get_new_ids`).
///
/// At first all are new. Costs a snapshot, and collects first.
///
/// ```
/// use cyclegc::{AnyGc, Gc, objgraph};
///
/// objgraph::new_objects();
/// let list = Gc::new(vec![Gc::new(1)]);
/// let new = objgraph::new_objects();
/// assert_eq!(new.ids.len(), 2);
/// assert!(new.handles().contains(&AnyGc::from(&list)));
/// ```
pub fn new_objects() -> NewObjects {
    crate::collect();
    let last = LAST.try_with(RefCell::take).unwrap_or_default();
    let graph = snapshot();
    let is_new = |node: &Node<'_>| last.mark.is_none_or(|mark| node.id() >= mark);
    let mut rows: BTreeMap<&str, NewRow> = BTreeMap::new();
    for node in graph.nodes() {
        let row = rows
            .entry(node.type_name())
            .or_insert_with(|| NewRow::new(node.type_name(), &last.counts));
        row.current += 1;
        row.new += usize::from(is_new(&node));
    }
    let ids = graph.nodes().filter(is_new).map(Node::id).collect();
    let counts = rows.values().map(|row| (row.name.clone(), row.current));
    let now = Last {
        mark: Some(ids::next()),
        counts: counts.collect(),
    };
    let _ = LAST.try_with(|place| place.replace(now));
    let mut rows: Vec<NewRow> = rows.into_values().filter(|row| row.new > 0).collect();
    rows.sort_by(|a, b| b.new.cmp(&a.new).then_with(|| a.name.cmp(&b.name)));
    NewObjects { rows, ids }
}

/// Objects that are new; prints as objgraph's `get_new_ids`.
///
/// ```
/// use cyclegc::objgraph::{NewObjects, NewRow};
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
    fn new(name: &str, counts: &HashMap<String, usize>) -> Self {
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

impl NewObjects {
    /// Handles to those that are still alive; costs a visit to every object.
    ///
    /// ```
    /// use cyclegc::{Gc, objgraph};
    ///
    /// let list = Gc::new(vec![Gc::new(1)]);
    /// let new = objgraph::new_objects();
    /// drop(list);
    /// assert!(new.handles().is_empty());
    /// ```
    #[must_use]
    pub fn handles(&self) -> Vec<AnyGc> {
        at_ids(&self.ids)
    }
}

impl fmt::Display for NewObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self
            .rows
            .iter()
            .map(|row| short_type_name(&row.name))
            .collect();
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
        for (name, row) in names.iter().zip(&self.rows) {
            let (old, current, new) = (row.old, row.current, row.new);
            writeln!(
                f,
                "{name:<width$}{old:>13}{current:>13}{new:>+13}{:>+13}",
                row.delta()
            )?;
        }
        writeln!(f, "{rule}")
    }
}
