//! A tracer is told of every block, or of unbiased samples, and of each one's end.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::{Cell, UnsafeCell};
use std::hint::black_box;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use pymalloc::PyMalloc;
use pymalloc::trace::{self, Mode, Tracer};

#[global_allocator]
static GLOBAL: PyMalloc = PyMalloc;

/// Gives each block its size as entry, and counts.
struct Counter {
    blocks: AtomicI64,
    bytes: AtomicI64,
    allocated: AtomicUsize,
    large: AtomicI64,
    period: AtomicU64,
    seed: AtomicU64,
}

static COUNTER: Counter = Counter {
    blocks: AtomicI64::new(0),
    bytes: AtomicI64::new(0),
    allocated: AtomicUsize::new(0),
    large: AtomicI64::new(0),
    period: AtomicU64::new(512 << 10),
    seed: AtomicU64::new(1),
};

thread_local! {
    /// The harness has threads of its own, which allocate now and then.
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    /// The tracer looks at what was set up for it.
    static READS: Cell<bool> = const { Cell::new(false) };
}

/// What is set up for the tracer before a start, by plain writes.
struct SetUp(UnsafeCell<u64>, AtomicBool);

// SAFETY: written while no thread that reads it is traced.
unsafe impl Sync for SetUp {}

static SET_UP: SetUp = SetUp(UnsafeCell::new(0), AtomicBool::new(false));

impl SetUp {
    fn write(&self, value: u64) {
        // SAFETY: nobody reads it: nothing is traced.
        unsafe { self.0.get().write(value) };
    }

    fn read(&self) {
        // SAFETY: nobody writes it: the tracer was started, and not stopped.
        let value = unsafe { self.0.get().read() };
        assert_eq!(value, 7);
        self.1.store(true, Relaxed);
    }
}

impl Tracer for Counter {
    fn allocated(&self, block: *mut u8, size: usize) -> u64 {
        assert!(trace::is_inside() && !block.is_null());
        if !WATCHED.get() {
            return 0;
        }
        // What a tracer allocates is not traced, and does no harm.
        drop(black_box(Box::new(size)));
        if READS.get() {
            SET_UP.read();
        }
        self.allocated.fetch_add(1, Relaxed);
        self.blocks.fetch_add(1, Relaxed);
        self.bytes.fetch_add(size as i64, Relaxed);
        size as u64 + 1
    }

    fn freed(&self, _block: *mut u8, entry: u64) {
        self.blocks.fetch_sub(1, Relaxed);
        self.bytes.fetch_sub(entry as i64 - 1, Relaxed);
    }

    fn allocated_large(&self, _block: *mut u8, size: usize) {
        assert!(size > 64 << 10);
        self.large.fetch_add(i64::from(WATCHED.get()), Relaxed);
    }

    fn freed_large(&self, _block: *mut u8) {
        self.large.fetch_sub(i64::from(WATCHED.get()), Relaxed);
    }

    fn bytes_to_next_sample(&self) -> u64 {
        let mut x = self.seed.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let uniform = ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
        (-(1.0 - uniform).ln() * self.period.load(Relaxed) as f64) as u64
    }
}

impl Counter {
    fn live(&self) -> (i64, i64) {
        (self.blocks.load(Relaxed), self.bytes.load(Relaxed))
    }
}

/// The process has one tracer, so one test at a time has it.
struct Tracing(#[expect(dead_code, reason = "held, not read")] MutexGuard<'static, ()>);

impl Tracing {
    fn start(mode: Mode) -> Self {
        Self::start_with(mode, 512 << 10)
    }

    fn start_with(mode: Mode, period: u64) -> Self {
        static ONE: Mutex<()> = Mutex::new(());
        let guard = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        trace::clear();
        WATCHED.set(true);
        COUNTER.period.store(period, Relaxed);
        COUNTER.blocks.store(0, Relaxed);
        COUNTER.bytes.store(0, Relaxed);
        COUNTER.large.store(0, Relaxed);
        trace::start(&COUNTER, mode).unwrap();
        Self(guard)
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        trace::stop();
        WATCHED.set(false);
    }
}

fn entries() -> Vec<(usize, u64)> {
    trace::untraced(|| {
        let mut entries = Vec::new();
        trace::each(|block, entry| entries.push((block.addr(), entry)));
        entries
    })
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).unwrap()
}

fn alloc(size: usize) -> *mut u8 {
    // SAFETY: the layout is not empty.
    let block = unsafe { PyMalloc.alloc(layout(size)) };
    assert!(!block.is_null());
    block
}

/// # Safety
/// As for `dealloc`.
unsafe fn free(block: *mut u8, size: usize) {
    // SAFETY: the caller's promise.
    unsafe { PyMalloc.dealloc(block, layout(size)) };
}

/// A block to hand to another thread.
struct Sent(*mut u8);

// SAFETY: blocks may be freed by any thread.
unsafe impl Send for Sent {}

const SIZES: [usize; 12] = [
    1, 8, 24, 100, 512, 513, 1000, 5000, 16_384, 20_000, 49_152, 65_536,
];

#[test]
fn every_block_has_its_entry_until_it_is_freed() {
    let _tracing = Tracing::start(Mode::Exact);
    let before = COUNTER.live();
    let mut blocks = Vec::with_capacity(20_000);
    for round in 0..1000 {
        for size in SIZES {
            blocks.push((alloc(size), size));
            if round % 3 == 0 {
                let (block, size) = blocks.swap_remove(round % blocks.len());
                // SAFETY: one of the blocks above.
                unsafe { free(block, size) };
                assert_eq!(trace::find(block), None);
            }
        }
    }
    for &(block, size) in &blocks {
        let found = trace::find(block.wrapping_add(size - 1));
        assert_eq!(found, Some((block.cast_const(), size as u64 + 1)));
    }
    let mut found = entries();
    found.sort_unstable();
    for &(block, size) in &blocks {
        let entry = (block.addr(), size as u64 + 1);
        assert!(found.binary_search(&entry).is_ok(), "{size}");
    }
    for (block, size) in blocks.drain(..) {
        // SAFETY: one of the blocks above.
        unsafe { free(block, size) };
    }
    drop(blocks);
    assert_eq!(COUNTER.live(), before);
    pymalloc::verify_heap().unwrap();
}

/// A thread that frees much changes the length of its fronts.
#[test]
fn a_long_run_of_frees_is_told_to_its_end() {
    let _tracing = Tracing::start(Mode::Exact);
    for size in [50, 700, 9000] {
        let blocks: Vec<_> = (0..20_000_000 / size.max(200))
            .map(|_| alloc(size))
            .collect();
        for block in blocks {
            // SAFETY: one of the blocks above.
            unsafe { free(block, size) };
            assert_eq!(trace::find(block), None, "{size}");
        }
    }
}

#[test]
fn a_block_freed_elsewhere_or_after_its_thread_is_gone_loses_its_entry() {
    let _tracing = Tracing::start(Mode::Exact);
    let blocks = thread::spawn(|| {
        WATCHED.set(true);
        let all = SIZES.iter().cycle().take(6000);
        all.map(|&size| (Sent(alloc(size)), size))
            .collect::<Vec<_>>()
    });
    let blocks = blocks.join().unwrap();
    let addresses: Vec<_> = blocks.iter().map(|(block, _)| block.0.addr()).collect();
    assert!(
        blocks
            .iter()
            .all(|(block, _)| trace::find(block.0).is_some())
    );
    thread::spawn(move || {
        for (block, size) in blocks {
            // SAFETY: one of the blocks above.
            unsafe { free(block.0, size) };
        }
    })
    .join()
    .unwrap();
    let left = entries();
    assert!(left.iter().all(|(block, _)| !addresses.contains(block)));
}

#[test]
fn realloc_gives_the_entry_of_the_new_size() {
    let _tracing = Tracing::start(Mode::Exact);
    let before = COUNTER.live();
    let mut size = 17;
    let mut block = alloc(size);
    for new in [
        20, 24, 200, 5000, 5001, 5100, 70_000, 300_000, 90_000, 600, 3,
    ] {
        // SAFETY: the block of that size; the new size is not empty.
        block = unsafe { PyMalloc.realloc(block, layout(size), new) };
        size = new;
        let large = size > 64 << 10;
        let entry = trace::find(block).map(|(_, entry)| entry);
        assert_eq!(entry, (!large).then_some(size as u64 + 1));
        assert_eq!(COUNTER.large.load(Relaxed) > 0, large);
    }
    // SAFETY: the block of that size.
    unsafe { free(block, size) };
    assert_eq!(COUNTER.live(), before);
}

#[test]
fn what_gets_another_size_without_a_layout_has_the_entry_of_that() {
    let _tracing = Tracing::start(Mode::Exact);
    let before = COUNTER.live();
    let mut block = alloc(1000);
    // In place, within the class and below it; elsewhere.
    for new in [1010, 1024, 800, 5000, 4999, 24] {
        // SAFETY: the block that the last step gave.
        block = unsafe { pymalloc::realloc_unsized(block, layout(new)) }.unwrap();
        let entry = trace::find(block).map(|(_, entry)| entry);
        assert_eq!(entry, Some(new as u64 + 1));
    }
    // SAFETY: the block that the last step gave.
    assert_eq!(unsafe { pymalloc::dealloc_unsized(block) }, Ok(()));
    assert_eq!(COUNTER.live(), before);
}

#[test]
fn a_large_block_that_cannot_grow_is_known_still() {
    let _tracing = Tracing::start(Mode::Exact);
    let block = alloc(100_000);
    assert_eq!(COUNTER.large.load(Relaxed), 1);
    let too_much = isize::MAX as usize - 4096;
    // SAFETY: the block just allocated; the new size is a legal one.
    assert!(unsafe { PyMalloc.realloc(block, layout(100_000), too_much) }.is_null());
    assert_eq!(COUNTER.large.load(Relaxed), 1);
    // SAFETY: as above; what no layout tells is the same.
    let answer = unsafe { pymalloc::realloc_unsized(block, layout(too_much)) };
    assert_eq!(answer, Ok(std::ptr::null_mut()));
    assert_eq!(COUNTER.large.load(Relaxed), 1);
    // SAFETY: the block just allocated.
    unsafe { free(block, 100_000) };
    assert_eq!(COUNTER.large.load(Relaxed), 0);
}

#[test]
fn what_is_freed_without_a_layout_loses_its_entry() {
    for mode in [Mode::Exact, Mode::Sampled] {
        let _tracing = Tracing::start_with(mode, 0);
        let before = COUNTER.live();
        for size in SIZES {
            let block = alloc(size);
            assert!(trace::find(block).is_some(), "{mode:?} {size}");
            // SAFETY: the block just allocated.
            assert_eq!(unsafe { pymalloc::dealloc_unsized(block) }, Ok(()));
            assert!(trace::find(block).is_none());
        }
        assert_eq!(COUNTER.live(), before);
    }
}

#[test]
fn what_a_quiet_thread_allocates_has_no_entry_and_what_it_frees_loses_it() {
    let _tracing = Tracing::start(Mode::Exact);
    let loud = alloc(40);
    trace::untraced(|| {
        let quiet = alloc(40);
        assert_eq!(trace::find(quiet), None);
        // SAFETY: the block just allocated.
        unsafe { free(quiet, 40) };
        // SAFETY: the block just allocated.
        unsafe { free(loud, 40) };
    });
    assert_eq!(trace::find(loud), None);
    let loud = alloc(40);
    assert!(trace::find(loud).is_some());
    // SAFETY: the block just allocated.
    unsafe { free(loud, 40) };
}

#[test]
fn a_thread_that_runs_already_notices_a_start_and_a_stop() {
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let (done, ends) = std::sync::mpsc::channel();
    let thread = thread::spawn(move || {
        WATCHED.set(true);
        for () in gone {
            for _ in 0..20_000 {
                drop(black_box(Box::new([0_u64; 4])));
            }
            let block = alloc(40);
            let has_entry = trace::find(block).is_some();
            // SAFETY: the block just allocated.
            unsafe { free(block, 40) };
            done.send(has_entry).unwrap();
        }
    });
    let _tracing = Tracing::start(Mode::Exact);
    for _ in 0..3 {
        trace::start(&COUNTER, Mode::Exact).unwrap();
        go.send(()).unwrap();
        assert!(ends.recv().unwrap());
        trace::stop();
        go.send(()).unwrap();
        assert!(!ends.recv().unwrap());
    }
    drop(go);
    thread.join().unwrap();
}

/// By the start alone: the two threads share nothing else.
#[test]
fn a_tracer_sees_in_any_thread_what_was_set_up_before_a_start() {
    let _tracing = Tracing::start(Mode::Exact);
    trace::stop();
    let runs = AtomicBool::new(false);
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            WATCHED.set(true);
            READS.set(true);
            while !SET_UP.1.load(Relaxed) {
                // SAFETY: the block just allocated.
                unsafe { free(alloc(40), 40) };
                runs.store(true, Relaxed);
            }
        });
        while !runs.load(Relaxed) {
            thread::yield_now();
        }
        SET_UP.write(7);
        trace::start(&COUNTER, Mode::Exact).unwrap();
        // ThreadSanitizer does not see how a scope waits for its end.
        thread.join().unwrap();
    });
}

#[test]
fn samples_are_as_many_as_the_period_says_and_all_end() {
    for size in SIZES {
        let _tracing = Tracing::start_with(Mode::Sampled, 20_000);
        let before = (COUNTER.live(), COUNTER.allocated.load(Relaxed));
        let count = 20_000_000 / size.max(100);
        let blocks: Vec<_> = (0..count).map(|_| alloc(size)).collect();
        let samples = (COUNTER.allocated.load(Relaxed) - before.1) as f64;
        let likely = count as f64 * -(-(size as f64) / 20_000.0).exp_m1();
        // The list of blocks may be a sample itself.
        let off = (samples - likely).abs();
        assert!(
            off < 5.0 * likely.sqrt() + 2.0,
            "{size}: {samples} {likely}"
        );
        for block in blocks {
            // SAFETY: one of the blocks above.
            unsafe { free(block, size) };
        }
        assert_eq!(COUNTER.live(), before.0, "{size}");
        pymalloc::verify_heap().unwrap();
    }
}

#[test]
fn samples_outlive_the_mode_and_its_end() {
    let _tracing = Tracing::start_with(Mode::Sampled, 0);
    let blocks: Vec<_> = SIZES.iter().map(|&size| (alloc(size), size)).collect();
    assert!(
        blocks
            .iter()
            .all(|&(block, _)| trace::find(block).is_some())
    );
    for &(block, size) in &blocks {
        // SAFETY: the block is at least that long.
        unsafe { block.write_bytes(7, size) };
        // SAFETY: one of the blocks above.
        assert!(unsafe { pymalloc::usable_size(block) } >= size);
    }
    trace::start(&COUNTER, Mode::Exact).unwrap();
    let mut blocks = blocks.into_iter();
    for (block, size) in blocks.by_ref().take(6) {
        // SAFETY: one of the blocks above.
        unsafe { free(block, size) };
    }
    trace::stop();
    for (block, size) in blocks {
        // SAFETY: one of the blocks above.
        unsafe { free(block, size) };
    }
    pymalloc::verify_heap().unwrap();
}

#[test]
fn a_pool_of_another_class_gets_another_array() {
    let _tracing = Tracing::start(Mode::Exact);
    for size in SIZES.into_iter().cycle().take(60) {
        let blocks: Vec<_> = (0..2_000_000 / size.max(400))
            .map(|_| alloc(size))
            .collect();
        for &block in &blocks {
            let found = trace::find(block);
            assert_eq!(found, Some((block.cast_const(), size as u64 + 1)));
        }
        for block in blocks {
            // SAFETY: one of the blocks above.
            unsafe { free(block, size) };
        }
        pymalloc::trim();
    }
    // An array of each of a dozen classes, again and again: not one more each time.
    assert!(trace::memory_bytes() < 4 << 20, "{}", trace::memory_bytes());
}

#[test]
fn the_child_of_a_fork_traces_on() {
    let _tracing = Tracing::start(Mode::Exact);
    let busy = thread::spawn(|| {
        for n in 0..100_000_usize {
            drop(black_box(vec![0_u8; n % 3000]));
        }
    });
    for _ in 0..50 {
        // SAFETY: the child calls nothing but the allocator, and leaves.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            let mut right = true;
            for size in SIZES {
                let block = alloc(size);
                right &= trace::find(block).is_some();
                // SAFETY: the block just allocated.
                unsafe { free(block, size) };
                right &= trace::find(block).is_none();
            }
            // SAFETY: leaves at once.
            unsafe { libc::_exit(i32::from(!right)) };
        }
        let mut status = 0;
        // SAFETY: waits for the child above.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0);
    }
    busy.join().unwrap();
}
