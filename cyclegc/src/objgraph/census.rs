//! How many objects of which type there are.

use std::any::TypeId;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{self, Write};
use std::ptr::NonNull;

use super::graph::ObjectId;
use super::node::{Link, Node};
use super::snapshot::snapshot;
use super::type_stats::TypeStats;
use super::walk::each_object;
use super::{ids, short_type_name};
use crate::any::AnyGc;
use crate::gc::Gc;
use crate::header::Header;
use crate::trace::Trace;

/// The number of live objects whose type is `T` (objgraph's `count`).
///
/// Garbage that waits for the collector counts, too. Of an untracked type, the objects
/// that tracked ones refer to are found. Costs a visit to every object.
///
/// ```
/// use cyclegc::{Gc, objgraph};
///
/// let names: Gc<Vec<Gc<str>>> = Gc::new(vec!["a".into(), "b".into()]);
/// assert_eq!(objgraph::count::<str>(), 2);
/// assert_eq!(objgraph::count::<Vec<Gc<str>>>(), 1);
/// # drop(names);
/// ```
#[must_use]
pub fn count<T: ?Sized + 'static>() -> usize {
    let mut count = 0;
    each_object(|object| {
        // SAFETY: the walk gives live objects.
        let type_id = (unsafe { object.as_ref() }.vtable().type_id)();
        count += usize::from(type_id == TypeId::of::<T>());
    });
    count
}

/// How many objects of each type are alive, and their bytes (objgraph's `typestats`).
///
/// Bytes are those of the objects themselves, without buffers that they own; those of
/// [`ObjectGraph::typestats`](super::ObjectGraph::typestats) include these. Costs a visit to every object.
///
/// ```
/// use cyclegc::{Gc, objgraph};
///
/// let list = Gc::new(vec![Gc::new(1), Gc::new(2)]);
/// let stats = objgraph::typestats();
/// assert_eq!(stats.get("i32").count, 2);
/// assert_eq!(stats.get("alloc::vec::Vec<cyclegc::gc::Gc<i32>>").count, 1);
/// # drop(list);
/// ```
#[must_use]
pub fn typestats() -> TypeStats {
    let mut stats = TypeStats::default();
    each_object(|object| {
        // SAFETY: the walk gives live objects.
        let vtable = unsafe { object.as_ref() }.vtable();
        // SAFETY: as above.
        let (block, _) = unsafe { (vtable.layout)(object) };
        stats.add((vtable.type_name)(), 1, block.size());
    });
    stats
}

/// Types with the most objects, most first (objgraph's `most_common_types`).
///
/// ```
/// use cyclegc::{Gc, objgraph};
///
/// let list = Gc::new(vec![Gc::new(1), Gc::new(2)]);
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
/// cyclegc::objgraph::show_most_common_types(10);
/// ```
pub fn show_most_common_types(limit: usize) {
    print_out(format_args!("{}", typestats().top(limit)));
}

/// As `print!`, but nothing happens if nobody listens there.
pub(super) fn print_out(text: fmt::Arguments<'_>) {
    let _ = io::stdout().write_fmt(text);
}

/// Handles to all objects whose type is `T` (objgraph's `by_type`).
///
/// Dropping the handles makes the objects suspects. Costs a visit to every object.
///
/// ```
/// use cyclegc::{Gc, objgraph};
///
/// let list = Gc::new(vec![Gc::new(1), Gc::new(2)]);
/// assert_eq!(objgraph::by_type::<i32>().len(), 2);
/// # drop(list);
/// ```
#[must_use]
pub fn by_type<T: Trace>() -> Vec<Gc<T>> {
    let of_type = handles(|object, _| object == TypeId::of::<T>());
    of_type.iter().filter_map(AnyGc::downcast).collect()
}

/// Handles to all objects whose type has this name, with or without modules.
///
/// ```
/// use cyclegc::{Gc, objgraph};
///
/// let names: Gc<Vec<Gc<str>>> = Gc::new(vec!["a".into()]);
/// assert_eq!(objgraph::by_type_name("str"), [(&names[0]).into()]);
/// ```
#[must_use]
pub fn by_type_name(name: &str) -> Vec<AnyGc> {
    handles(|_, type_name| type_name == name || short_type_name(type_name) == name)
}

/// Handles to the objects of suitable types.
fn handles(suits: impl Fn(TypeId, &str) -> bool) -> Vec<AnyGc> {
    let mut known = HashMap::new();
    let mut found = Vec::new();
    each_object(|object| {
        // SAFETY: the walk gives live objects.
        let vtable = unsafe { object.as_ref() }.vtable();
        let type_id = (vtable.type_id)();
        let suits = known
            .entry(type_id)
            .or_insert_with(|| suits(type_id, (vtable.type_name)()));
        if *suits {
            found.push(object);
        }
    });
    share(found)
}

/// A handle to the object with this number, if it is alive (objgraph's `at`).
///
/// Costs a visit to every object.
///
/// ```
/// use cyclegc::{AnyGc, Gc, objgraph};
///
/// let list = Gc::new(vec![Gc::new(1)]);
/// let id = objgraph::snapshot().find(&list).unwrap().id();
/// assert_eq!(objgraph::at(id), Some(AnyGc::from(&list)));
/// drop(list);
/// assert_eq!(objgraph::at(id), None);
/// ```
#[must_use]
pub fn at(id: ObjectId) -> Option<AnyGc> {
    at_ids(&[id]).pop()
}

/// Handles to those of the objects with these numbers that are alive (objgraph's
/// `at_addrs`), in no particular order.
///
/// Costs a visit to every object.
///
/// ```
/// use cyclegc::{Gc, objgraph};
///
/// let list = Gc::new(vec![Gc::new(1), Gc::new(2)]);
/// let graph = objgraph::snapshot();
/// let ids: Vec<_> = graph.nodes().map(|node| node.id()).collect();
/// assert_eq!(objgraph::at_ids(&ids).len(), 3);
/// # drop(list);
/// ```
#[must_use]
pub fn at_ids(ids: &[ObjectId]) -> Vec<AnyGc> {
    let wanted: HashSet<ObjectId> = ids.iter().copied().collect();
    let mut found = Vec::new();
    each_object(|object| {
        // SAFETY: the walk gives live objects.
        let id = unsafe { ids::known(object) };
        if id.is_some_and(|id| wanted.contains(&id)) {
            found.push(object);
        }
    });
    share(found)
}

fn share(objects: Vec<NonNull<Header>>) -> Vec<AnyGc> {
    let objects = objects.into_iter();
    // SAFETY: a walk gave these live objects, and no handle was dropped since.
    objects
        .map(|object| unsafe { AnyGc::share(object) })
        .collect()
}

/// Handles to the tracked objects that no object refers to (objgraph's
/// `get_leaking_objects`).
///
/// In Python those are leaks of a C extension; here local variables hold them, or
/// statics, or an `Rc`. Costs a snapshot.
///
/// ```
/// use cyclegc::{AnyGc, Gc, objgraph};
///
/// let inner = Gc::new(vec![Gc::new(1)]);
/// let outer = Gc::new(vec![inner.clone()]);
/// assert_eq!(objgraph::leaking_objects(), [AnyGc::from(&outer)]);
/// ```
#[must_use]
pub fn leaking_objects() -> Vec<AnyGc> {
    let graph = snapshot();
    let nobody_refers_to = |node: &Node<'_>| node.referrers().all(Link::is_weak);
    let leaking = graph.nodes().filter(|node| node.is_tracked());
    let ids: Vec<ObjectId> = leaking.filter(nobody_refers_to).map(Node::id).collect();
    at_ids(&ids)
}
