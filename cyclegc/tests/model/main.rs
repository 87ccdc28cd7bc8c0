//! Random programs against a plain model of reachability and counts, and random plays of
//! finalizers. The fuzz targets of the same names run the same models.

mod stage;
mod tag;
mod world;

use cyclegc::Generation;
use proptest::prelude::*;
use stage::{Act, Play};
use world::{Op, World};

fn op() -> impl Strategy<Value = Op> {
    let n = 0..64_usize;
    prop_oneof![
        6 => Just(Op::New),
        4 => n.clone().prop_map(Op::Clone),
        8 => n.clone().prop_map(Op::Drop),
        12 => (n.clone(), n.clone()).prop_map(|(a, b)| Op::Link(a, b)),
        4 => (n.clone(), n.clone()).prop_map(|(a, b)| Op::Move(a, b)),
        3 => (n.clone(), n.clone()).prop_map(|(a, b)| Op::Unlink(a, b)),
        3 => (n.clone(), n.clone()).prop_map(|(a, b)| Op::Take(a, b)),
        3 => (n.clone(), n.clone()).prop_map(|(a, b)| Op::Follow(a, b)),
        2 => n.clone().prop_map(Op::Downgrade),
        2 => n.clone().prop_map(Op::Upgrade),
        2 => n.clone().prop_map(Op::Watch),
        1 => n.clone().prop_map(Op::Unwatch),
        2 => (n.clone(), n.clone()).prop_map(|(a, b)| Op::Swap(a, b)),
        1 => n.clone().prop_map(Op::GetMut),
        1 => n.clone().prop_map(Op::Rebox),
        3 => Just(Op::Collect(Generation::Young)),
        2 => Just(Op::Collect(Generation::Middle)),
        2 => Just(Op::Collect(Generation::Old)),
        1 => n.prop_map(Op::CollectBorrowed),
        1 => Just(Op::Objects),
        1 => Just(Op::FreezeAndUnfreeze),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => Just(Act::Nothing),
        2 => Just(Act::Resurrect),
        2 => Just(Act::Cut),
        1 => Just(Act::Breed),
        1 => Just(Act::Tie),
        2 => Just(Act::Watch),
        1 => Just(Act::Panic),
    ]
}

fn generation() -> impl Strategy<Value = Generation> {
    (0..3_usize).prop_map(|generation| Generation::ALL[generation])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn nothing_live_is_freed_and_everything_dead_is(ops in prop::collection::vec(op(), 1..150)) {
        World::run_all(&ops);
    }

    #[test]
    fn finalizers_may_do_anything(
        acts in prop::collection::vec(act(), 1..12),
        links in prop::collection::vec((0..12_usize, 0..12_usize), 0..40),
        weaks in prop::collection::vec((0..12_usize, 0..12_usize, any::<bool>()), 0..12),
        kept in prop::collection::vec(any::<bool>(), 12),
        generations in prop::collection::vec(generation(), 0..6),
    ) {
        Play { acts, links, weaks, kept, generations }.run();
    }
}
