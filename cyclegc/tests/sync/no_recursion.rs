//! Ten million nodes (one million without optimization) on a stack of 64 KiB, dropped and collected by another thread than the
//! one that built them.

use std::sync::Mutex;

use cyclegc::Trace;
use cyclegc::sync::{self, Gc};

use crate::support::alone;

const NODES: usize = if cfg!(debug_assertions) {
    1_000_000
} else {
    10_000_000
};
const STACK_BYTES: usize = 64 * 1024;

#[derive(Trace)]
struct Node {
    next: Mutex<Option<Gc<Node>>>,
}

fn node(next: Option<Gc<Node>>) -> Gc<Node> {
    Gc::new(Node {
        next: Mutex::new(next),
    })
}

fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(test)
        .expect("a thread")
        .join()
        .expect("no overflow");
}

#[test]
fn a_list_of_ten_million_is_traced_and_dropped() {
    let alone = alone();
    let mut head = node(None);
    for _ in 1..NODES {
        head = node(Some(head));
    }
    drop(head.clone());
    on_a_small_stack(move || {
        let stats = sync::collect();
        assert_eq!((stats.candidates, stats.collected), (NODES, 0));
        drop(head);
    });
    assert_eq!(alone.tracked_count(), 0);
}

#[test]
fn a_ring_of_ten_million_is_collected() {
    let alone = alone();
    let last = node(None);
    let mut head = last.clone();
    for _ in 1..NODES {
        head = node(Some(head));
    }
    *last.next.lock().unwrap() = Some(head);
    drop(last);
    on_a_small_stack(|| assert_eq!(sync::collect().collected, NODES));
    assert_eq!(alone.tracked_count(), 0);
}
