//! Random programs of threads that work at the same time and exchange their blocks keep
//! every promise: no byte of a live block changes, and at the end nothing is in use.
//!
//! The fuzz target `alloc_races` runs the same.

mod model;
mod support;

use model::{EDGES, Exchange, MAX_SIZE, Step};
use support::{Random, alone, assert_heap_is_sound, bytes_in_use};

const THREADS: usize = 3;
const SLOTS: usize = 200;

fn size(random: &mut Random) -> usize {
    match random.below(8) {
        0..=2 => EDGES[random.below(EDGES.len())],
        3 => random.below(MAX_SIZE),
        _ => random.size(),
    }
}

fn step(random: &mut Random) -> Step {
    let slot = random.below(SLOTS);
    match random.below(32) {
        0..=10 => Step::Put {
            slot,
            size: size(random),
            align: 1 << random.below(13),
            zeroed: random.below(2) == 0,
        },
        11..=14 => Step::Fill {
            slot,
            size: 1 + random.below(600),
            count: 1 + random.below(SLOTS),
        },
        15..=20 => Step::Take { slot },
        21..=23 => Step::Clear {
            slot,
            count: 1 + random.below(SLOTS),
        },
        24..=28 => Step::Resize {
            slot,
            new_size: size(random),
        },
        29 => Step::Trim,
        30 => Step::Look,
        _ => Step::Exit,
    }
}

#[test]
fn threads_that_exchange_blocks_at_random_keep_every_promise() {
    alone(|| {
        for seed in 0..20 {
            let mut random = Random::new(seed);
            let in_use = bytes_in_use();
            let programs: Vec<Vec<Step>> = (0..THREADS)
                .map(|_| (0..200).map(|_| step(&mut random)).collect())
                .collect();
            let exchange = Exchange::new(SLOTS);
            exchange.run(&programs);
            assert_heap_is_sound();
            drop(exchange);
            assert_heap_is_sound();
            assert_eq!(bytes_in_use(), in_use);
        }
    });
}
