//! One thread after another, each with some thousand steps to live.

use std::sync::atomic::{AtomicBool, Ordering};

use benches::random::Random;

use crate::exchange::{Exchange, Step};
use crate::{SLOTS, Tally, graph};

/// Steps between two looks at the clock.
const ROUND: usize = 500;

/// Bears threads until it is over.
pub(crate) fn run(lane: usize, exchange: &Exchange, tally: &Tally, is_over: &AtomicBool) {
    let mut random = Random::nth(lane);
    while !is_over.load(Ordering::Relaxed) {
        let mut random = Random::nth(random.next() as usize);
        std::thread::scope(|scope| {
            let life = scope.spawn(|| live(&mut random, exchange, tally, is_over));
            life.join().expect("every claim held");
        });
        Tally::add(&tally.threads, 1);
    }
}

fn live(random: &mut Random, exchange: &Exchange, tally: &Tally, is_over: &AtomicBool) {
    for _ in 0..1 + random.below(20) {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        for _ in 0..ROUND {
            exchange.apply(step(random));
        }
        Tally::add(&tally.steps, ROUND);
        if random.below(4) == 0 {
            Tally::add(&tally.objects, graph::build_and_drop(random));
            Tally::add(&tally.graphs, 1);
        }
    }
}

/// A step of any kind; as many blocks come as go.
pub(crate) fn step(random: &mut Random) -> Step {
    let slot = random.below(SLOTS);
    match random.below(1000) {
        0..=499 => Step::Put {
            slot,
            size: size(random),
            align: align(random),
            zeroed: random.below(4) == 0,
        },
        500..=799 => Step::Take { slot },
        800..=969 => Step::Resize {
            slot,
            new_size: size(random),
        },
        970..=982 => Step::Fill {
            slot,
            size: 1 + random.below(1000),
            count: random.below(100),
        },
        983..=997 => Step::Clear {
            slot,
            count: random.below(100),
        },
        998 => Step::Trim,
        _ => Step::Look,
    }
}

/// Mostly small; now and then a large one, or some megabytes.
fn size(random: &mut Random) -> usize {
    match random.below(4096) {
        0 => 1 + random.below(12 << 20),
        1..=63 => 1 + random.below(400 << 10),
        64..=400 => 1 + random.below(64 << 10),
        _ => 1 + random.below(600),
    }
}

/// Mostly what Rust types ask for; now and then a page and more.
fn align(random: &mut Random) -> usize {
    let shifts = if random.below(50) == 0 { 18 } else { 5 };
    1 << random.below(shifts)
}
