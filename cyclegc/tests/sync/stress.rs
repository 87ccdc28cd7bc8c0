//! Threads that come and go, and do everything at once.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use cyclegc::Generation;
use cyclegc::sync::{self, Gc, Weak};

use crate::support::{Locked as _, Node, alone, join, ring};

/// A generator of numbers that need not be good (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % limit
    }
}

/// What threads reach of each other's.
type Shelf = Mutex<Vec<Gc<Node>>>;

const ROUNDS: usize = if cfg!(debug_assertions) { 4 } else { 12 };
const STEPS: usize = if cfg!(debug_assertions) { 4000 } else { 40_000 };

fn mutate(seed: u64, alive: &Arc<AtomicUsize>, shelf: &Shelf) {
    let mut random = Random(seed | 1);
    let mut mine: Vec<Gc<Node>> = vec![Node::new(alive)];
    let mut weak: Vec<Weak<Node>> = Vec::new();
    for _ in 0..STEPS {
        let at = random.below(mine.len());
        match random.below(14) {
            0 => mine.push(Node::new(alive)),
            1 => mine.push(mine[at].clone()),
            2 | 3 if mine.len() > 1 => drop(mine.swap_remove(at)),
            4 | 5 => {
                let to = random.below(mine.len());
                mine[at].link(&mine[to]);
            }
            6 => {
                let taken = mine[at].links().pop();
                mine.extend(taken);
            }
            7 => {
                let found = mine[at].links().first().cloned();
                mine.extend(found);
            }
            8 => drop(std::mem::take(&mut *mine[at].links())),
            9 => {
                // From cell to cell, uncounted.
                let to = random.below(mine.len());
                let moved = mine[at].links().pop();
                mine[to].links().extend(moved);
            }
            10 => {
                let mut shelf = shelf.locked();
                if shelf.len() < 8 {
                    shelf.push(mine[at].clone());
                } else {
                    let place = random.below(shelf.len());
                    mine.push(std::mem::replace(&mut shelf[place], mine[at].clone()));
                }
            }
            11 => weak.push(Gc::downgrade(&mine[at])),
            12 if !weak.is_empty() => {
                let at = random.below(weak.len());
                let upgraded = weak.swap_remove(at).upgrade();
                mine.extend(upgraded);
            }
            13 if random.below(64) == 0 => {
                sync::collect_generation(Generation::ALL[random.below(3)]);
            }
            _ => {
                let node = &mut mine[at];
                if let Some(node) = Gc::get_mut(node) {
                    node.links.get_mut().unwrap().truncate(1);
                }
            }
        }
        if mine.len() > 64 {
            mine.truncate(8);
        }
        mine[0].life.touch();
    }
}

fn run(threads: u64, beside_a_collector: bool) {
    let alone = alone();
    let collector = beside_a_collector.then(|| sync::Collector::spawn().unwrap());
    sync::enable();
    sync::set_threshold(200, 3, 3);
    let (alive, shelf) = (Arc::default(), Shelf::default());
    for round in 0..ROUNDS {
        std::thread::scope(|scope| {
            let threads = (0..threads).map(|thread| {
                let seed = (round as u64 + 1) * 7919 + thread * 104_729;
                let (alive, shelf) = (&alive, &shelf);
                scope.spawn(move || mutate(seed, alive, shelf))
            });
            join(threads.collect());
        });
    }
    shelf.locked().clear();
    sync::disable();
    // Waits for the collection that may be running in its thread.
    drop(collector);
    sync::collect();
    assert_eq!(alive.load(SeqCst), 0);
    assert_eq!(alone.tracked_count(), 0);
}

#[test]
fn threads_do_everything_and_collect() {
    run(4, false);
}

#[test]
fn threads_do_everything_beside_a_collector() {
    run(3, true);
}

#[test]
fn threads_that_come_and_go_leave_nothing() {
    let alone = alone();
    sync::enable();
    let alive = Arc::default();
    for _ in 0..if cfg!(debug_assertions) { 200 } else { 1000 } {
        let alive = Arc::clone(&alive);
        let left = std::thread::spawn(move || {
            drop(ring(&alive, 3));
            ring(&alive, 5)
        });
        drop(left.join().unwrap());
    }
    sync::collect();
    assert_eq!((alive.load(SeqCst), alone.tracked_count()), (0, 0));
}
