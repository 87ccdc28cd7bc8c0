//! Counts by type, and how they change.

use cyclegc::objgraph::{self, ClassTracker, GrowthTracker, SummaryTracker};
use cyclegc::{AnyGc, Gc};

use super::{Node, node};

#[test]
fn types_are_counted_with_and_without_modules() {
    let nodes = [node("a"), node("b")];
    let list = Gc::new(vec![Gc::new(1_u16), Gc::new(2)]);
    assert_eq!(objgraph::count::<Node>(), 2);
    assert_eq!(objgraph::count::<u16>(), 2);
    let stats = objgraph::typestats();
    assert_eq!(stats.get("Node").count, 2);
    assert_eq!(stats.get(std::any::type_name::<Node>()).count, 2);
    assert_eq!(stats.get("Nod").count, 0);
    let common = objgraph::most_common_types(2);
    assert_eq!(common, [("Node".to_owned(), 2), ("u16".to_owned(), 2)]);
    // `name  count`, aligned, as objgraph prints it; bytes behind.
    let lines = stats.to_string();
    assert!(lines.starts_with("Node          2  "), "{lines}");
    assert!(lines.contains("\nVec<Gc<u16>>  1  "), "{lines}");
    assert_eq!(objgraph::by_type::<Node>().len(), 2);
    assert_eq!(objgraph::by_type_name("Vec<Gc<u16>>"), [AnyGc::from(&list)]);
    drop(nodes);
}

#[test]
fn growth_is_over_the_peak() {
    let mut tracker = GrowthTracker::new();
    let mut nodes: Vec<_> = (0..5).map(|_| node("")).collect();
    assert_eq!(tracker.growth(9).rows[0].delta, 5);
    nodes.truncate(1);
    assert!(tracker.growth(9).rows.is_empty());
    nodes.extend((0..6).map(|_| node("")));
    let growth = tracker.growth(9);
    assert_eq!((growth.rows[0].total, growth.rows[0].delta), (7, 2));
    assert_eq!(growth.to_string(), "Node        7        +2\n");
}

#[test]
fn growth_collects_unless_told_not_to() {
    let garbage = || {
        let node = node("");
        node.left.replace(Some(node.clone()));
    };
    garbage();
    assert!(objgraph::growth(9).rows.is_empty());
    garbage();
    let mut tracker = GrowthTracker::new().without_collecting();
    assert_eq!(tracker.growth(9).rows[0].total, 1);
}

#[test]
fn new_objects_are_those_since_the_last_time() {
    let old = node("old");
    objgraph::new_objects();
    let dies = node("dies");
    objgraph::new_objects();
    drop(dies);
    let new = [node("new"), node("new")];
    let found = objgraph::new_objects();
    assert_eq!(found.rows.len(), 1);
    let row = &found.rows[0];
    assert_eq!((row.old, row.current, row.new, row.delta()), (2, 3, 2, 1));
    let mut handles = found.handles();
    handles.sort_by_key(AnyGc::address);
    let mut expected = new.each_ref().map(AnyGc::from);
    expected.sort_by_key(AnyGc::address);
    assert_eq!(handles, expected);
    let text = found.to_string();
    let lines: Vec<&str> = text.lines().collect();
    let head = "Type      Old_ids  Current_ids      New_ids Count_Deltas";
    let line = "Node            2            3           +2           +1";
    assert_eq!((lines[1], lines[3]), (head, line), "as objgraph prints it");
    drop(old);
}

#[test]
fn leaking_objects_are_those_that_no_object_refers_to() {
    let (outer, inner) = (node("outer"), node("inner"));
    outer.left.replace(Some(inner.clone()));
    assert_eq!(objgraph::leaking_objects(), [AnyGc::from(&outer)]);
}

#[test]
fn trackers_see_what_comes_and_goes() {
    let mut summary = SummaryTracker::new();
    let mut tracker = ClassTracker::new();
    tracker.track_class::<Node>();
    let nodes: Vec<_> = (0..3)
        .map(|_| {
            let node = node("");
            tracker.create_snapshot("more");
            node
        })
        .collect();
    let counts = |s: &objgraph::ClassSnapshot| s.types[std::any::type_name::<Node>()].0;
    assert_eq!(
        tracker.snapshots().iter().map(counts).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(tracker.plot(5).to_string(), "Node  ▃▆█  1 .. 3\n");
    let text = tracker.summary().to_string();
    assert!(
        text.lines().all(|line| line.chars().count() == 79),
        "{text}"
    );
    let diff = summary.diff();
    assert_eq!((diff.rows[0].count, diff.rows.len()), (3, 1));
    let text = diff.to_string();
    assert!(
        text.starts_with("  types |   # objects |   total size\n======= | ==="),
        "{text}"
    );
    drop(nodes);
    assert_eq!(summary.diff().rows[0].count, -3);
}
