//! The handles side by side: one operation, or one collection, of each crate.
//!
//! With the feature `cyclegc` it is among them. gc-arena is not: its handles cannot
//! leave its arena; the comparison has rows for it.

use std::hint::black_box;

use benches::random::Random;
use collectors::heap::Heap;
use collectors::heaps;
use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, criterion_group, criterion_main};

type Group<'c> = BenchmarkGroup<'c, WallTime>;

/// Nodes of what is collected: few enough for crates that recurse.
const NODES: usize = 2000;

fn new_drop<H: Heap>(group: &mut Group<'_>, name: &str) {
    group.bench_function(name, |bench| {
        bench.iter(|| drop(black_box(H::new(black_box(1)))));
    });
}

fn clone_drop<H: Heap>(group: &mut Group<'_>, name: &str) {
    let handle = H::new(1);
    group.bench_function(name, |bench| {
        bench.iter(|| drop(black_box(black_box(&handle).clone())));
    });
}

fn deref<H: Heap>(group: &mut Group<'_>, name: &str) {
    let handle = H::new(1);
    group.bench_function(name, |bench| bench.iter(|| H::value(black_box(&handle))));
}

fn downgrade_upgrade<H: Heap>(group: &mut Group<'_>, name: &str) {
    if !H::WEAK {
        return;
    }
    let handle = H::new(1);
    group.bench_function(name, |bench| {
        bench.iter(|| H::value_through_weak(black_box(&handle)));
    });
}

/// Rings of two, all dead when the collection starts.
fn collect_rings<H: Heap>(group: &mut Group<'_>, name: &str) {
    collect::<H>(group, name, || {
        for v in 0..NODES as u64 / 2 {
            let (a, b) = (H::new(v), H::new(v));
            H::link(&a, b.clone());
            H::link(&b, a);
        }
    });
}

/// A random graph, dead when the collection starts.
fn collect_graph<H: Heap>(group: &mut Group<'_>, name: &str) {
    collect::<H>(group, name, || {
        let nodes: Vec<_> = (0..NODES as u64).map(H::new).collect();
        let mut random = Random::new();
        for node in &nodes {
            for _ in 0..3 {
                H::link(node, nodes[random.below(NODES)].clone());
            }
        }
    });
}

fn collect<H: Heap>(group: &mut Group<'_>, name: &str, make: fn()) {
    if !H::COLLECTS {
        return;
    }
    H::collect();
    group.bench_function(name, |bench| {
        bench.iter_batched(make, |()| H::collect(), BatchSize::PerIteration);
    });
}

/// One group a benchmark, one line a crate.
macro_rules! groups {
    ($criterion:ident: $($benchmark:ident)+) => {
        $(
            let mut group = $criterion.benchmark_group(stringify!($benchmark));
            $benchmark::<heaps::rc::H>(&mut group, "Rc");
            $benchmark::<heaps::arc::H>(&mut group, "Arc");
            #[cfg(feature = "cyclegc")]
            $benchmark::<heaps::cyclegc::H>(&mut group, "cyclegc");
            #[cfg(feature = "cyclegc-sync")]
            $benchmark::<heaps::cyclegc_sync::H>(&mut group, "cyclegc-sync");
            $benchmark::<heaps::dumpster::H>(&mut group, "dumpster");
            $benchmark::<heaps::dumpster_sync::H>(&mut group, "dumpster-sync");
            $benchmark::<heaps::rust_cc::H>(&mut group, "rust-cc");
            $benchmark::<heaps::gcmodule::H>(&mut group, "gcmodule");
            $benchmark::<heaps::bacon_rajan::H>(&mut group, "bacon-rajan");
            $benchmark::<heaps::gc::H>(&mut group, "gc");
            $benchmark::<heaps::boa::H>(&mut group, "boa_gc");
            group.finish();
        )+
    };
}

fn all(criterion: &mut Criterion) {
    groups!(criterion: new_drop clone_drop deref downgrade_upgrade collect_rings collect_graph);
}

criterion_group!(gc_micro, all);
criterion_main!(gc_micro);
