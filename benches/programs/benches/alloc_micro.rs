//! The allocators side by side in one process, called through `GlobalAlloc`.
//!
//! Unlike in the comparison none of them is the global allocator here: what is
//! measured is the interface, without what a compiler does to `Box::new`. Criterion's
//! own memory comes from the system's allocator. snmalloc, tcmalloc and mimalloc 2
//! are missing: their symbols, or their hold on the process, exclude others.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::ptr::NonNull;
use std::sync::mpsc;
use std::thread;

use benches::random::Random;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use programs::contenders;

/// A block of `alloc`.
struct Block<A: GlobalAlloc + 'static> {
    alloc: &'static A,
    at: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the block is owned, and global allocators free what any thread got.
unsafe impl<A: GlobalAlloc + Sync> Send for Block<A> {}

impl<A: GlobalAlloc> Block<A> {
    #[inline]
    fn new(alloc: &'static A, layout: Layout) -> Self {
        // SAFETY: no benchmark asks for an empty block.
        let at = unsafe { alloc.alloc(layout) };
        Self::written(alloc, at, layout)
    }

    #[inline]
    fn zeroed(alloc: &'static A, layout: Layout) -> Self {
        // SAFETY: no benchmark asks for an empty block.
        let at = unsafe { alloc.alloc_zeroed(layout) };
        Self::written(alloc, at, layout)
    }

    #[inline]
    fn written(alloc: &'static A, at: *mut u8, layout: Layout) -> Self {
        let at = NonNull::new(at).expect("memory has not run out");
        // SAFETY: the block has a byte, and is ours.
        unsafe { at.write(1) };
        Self { alloc, at, layout }
    }

    #[inline]
    fn grow(&mut self, size: usize) {
        // SAFETY: the block is `alloc`'s, with this layout; `size` is not 0 and small
        // enough for a layout.
        let at = unsafe { self.alloc.realloc(self.at.as_ptr(), self.layout, size) };
        self.at = NonNull::new(at).expect("memory has not run out");
        self.layout = Layout::from_size_align(size, self.layout.align()).expect("it was small");
    }
}

impl<A: GlobalAlloc> Drop for Block<A> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the block is `alloc`'s, with this layout.
        unsafe { self.alloc.dealloc(self.at.as_ptr(), self.layout) };
    }
}

const FORTY: Layout = Layout::new::<[u64; 5]>();

fn bytes(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("sizes are small")
}

fn pair<A: GlobalAlloc>(group: &mut Group<'_>, name: &str, alloc: &'static A) {
    group.bench_function(name, |bench| {
        bench.iter(|| drop(black_box(Block::new(alloc, black_box(FORTY)))));
    });
}

fn batch<A: GlobalAlloc>(group: &mut Group<'_>, name: &str, alloc: &'static A) {
    let mut blocks = Vec::with_capacity(1000);
    group.bench_function(name, |bench| {
        bench.iter(|| {
            blocks.extend((0..1000).map(|_| Block::new(alloc, FORTY)));
            black_box(&mut blocks).clear();
        });
    });
}

fn churn<A: GlobalAlloc>(group: &mut Group<'_>, name: &str, alloc: &'static A) {
    let mut random = Random::new();
    let new = |random: &mut Random| Block::new(alloc, bytes(16 + random.below(497), 8));
    let mut slots: Vec<_> = (0..1000).map(|_| new(&mut random)).collect();
    group.bench_function(name, |bench| {
        bench.iter(|| slots[random.below(1000)] = new(&mut random));
    });
}

fn zeroed<A: GlobalAlloc>(group: &mut Group<'_>, name: &str, alloc: &'static A) {
    let mut random = Random::new();
    group.bench_function(name, |bench| {
        bench.iter(|| {
            let layout = bytes(64 << random.below(10), 8);
            drop(black_box(Block::zeroed(alloc, layout)));
        });
    });
}

fn vecgrow<A: GlobalAlloc>(group: &mut Group<'_>, name: &str, alloc: &'static A) {
    group.bench_function(name, |bench| bench.iter(|| grow(alloc, 32, 32 << 10)));
}

fn biggrow<A: GlobalAlloc>(group: &mut Group<'_>, name: &str, alloc: &'static A) {
    group.bench_function(name, |bench| bench.iter(|| grow(alloc, 64 << 10, 64 << 20)));
}

/// Doubles a block from `first` bytes to `last`.
fn grow<A: GlobalAlloc>(alloc: &'static A, first: usize, last: usize) {
    let mut block = Block::new(alloc, bytes(first, 8));
    while block.layout.size() < last {
        block.grow(block.layout.size() * 2);
        black_box(block.at);
    }
}

fn aligned<A: GlobalAlloc>(group: &mut Group<'_>, name: &str, alloc: &'static A) {
    let mut random = Random::new();
    group.bench_function(name, |bench| {
        bench.iter(|| {
            let align = 16 << random.below(9);
            let layout = bytes(align.min(512) + random.below(512), align);
            drop(black_box(Block::new(alloc, layout)));
        });
    });
}

fn cross_thread<A: GlobalAlloc + Sync>(group: &mut Group<'_>, name: &str, alloc: &'static A) {
    let (full_in, full_out) = mpsc::sync_channel::<Vec<Block<A>>>(8);
    let freer = thread::spawn(move || full_out.into_iter().for_each(drop));
    group.bench_function(name, |bench| {
        bench.iter(|| {
            let blocks = (0..256).map(|_| Block::new(alloc, FORTY)).collect();
            full_in.send(blocks).expect("the freer waits");
        });
    });
    drop(full_in);
    freer.join().expect("it only frees");
}

type Group<'c> = BenchmarkGroup<'c, WallTime>;

static PYMALLOC: contenders::pymalloc::Contender = contenders::pymalloc::CONTENDER;
static SYSTEM: System = System;
static MIMALLOC: contenders::mimalloc::Contender = contenders::mimalloc::CONTENDER;
static JEMALLOC: contenders::jemalloc::Contender = contenders::jemalloc::CONTENDER;
static RPMALLOC: contenders::rpmalloc::Contender = contenders::rpmalloc::CONTENDER;
static RALLOCATOR: contenders::rallocator::Contender = contenders::rallocator::CONTENDER;
static SEFER: contenders::sefer::Contender = contenders::sefer::CONTENDER;

/// One group a benchmark, one line an allocator.
macro_rules! groups {
    ($criterion:ident: $($benchmark:ident)+) => {
        $(
            let mut group = $criterion.benchmark_group(stringify!($benchmark));
            $benchmark(&mut group, "PyMalloc", &PYMALLOC);
            $benchmark(&mut group, "system", &SYSTEM);
            $benchmark(&mut group, "mimalloc 3", &MIMALLOC);
            $benchmark(&mut group, "jemalloc", &JEMALLOC);
            $benchmark(&mut group, "rpmalloc", &RPMALLOC);
            $benchmark(&mut group, "rallocator", &RALLOCATOR);
            $benchmark(&mut group, "sefer", &SEFER);
            group.finish();
        )+
    };
}

fn all(criterion: &mut Criterion) {
    groups!(criterion: pair batch churn zeroed vecgrow biggrow aligned cross_thread);
}

criterion_group!(alloc_micro, all);
criterion_main!(alloc_micro);
