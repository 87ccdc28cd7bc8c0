//! `AtomicGc` beside `ArcSwapOption`: a place that threads read and replace without a lock.
//!
//! `cargo bench --features cyclegc-sync --bench gc_atomic`

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use arc_swap::ArcSwapOption;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use cyclegc::sync::{AtomicGc, Gc};

/// A place for a handle.
trait Place: Sync {
    fn new(v: u64) -> Self;
    /// Takes a handle to what is there, and reads it.
    fn load(&self) -> u64;
    fn store(&self, v: u64);
}

impl Place for AtomicGc<u64> {
    fn new(v: u64) -> Self {
        AtomicGc::new(Gc::new(v))
    }

    fn load(&self) -> u64 {
        AtomicGc::load(self).map_or(0, |handle| *handle)
    }

    fn store(&self, v: u64) {
        AtomicGc::store(self, Gc::new(v));
    }
}

impl Place for ArcSwapOption<u64> {
    fn new(v: u64) -> Self {
        ArcSwapOption::from_pointee(v)
    }

    fn load(&self) -> u64 {
        self.load_full().map_or(0, |handle| *handle)
    }

    fn store(&self, v: u64) {
        ArcSwapOption::store(self, Some(Arc::new(v)));
    }
}

fn load<P: Place>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str) {
    let place = P::new(1);
    group.bench_function(name, |bench| bench.iter(|| black_box(&place).load()));
}

fn store<P: Place>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str) {
    let place = P::new(1);
    group.bench_function(name, |bench| bench.iter(|| black_box(&place).store(2)));
}

/// While another thread does the same.
fn load_contended<P: Place>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str) {
    beside::<P>(group, name, |place| {
        place.load();
    });
}

/// While another thread replaces what is there.
fn load_beside_stores<P: Place>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str) {
    beside::<P>(group, name, |place| place.store(2));
}

fn beside<P: Place>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, other: fn(&P)) {
    let place = P::new(1);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // ORDERING: Relaxed: it only ends the thread.
            while !done.load(Relaxed) {
                other(&place);
            }
        });
        group.bench_function(name, |bench| bench.iter(|| black_box(&place).load()));
        // ORDERING: Relaxed: as above.
        done.store(true, Relaxed);
    });
}

/// One group a benchmark, one line a crate.
macro_rules! groups {
    ($criterion:ident: $($benchmark:ident)+) => {
        $(
            let mut group = $criterion.benchmark_group(concat!("atomic_", stringify!($benchmark)));
            $benchmark::<ArcSwapOption<u64>>(&mut group, "arc-swap");
            $benchmark::<AtomicGc<u64>>(&mut group, "cyclegc-sync");
            group.finish();
        )+
    };
}

fn all(criterion: &mut Criterion) {
    groups!(criterion: load store load_contended load_beside_stores);
}

criterion_group!(gc_atomic, all);
criterion_main!(gc_atomic);
