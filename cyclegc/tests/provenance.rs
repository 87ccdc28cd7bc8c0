//! Where handles from outside were made. Run with
//! `RUSTFLAGS="--cfg cyclegc_provenance" cargo test -p cyclegc --test provenance`.
#![cfg(cyclegc_provenance)]

use std::cell::RefCell;

use cyclegc::{AnyGc, Gc, objgraph};

#[test]
fn handles_from_outside_tell_where_they_were_made() {
    let list = Gc::new(RefCell::new(vec![Gc::new(1)]));
    let made = line!() - 1;
    let leaf = list.borrow()[0].clone();
    let second = list.clone();
    let cloned = line!() - 1;
    let why = objgraph::why_alive(&leaf);
    let place = |line| format!("{}:{line}:", file!());
    assert_eq!(why.outside_count(), 2);
    assert!(
        why.origins[0].starts_with(&place(made)),
        "{:?}",
        why.origins
    );
    assert!(
        why.origins[1].starts_with(&place(cloned)),
        "{:?}",
        why.origins
    );
    assert_eq!(why.origins.len(), 2);
    assert!(
        why.to_string()
            .contains("made at:\n  cyclegc/tests/provenance.rs"),
        "{why}"
    );
    drop(second);
    // Of the leaf's own handles one is inside, and one asks.
    assert!(objgraph::why_alive(&leaf).origins.len() == 1);
    let graph = objgraph::snapshot();
    assert_eq!(graph.find(&leaf).expect("there").origins().len(), 1);
    assert_eq!(graph.find(&leaf).expect("there").stack()[0].line, made);
}

#[test]
fn moves_conversions_and_ends_are_followed() {
    let gc = Gc::new(RefCell::new(Vec::<AnyGc>::new()));
    let weak = Gc::downgrade(&gc);
    let count = || {
        let graph = objgraph::snapshot();
        graph.nodes().next().map_or(0, |node| node.origins().len())
    };
    assert_eq!(count(), 1);
    let boxed = Box::new(gc);
    assert_eq!(count(), 1);
    let any: AnyGc = (*boxed).into();
    assert_eq!(count(), 1);
    let again = any.downcast::<RefCell<Vec<AnyGc>>>().expect("its type");
    let upgraded = weak.upgrade().expect("alive");
    assert_eq!(count(), 3);
    again.borrow_mut().push(any);
    assert_eq!(count(), 2, "one lies in the object now");
    let held = again.take();
    drop((upgraded, held));
    assert_eq!(count(), 1);
    assert!(Gc::try_unwrap(again).is_ok());
    assert_eq!(count(), 0);
}
