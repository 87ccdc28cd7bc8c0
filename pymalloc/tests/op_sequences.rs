//! Every sequence of allocations, reallocations and frees, on one thread or
//! hopping between three, keeps the promises listed in `model`.
//!
//! The allocator is driven directly, under the system's as the global one:
//! so its counts are the model's to the byte. proptest runs 48 cases of each
//! shape, or `PROPTEST_CASES`.

mod model;
mod support;

use std::ops::RangeInclusive;

use model::{ByAddress, EDGES, MAX_ALIGN_SHIFT, MAX_SIZE, Model, Op, THREAD_COUNT};
use proptest::prelude::*;
use proptest::sample::select;
use pymalloc::PyMalloc;

static SUBJECT: PyMalloc = PyMalloc;

fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![
        6 => select(&EDGES[..]),
        6 => 1..=512_usize,
        3 => 513..=65_536_usize,
        1 => 65_537..=MAX_SIZE,
    ]
}

/// Mostly what Rust types ask for; now and then a page and more.
fn alignments() -> impl Strategy<Value = usize> {
    let shifts = |range: RangeInclusive<u32>| range.prop_map(|shift| 1_usize << shift);
    prop_oneof![
        12 => shifts(0..=4),
        3 => shifts(5..=12),
        1 => shifts(13..=MAX_ALIGN_SHIFT),
    ]
}

fn ops(threads: impl Strategy<Value = usize> + Clone) -> impl Strategy<Value = Op> {
    let thread = || threads.clone();
    prop_oneof![
        10 => (thread(), sizes(), alignments(), any::<bool>())
            .prop_map(|(thread, size, align, zeroed)| Op::Alloc { thread, size, align, zeroed }),
        6 => (thread(), any::<usize>(), sizes())
            .prop_map(|(thread, pick, new_size)| Op::Realloc { thread, pick, new_size }),
        8 => (thread(), any::<usize>()).prop_map(|(thread, pick)| Op::Dealloc { thread, pick }),
        1 => thread().prop_map(|thread| Op::EndThread { thread }),
        1 => thread().prop_map(|thread| Op::Trim { thread }),
        1 => Just(Op::Check),
    ]
}

/// Bursts and drains of few sizes: pools fill, empty, and change owners.
fn crowds() -> impl Strategy<Value = Vec<Op>> {
    let crowd = (0..THREAD_COUNT, any::<usize>(), 1..500_usize);
    let waves = move |sizes: [usize; 3]| {
        prop_oneof![
            2 => (crowd.clone(), 0..5_u32).prop_map(move |((thread, pick, count), shift)| {
                Op::Burst { thread, size: sizes[pick % 3], align: 1 << shift, count }
            }),
            2 => crowd.clone().prop_map(|(thread, pick, count)| Op::Drain { thread, pick, count }),
            1 => ops(0..THREAD_COUNT),
        ]
    };
    let sizes = [1..=64_usize, 65..=512, 513..=20_000];
    sizes.prop_flat_map(move |sizes| prop::collection::vec(waves(sizes), 1..40))
}

proptest! {
    #![proptest_config(support::cases(48))]

    #[test]
    fn one_thread_keeps_every_promise(ops in prop::collection::vec(ops(Just(0)), 1..300)) {
        support::alone(|| Model::run(&SUBJECT, &ops));
    }

    #[test]
    fn three_threads_keep_every_promise(
        ops in prop::collection::vec(ops(0..THREAD_COUNT), 1..300),
    ) {
        support::alone(|| Model::run(&SUBJECT, &ops));
    }

    #[test]
    fn pools_that_fill_and_drain_keep_every_promise(ops in crowds()) {
        support::alone(|| Model::run(&SUBJECT, &ops));
    }

    #[test]
    fn blocks_known_by_their_address_keep_every_promise(
        ops in prop::collection::vec(ops(0..THREAD_COUNT), 1..300),
    ) {
        support::alone(|| Model::run(&ByAddress, &ops));
    }
}
