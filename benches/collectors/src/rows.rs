//! What the rows do, for any crate.

use std::hint::black_box;
use std::mem;
use std::time::{Duration, Instant};

use benches::random::Random;
use benches::report::{Clock, Report, Scale, fold};

use crate::heap::{Heap, alive};

/// How many operations pass before a crate that does not collect by itself is asked to.
pub const ASK_EVERY: usize = 1000;
/// Nodes of the graph that is collected.
pub const GRAPH: usize = 1_000_000;
/// Nodes of the graph beside which small rings die.
pub const BESIDE: usize = 200_000;
/// Depth of the trees of one round.
pub const DEPTH: u32 = 14;
/// Nodes of such a tree.
pub const TREE: usize = (2 << DEPTH) - 1;

/// Runs the row of that name; `None` if the crate cannot.
#[must_use]
pub fn run<H: Heap>(name: &str, scale: Scale) -> Option<Report> {
    match name {
        "gc-new" => Some(new::<H>(scale)),
        "gc-clone" => Some(clone::<H>(scale)),
        "gc-deref" => Some(deref::<H>(scale)),
        "gc-weak" if H::WEAK => Some(weak::<H>(scale)),
        "gc-tree" => Some(acyclic_tree::<H>(scale)),
        "gc-parents" if H::COLLECTS => Some(parent_tree::<H>(scale)),
        "gc-rings" if H::COLLECTS => Some(rings::<H>(scale)),
        "gc-live" if H::COLLECTS => Some(live_graph::<H>(scale)),
        "gc-dead" if H::COLLECTS => Some(dead_graph::<H>(scale)),
        "gc-churn" if H::COLLECTS => Some(churn::<H>(scale)),
        _ => None,
    }
}

fn new<H: Heap>(scale: Scale) -> Report {
    let count = scale.of(10_000_000);
    let clock = Clock::start();
    let mut sum = 1;
    for v in 0..count as u64 {
        sum = fold(sum, H::value(&black_box(H::new(v))));
    }
    H::collect();
    clock.stop(count, fold(sum, alive() as u64))
}

fn clone<H: Heap>(scale: Scale) -> Report {
    let count = scale.of(50_000_000);
    let handle = H::new(3);
    let clock = Clock::start();
    for _ in 0..count {
        drop(black_box(black_box(&handle).clone()));
    }
    clock.stop(count, fold(H::value(&handle), alive() as u64))
}

fn deref<H: Heap>(scale: Scale) -> Report {
    let count = scale.of(200_000_000);
    let handle = H::new(3);
    let clock = Clock::start();
    let mut sum: u64 = 1;
    for _ in 0..count {
        sum = sum.wrapping_add(H::value(black_box(&handle)));
    }
    clock.stop(count, fold(sum, alive() as u64))
}

fn weak<H: Heap>(scale: Scale) -> Report {
    let count = scale.of(10_000_000);
    let handle = H::new(3);
    let clock = Clock::start();
    let mut sum: u64 = 1;
    for _ in 0..count {
        sum = sum.wrapping_add(H::value_through_weak(black_box(&handle)));
    }
    clock.stop(count, fold(sum, alive() as u64))
}

/// A tree whose nodes refer to their parents, if it is given one.
fn tree<H: Heap>(depth: u32, parent: Option<&H::Handle>) -> H::Handle {
    let node = H::new(depth.into());
    if let Some(parent) = parent {
        H::link(&node, parent.clone());
    }
    if depth > 0 {
        for _ in 0..2 {
            H::link(&node, tree::<H>(depth - 1, parent.map(|_| &node)));
        }
    }
    node
}

fn acyclic_tree<H: Heap>(scale: Scale) -> Report {
    let rounds = scale.of(100);
    let clock = Clock::start();
    let mut sum = 1;
    for _ in 0..rounds {
        let root = black_box(tree::<H>(DEPTH, None));
        // More than these may wait for a collection, but no fewer.
        assert!(alive() >= TREE);
        sum = fold(sum, H::value(&root));
    }
    H::collect();
    clock.stop(rounds * TREE, fold(sum, alive() as u64))
}

fn parent_tree<H: Heap>(scale: Scale) -> Report {
    let rounds = scale.of(50);
    let clock = Clock::start();
    let mut sum = 1;
    for _ in 0..rounds {
        let root = H::new(7);
        for _ in 0..2 {
            H::link(&root, tree::<H>(DEPTH - 1, Some(&root)));
        }
        sum = fold(sum, H::value(&black_box(root)));
        H::collect();
    }
    clock.stop(rounds * TREE, fold(sum, alive() as u64))
}

fn rings<H: Heap>(scale: Scale) -> Report {
    let count = scale.of(2_000_000);
    let clock = Clock::start();
    let mut sum = 1;
    for n in 0..count {
        sum = fold(sum, ring::<H>(2, n as u64));
        if !H::AUTOMATIC && n % ASK_EVERY == ASK_EVERY - 1 {
            H::collect();
        }
    }
    H::collect();
    clock.stop(count, fold(sum, alive() as u64))
}

/// A ring of nodes that dies at once.
fn ring<H: Heap>(length: usize, v: u64) -> u64 {
    let first = H::new(v);
    let mut last = first.clone();
    for _ in 1..length {
        let node = H::new(v);
        H::link(&last, node.clone());
        last = node;
    }
    H::link(&last, first.clone());
    H::value(&first)
}

/// A graph of nodes that are all reached from the first: each refers to the
/// next and to two others.
fn graph<H: Heap>(count: usize) -> H::Handle {
    let nodes: Vec<H::Handle> = (0..count).map(|v| H::new(v as u64)).collect();
    let mut random = Random::new();
    for n in 0..count {
        H::link(&nodes[n], nodes[(n + 1) % count].clone());
        for _ in 0..2 {
            H::link(&nodes[n], nodes[random.below(count)].clone());
        }
    }
    nodes[0].clone()
}

/// The first collection after the graph was built: building dropped a handle to each
/// node, so crates that look at suspects only have all of them to look at.
fn live_graph<H: Heap>(scale: Scale) -> Report {
    let count = scale.of(GRAPH);
    let root = graph::<H>(count);
    let clock = Clock::start();
    H::collect();
    let sum = fold(H::value(&root), alive() as u64);
    let report = clock.stop(count, sum);
    // What destroys it is not measured, and overflows the stack of some.
    leak(root);
    Report {
        pause: report.wall,
        ..report
    }
}

fn dead_graph<H: Heap>(scale: Scale) -> Report {
    let count = scale.of(GRAPH);
    drop(graph::<H>(count));
    let clock = Clock::start();
    H::collect();
    clock.stop(count, fold(1, alive() as u64))
}

fn churn<H: Heap>(scale: Scale) -> Report {
    let count = scale.of(400_000);
    let root = graph::<H>(BESIDE);
    H::collect();
    let clock = Clock::start();
    let mut pause = Duration::ZERO;
    let mut sum = 1;
    for n in 0..count {
        let before = Instant::now();
        sum = fold(sum, ring::<H>(3, n as u64));
        if !H::AUTOMATIC && n % ASK_EVERY == ASK_EVERY - 1 {
            H::collect();
        }
        pause = pause.max(before.elapsed());
    }
    H::collect();
    let sum = fold(fold(sum, H::value(&root)), alive() as u64);
    let report = clock.stop(count, sum);
    leak(root);
    Report { pause, ..report }
}

#[expect(
    clippy::mem_forget,
    reason = "the process ends before anyone could miss it"
)]
fn leak<T>(value: T) {
    mem::forget(value);
}
