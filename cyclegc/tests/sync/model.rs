//! Random programs of several threads against a plain model: after each round exactly what
//! can be reached is alive.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use cyclegc::sync::{self, Gc};
use cyclegc::{Finalize, Generation, Trace};
use proptest::prelude::*;

use crate::support::{Life, Locked as _, alone, join};

#[derive(Trace)]
struct Node {
    #[trace(skip)]
    life: Life,
    links: Mutex<Vec<Gc<Node>>>,
}

impl Finalize for Node {
    fn finalize(&self) {
        // It sees everything intact.
        for link in &*self.links.locked() {
            link.life.touch();
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    New,
    Clone(usize),
    Drop(usize),
    Link(usize, usize),
    Cut(usize),
    Follow(usize),
    Move(usize, usize),
    Give(usize, usize),
    Take(usize),
    GoWeak(usize),
    Upgrade,
    Collect(Generation),
}

fn op() -> impl Strategy<Value = Op> {
    let index = || 0..6_usize;
    prop_oneof![
        3 => Just(Op::New),
        2 => index().prop_map(Op::Clone),
        4 => index().prop_map(Op::Drop),
        5 => (index(), index()).prop_map(|(from, to)| Op::Link(from, to)),
        2 => index().prop_map(Op::Cut),
        2 => index().prop_map(Op::Follow),
        2 => (index(), index()).prop_map(|(from, to)| Op::Move(from, to)),
        2 => (index(), index()).prop_map(|(from, to)| Op::Give(from, to)),
        2 => index().prop_map(Op::Take),
        1 => index().prop_map(Op::GoWeak),
        1 => Just(Op::Upgrade),
        1 => (0..3_usize).prop_map(|at| Op::Collect(Generation::ALL[at])),
    ]
}

/// Slots through which threads give each other handles.
type Slots = [Mutex<Option<Gc<Node>>>; 6];

fn run_ops(ops: &[Op], roots: &mut Vec<Gc<Node>>, slots: &Slots, alive: &Arc<AtomicUsize>) {
    let mut weak = None;
    for op in ops {
        let len = roots.len();
        match *op {
            Op::New => roots.push(Gc::new(Node {
                life: Life::new(alive),
                links: Mutex::default(),
            })),
            Op::Take(slot) => roots.extend(slots[slot].locked().take()),
            Op::Upgrade => roots.extend(
                weak.take()
                    .and_then(|weak: sync::Weak<Node>| weak.upgrade()),
            ),
            Op::Collect(generation) => drop(sync::collect_generation(generation)),
            _ if len == 0 => {}
            Op::Clone(at) => roots.push(roots[at % len].clone()),
            Op::Drop(at) => drop(roots.swap_remove(at % len)),
            Op::Link(from, to) => {
                let to = roots[to % len].clone();
                roots[from % len].links.locked().push(to);
            }
            Op::Cut(at) => {
                let cut = roots[at % len].links.locked().pop();
                drop(cut);
            }
            Op::Follow(at) => {
                let found = roots[at % len].links.locked().first().cloned();
                roots.extend(found);
            }
            Op::Move(from, to) => {
                let moved = roots[from % len].links.locked().pop();
                roots[to % len].links.locked().extend(moved);
            }
            Op::Give(at, slot) => {
                let given = roots[at % len].clone();
                let before = slots[slot].locked().replace(given);
                drop(before);
            }
            Op::GoWeak(at) => weak = Some(Gc::downgrade(&roots[at % len])),
        }
        for root in &*roots {
            root.life.touch();
        }
    }
}

fn reachable(roots: Vec<Gc<Node>>) -> usize {
    let mut seen = HashSet::new();
    let mut waiting = roots;
    while let Some(node) = waiting.pop() {
        if seen.insert(Gc::as_ptr(&node)) {
            node.life.touch();
            waiting.extend(node.links.locked().iter().cloned());
        }
    }
    seen.len()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn exactly_what_can_be_reached_is_alive(
        rounds in prop::collection::vec(
            prop::array::uniform3(prop::collection::vec(op(), 0..40)),
            1..4,
        )
    ) {
        let alone = alone();
        let alive = Arc::default();
        let slots = Slots::default();
        let mut roots: [Vec<Gc<Node>>; 3] = Default::default();
        for round in &rounds {
            std::thread::scope(|scope| {
                let threads = round.iter().zip(&mut roots).map(|(ops, roots)| {
                    let (slots, alive) = (&slots, &alive);
                    scope.spawn(move || run_ops(ops, roots, slots, alive))
                });
                join(threads.collect());
            });
            sync::collect();
            let mut all: Vec<_> = roots.iter().flatten().cloned().collect();
            all.extend(slots.iter().filter_map(|slot| slot.locked().clone()));
            prop_assert_eq!(reachable(all), alive.load(SeqCst));
        }
        drop((roots, slots));
        sync::collect();
        prop_assert_eq!(alive.load(SeqCst), 0);
        drop(alone);
    }
}
