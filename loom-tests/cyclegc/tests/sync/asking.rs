//! Threads that ask what there is, or for an object that is equal to a value.

use cyclegc_loom::sync::intern::Interner;
use cyclegc_loom::sync::{self, Gc};
use loom::thread;

use crate::{Node, beside_a_collection, explore};

/// Asks for all objects, and looks at each.
fn lists(a: Gc<Node>) {
    drop(a);
    for object in sync::objects(None) {
        if let Some(node) = object.downcast::<Node>() {
            node.life.touch();
        }
    }
}

/// Asks for all objects of a type, as a snapshot sees them, and looks at each.
fn asks_by_type(a: Gc<Node>) {
    drop(a);
    for node in sync::objgraph::by_type::<Node>() {
        node.life.touch();
    }
}

#[test]
fn a_thread_asks_by_type() {
    beside_a_collection(2, &[asks_by_type]);
}

#[test]
fn a_thread_lists_what_there_is() {
    beside_a_collection(2, &[lists]);
}

#[test]
fn two_threads_intern_a_value() {
    explore(2, || {
        let numbers = Interner::<u64>::new();
        let other = numbers.clone();
        let thread = thread::spawn(move || other.intern(7));
        let mine = numbers.intern(7);
        let theirs = thread.join().unwrap();
        assert!(Gc::ptr_eq(&mine, &theirs), "there are two");
        drop((mine, theirs));
        assert!(numbers.is_empty());
    });
}

/// A value is interned while its object, the last, is dropped.
#[test]
fn a_thread_interns_what_another_drops() {
    explore(2, || {
        let numbers = Interner::<u64>::new();
        let first = numbers.intern(7);
        let other = numbers.clone();
        let thread = thread::spawn(move || assert_eq!(*other.intern(7), 7));
        drop(first);
        thread.join().unwrap();
        assert!(numbers.is_empty());
    });
}
