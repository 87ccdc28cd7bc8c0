//! What there is: how many objects of which type, handles to them, cycles.

use std::any::TypeId;
use std::collections::{HashMap, HashSet};

use super::cycles::CycleReport;
use super::graph::{ObjectGraph, ObjectId};
use super::node::{Link, Node};
use super::output::print_out;
use super::short_type_name;
use super::snapshot::snapshot;
use super::type_stats::TypeStats;
use super::walk::{each_object, select};
use crate::any::AnyGc;
use crate::gc::Gc;
use crate::trace::Trace;

/// The functions of one flavour: of the `Gc` and the `AnyGc` where they are made, and of the
/// `each_object`, `select` and `snapshot` there.
///
/// `again` and `gone` are lines of the examples: a snapshot of shared objects sees those that
/// have two handles.
macro_rules! census_functions {
    (
        $flavour:literal, [$($bound:tt)*], again: $again:literal, gone: $gone:literal,
        cost: $cost:literal
    ) => {
        /// The number of live objects whose type is `T` (objgraph's `count`).
        ///
        /// Garbage that waits for the collector counts, too. Of an untracked type, the objects
        /// that tracked ones refer to are found.
        ///
        #[doc = $cost]
        ///
        /// ```
        #[doc = concat!("use ", $flavour, "::{Gc, objgraph};")]
        ///
        /// let list: Gc<Vec<Gc<str>>> = Gc::new(vec!["a".into(), "b".into()]);
        #[doc = $again]
        /// assert_eq!(objgraph::count::<str>(), 2);
        /// assert_eq!(objgraph::count::<Vec<Gc<str>>>(), 1);
        /// # drop(list);
        /// ```
        #[must_use]
        pub fn count<T: ?Sized + 'static>() -> usize {
            let mut count = 0;
            each_object(|object| count += usize::from(object.type_id() == TypeId::of::<T>()));
            count
        }

        /// How many objects of each type are alive, and their bytes (objgraph's `typestats`).
        ///
        /// Bytes are those of the objects themselves, without buffers that they own; those of
        /// [`ObjectGraph::typestats`](crate::objgraph::ObjectGraph::typestats) include these.
        ///
        #[doc = $cost]
        ///
        /// ```
        #[doc = concat!("use ", $flavour, "::{Gc, objgraph};")]
        ///
        /// let list = Gc::new(vec![Gc::new(1), Gc::new(2)]);
        #[doc = $again]
        /// let stats = objgraph::typestats();
        /// assert_eq!(stats.get("i32").count, 2);
        /// assert_eq!(stats.get("Vec<Gc<i32>>").count, 1);
        /// # drop(list);
        /// ```
        #[must_use]
        pub fn typestats() -> TypeStats {
            let mut stats = TypeStats::default();
            each_object(|object| stats.add(object.type_name(), 1, object.size_bytes()));
            stats
        }

        /// Types with the most objects, most first (objgraph's `most_common_types`).
        ///
        /// ```
        #[doc = concat!("use ", $flavour, "::{Gc, objgraph};")]
        ///
        /// let list = Gc::new(vec![Gc::new(1), Gc::new(2)]);
        #[doc = $again]
        /// assert_eq!(objgraph::most_common_types(1), [("i32".to_owned(), 2)]);
        /// # drop(list);
        /// ```
        #[must_use]
        pub fn most_common_types(limit: usize) -> Vec<(String, usize)> {
            let stats = typestats();
            let rows = stats.most_common(limit).into_iter();
            rows.map(|row| (short_type_name(&row.name), row.count))
                .collect()
        }

        /// Prints [`most_common_types`] to standard output.
        ///
        /// ```
        #[doc = concat!($flavour, "::objgraph::show_most_common_types(10);")]
        /// ```
        pub fn show_most_common_types(limit: usize) {
            print_out(format_args!("{}", typestats().top(limit)));
        }

        /// Handles to all objects whose type is `T` (objgraph's `by_type`).
        ///
        /// The handles make suspects of the objects.
        ///
        #[doc = $cost]
        ///
        /// ```
        #[doc = concat!("use ", $flavour, "::{Gc, objgraph};")]
        ///
        /// let list = Gc::new(vec![Gc::new(1), Gc::new(2)]);
        #[doc = $again]
        /// assert_eq!(objgraph::by_type::<i32>().len(), 2);
        /// # drop(list);
        /// ```
        #[must_use]
        pub fn by_type<T: Trace $($bound)*>() -> Vec<Gc<T>> {
            let of_type = select(|object| object.type_id() == TypeId::of::<T>());
            of_type.iter().filter_map(AnyGc::downcast).collect()
        }

        /// Handles to all objects whose type has this name, with or without modules.
        ///
        /// As [`by_type`] otherwise.
        ///
        /// ```
        #[doc = concat!("use ", $flavour, "::{Gc, objgraph};")]
        ///
        /// let list: Gc<Vec<Gc<str>>> = Gc::new(vec!["a".into()]);
        #[doc = $again]
        /// assert_eq!(objgraph::by_type_name("str"), [(&list[0]).into()]);
        /// ```
        #[must_use]
        pub fn by_type_name(name: &str) -> Vec<AnyGc> {
            let mut known = HashMap::new();
            select(|object| {
                let suits = || {
                    let type_name = object.type_name();
                    type_name == name || short_type_name(type_name) == name
                };
                *known.entry(object.type_id()).or_insert_with(suits)
            })
        }

        /// A handle to the object with this number, if it is alive (objgraph's `at`).
        ///
        #[doc = $cost]
        ///
        /// ```
        #[doc = concat!("use ", $flavour, "::{AnyGc, Gc, objgraph};")]
        ///
        /// let list = Gc::new(vec![Gc::new(1)]);
        #[doc = $again]
        /// let id = objgraph::snapshot().find(&list).unwrap().id();
        /// assert_eq!(objgraph::at(id), Some(AnyGc::from(&list)));
        #[doc = $gone]
        /// assert_eq!(objgraph::at(id), None);
        /// ```
        #[must_use]
        pub fn at(id: ObjectId) -> Option<AnyGc> {
            at_ids(&[id]).pop()
        }

        /// Handles to those of the objects with these numbers that are alive (objgraph's
        /// `at_addrs`), in no particular order.
        ///
        #[doc = $cost]
        ///
        /// ```
        #[doc = concat!("use ", $flavour, "::{Gc, objgraph};")]
        ///
        /// let list = Gc::new(vec![Gc::new(1), Gc::new(2)]);
        #[doc = $again]
        /// let graph = objgraph::snapshot();
        /// let ids: Vec<_> = graph.nodes().map(|node| node.id()).collect();
        /// assert_eq!(objgraph::at_ids(&ids).len(), 3);
        /// # drop(list);
        /// ```
        #[must_use]
        pub fn at_ids(ids: &[ObjectId]) -> Vec<AnyGc> {
            let wanted: HashSet<ObjectId> = ids.iter().copied().collect();
            select(|object| object.id().is_some_and(|id| wanted.contains(&id)))
        }

        /// Handles to the tracked objects that no object refers to (objgraph's
        /// `get_leaking_objects`).
        ///
        /// In Python those are leaks of a C extension; here local variables hold them, or
        /// statics, or an `Rc` or `Arc`. As [`snapshot`] otherwise, and costs one.
        ///
        /// ```
        #[doc = concat!("use ", $flavour, "::{AnyGc, Gc, objgraph};")]
        ///
        /// let inner = Gc::new(vec![Gc::new(1)]);
        /// let list = Gc::new(vec![inner.clone()]);
        #[doc = $again]
        /// assert_eq!(objgraph::leaking_objects(), [AnyGc::from(&list)]);
        /// ```
        #[must_use]
        pub fn leaking_objects() -> Vec<AnyGc> {
            at_ids(&snapshot().nobody_refers_to())
        }

        /// The cycles among the objects.
        ///
        /// Those that nothing outside reaches are garbage that waits for the collector, or
        /// what [`garbage`] saved. As [`snapshot`] otherwise: collects nothing, and costs one.
        ///
        #[doc = concat!("[`garbage`]: ", $flavour, "::garbage")]
        ///
        /// ```
        /// use std::sync::Mutex;
        #[doc = concat!("use ", $flavour, "::{AnyGc, Gc, objgraph};")]
        ///
        /// let list = Gc::new(Mutex::new(Vec::<AnyGc>::new()));
        /// list.lock().unwrap().push((&list).into());
        /// let report = objgraph::cycles();
        /// assert_eq!((report.cycle_count(), report.garbage_count()), (1, 0));
        /// drop(list);
        /// assert_eq!(objgraph::cycles().garbage_count(), 1);
        /// ```
        #[must_use]
        pub fn cycles() -> CycleReport {
            snapshot().cycles()
        }
    };
}
pub(crate) use census_functions;

census_functions! {
    "cyclegc", [], again: "# let again = ();", gone: "drop(list);",
    cost: "Costs a visit to every object."
}

impl ObjectGraph {
    /// The tracked objects that no object refers to.
    pub(crate) fn nobody_refers_to(&self) -> Vec<ObjectId> {
        let is_alone = |node: &Node<'_>| node.referrers().all(Link::is_weak);
        let tracked = self.nodes().filter(|node| node.is_tracked());
        tracked.filter(is_alone).map(Node::id).collect()
    }
}
