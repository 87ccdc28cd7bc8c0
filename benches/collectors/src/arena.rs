//! gc-arena: the rows written its way, since its handles cannot leave its arena.
//!
//! A handle is copied, not counted, so there is no row for clones; and the arena
//! collects between two calls of `mutate`, so rows that make garbage return to it
//! every 1000 operations, as for other crates that do not collect by themselves.

use std::hint::black_box;
use std::time::{Duration, Instant};

use benches::random::Random;
use benches::report::{Clock, Report, Scale, fold};
use gc_arena::lock::RefLock;
use gc_arena::{Arena, Collect, Gc, Mutation, Rootable, barrier};

use crate::heap::{Tally, alive};
use crate::rows::{ASK_EVERY, BESIDE, DEPTH, GRAPH, TREE};

#[derive(Collect)]
#[collect(no_drop)]
struct Node<'gc> {
    v: u64,
    #[collect(require_static)]
    #[expect(dead_code, reason = "it is there to be dropped")]
    alive: Tally,
    next: RefLock<Vec<Handle<'gc>>>,
}

type Handle<'gc> = Gc<'gc, Node<'gc>>;
type Root = Rootable![Vec<Handle<'_>>];

/// Runs the row of that name; `None` if gc-arena cannot.
#[must_use]
pub fn run(name: &str, scale: Scale) -> Option<Report> {
    match name {
        "gc-new" => Some(new(scale)),
        "gc-deref" => Some(deref(scale)),
        "gc-weak" => Some(weak(scale)),
        "gc-tree" => Some(trees(scale.of(100), false)),
        "gc-parents" => Some(trees(scale.of(50), true)),
        "gc-rings" => Some(rings(scale)),
        "gc-live" => Some(live_graph(scale)),
        "gc-dead" => Some(dead_graph(scale)),
        "gc-churn" => Some(churn(scale)),
        _ => None,
    }
}

fn node<'gc>(mc: &Mutation<'gc>, v: u64) -> Handle<'gc> {
    let next = RefLock::new(Vec::new());
    let alive = Tally::new();
    Gc::new(mc, Node { v, alive, next })
}

fn link<'gc>(mc: &Mutation<'gc>, from: Handle<'gc>, to: Handle<'gc>) {
    let from = Gc::write(mc, from);
    barrier::field!(from, Node, next)
        .unlock()
        .borrow_mut()
        .push(to);
}

/// Ends the cycle that runs, which may have missed the newest garbage, and one more.
fn collect(arena: &mut Arena<Root>) {
    arena.finish_cycle();
    arena.finish_cycle();
}

fn arena() -> Arena<Root> {
    Arena::new(|_| Vec::new())
}

fn new(scale: Scale) -> Report {
    let count = scale.of(10_000_000);
    let mut arena = arena();
    let clock = Clock::start();
    let mut sum = 1;
    for start in (0..count).step_by(ASK_EVERY) {
        arena.mutate(|mc, _| {
            for v in start..count.min(start + ASK_EVERY) {
                sum = fold(sum, black_box(node(mc, v as u64)).v);
            }
        });
        arena.collect_debt();
    }
    collect(&mut arena);
    clock.stop(count, fold(sum, alive() as u64))
}

fn deref(scale: Scale) -> Report {
    let count = scale.of(200_000_000);
    arena().mutate(|mc, _| {
        let handle = node(mc, 3);
        let clock = Clock::start();
        let mut sum: u64 = 1;
        for _ in 0..count {
            sum = sum.wrapping_add(black_box(&handle).v);
        }
        clock.stop(count, fold(sum, alive() as u64))
    })
}

fn weak(scale: Scale) -> Report {
    let count = scale.of(10_000_000);
    arena().mutate(|mc, _| {
        let handle = node(mc, 3);
        let clock = Clock::start();
        let mut sum: u64 = 1;
        for _ in 0..count {
            let weak = black_box(Gc::downgrade(*black_box(&handle)));
            sum = sum.wrapping_add(weak.upgrade(mc).map_or(0, |strong| strong.v));
        }
        clock.stop(count, fold(sum, alive() as u64))
    })
}

fn tree<'gc>(mc: &Mutation<'gc>, depth: u32, parent: Option<Handle<'gc>>) -> Handle<'gc> {
    let root = node(mc, depth.into());
    if let Some(parent) = parent {
        link(mc, root, parent);
    }
    if depth > 0 {
        for _ in 0..2 {
            link(mc, root, tree(mc, depth - 1, parent.map(|_| root)));
        }
    }
    root
}

fn trees(rounds: usize, with_parents: bool) -> Report {
    let mut arena = arena();
    let clock = Clock::start();
    let mut sum = 1;
    for _ in 0..rounds {
        sum = arena.mutate(|mc, _| {
            if !with_parents {
                return fold(sum, black_box(tree(mc, DEPTH, None)).v);
            }
            let root = node(mc, 7);
            for _ in 0..2 {
                link(mc, root, tree(mc, DEPTH - 1, Some(root)));
            }
            fold(sum, black_box(root).v)
        });
        if with_parents {
            collect(&mut arena);
        } else {
            arena.collect_debt();
        }
    }
    collect(&mut arena);
    clock.stop(rounds * TREE, fold(sum, alive() as u64))
}

fn ring(mc: &Mutation<'_>, length: usize, v: u64) -> u64 {
    let first = node(mc, v);
    let mut last = first;
    for _ in 1..length {
        let node = node(mc, v);
        link(mc, last, node);
        last = node;
    }
    link(mc, last, first);
    black_box(first).v
}

fn rings(scale: Scale) -> Report {
    let count = scale.of(2_000_000);
    let mut arena = arena();
    let clock = Clock::start();
    let mut sum = 1;
    for start in (0..count).step_by(ASK_EVERY) {
        arena.mutate(|mc, _| {
            for v in start..count.min(start + ASK_EVERY) {
                sum = fold(sum, ring(mc, 2, v as u64));
            }
        });
        arena.collect_debt();
    }
    collect(&mut arena);
    clock.stop(count, fold(sum, alive() as u64))
}

/// The graph of the other crates; the root holds its first node.
fn graph(arena: &mut Arena<Root>, count: usize) {
    arena.mutate_root(|mc, root| {
        let nodes: Vec<_> = (0..count).map(|v| node(mc, v as u64)).collect();
        let mut random = Random::new();
        for n in 0..count {
            link(mc, nodes[n], nodes[(n + 1) % count]);
            for _ in 0..2 {
                link(mc, nodes[n], nodes[random.below(count)]);
            }
        }
        root.push(nodes[0]);
    });
}

fn live_graph(scale: Scale) -> Report {
    let count = scale.of(GRAPH);
    let mut arena = arena();
    graph(&mut arena, count);
    let clock = Clock::start();
    arena.finish_cycle();
    let sum = arena.mutate(|_, root| fold(root[0].v, alive() as u64));
    let report = clock.stop(count, sum);
    Report {
        pause: report.wall,
        ..report
    }
}

fn dead_graph(scale: Scale) -> Report {
    let count = scale.of(GRAPH);
    let mut arena = arena();
    graph(&mut arena, count);
    arena.mutate_root(|_, root| root.clear());
    let clock = Clock::start();
    collect(&mut arena);
    clock.stop(count, fold(1, alive() as u64))
}

fn churn(scale: Scale) -> Report {
    let count = scale.of(400_000);
    let mut arena = arena();
    graph(&mut arena, BESIDE);
    collect(&mut arena);
    let clock = Clock::start();
    let mut pause = Duration::ZERO;
    let mut sum = 1;
    for start in (0..count).step_by(ASK_EVERY) {
        arena.mutate(|mc, _| {
            for n in start..count.min(start + ASK_EVERY) {
                sum = fold(sum, ring(mc, 3, n as u64));
            }
        });
        // Its cycle is cut into steps: this is one.
        let before = Instant::now();
        arena.collect_debt();
        pause = pause.max(before.elapsed());
    }
    collect(&mut arena);
    let sum = arena.mutate(|_, root| fold(sum, root[0].v));
    let report = clock.stop(count, fold(sum, alive() as u64));
    Report { pause, ..report }
}
