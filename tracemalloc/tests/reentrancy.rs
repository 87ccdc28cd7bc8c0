//! The recorder inside an allocator, wherever that is called from: no deadlock, no recursion.

#[path = "support/c_library.rs"]
mod c_library;
#[path = "support/tracing.rs"]
mod tracing;

use std::cell::RefCell;
use std::env;
use std::ffi::{CString, c_void};
use std::hint::black_box;
use std::panic;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use c_library::{compile, wait_until};
use pymalloc::PyMalloc;
use tracemalloc::{Config, KeyType, Mode, Unwinder};
use tracing::Tracing;

#[global_allocator]
static GLOBAL: PyMalloc = PyMalloc;

fn start(mode: Mode, unwinder: Unwinder) -> Tracing {
    Tracing::start(Config {
        mode,
        unwinder,
        peak: true,
        ..Config::default()
    })
}

const EACH: [(Mode, Unwinder); 4] = [
    (Mode::Exact, Unwinder::FramePointers),
    (Mode::Exact, Unwinder::Tables),
    (Mode::Sampled { period_bytes: 1000 }, Unwinder::Auto),
    (
        Mode::Sampled {
            period_bytes: 100_000,
        },
        Unwinder::Tables,
    ),
];

/// Blocks of all tiers, in and out.
fn churn(rounds: usize) {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for n in 0..rounds {
        let size = [10, 100, 700, 9000, 40_000, 90_000][n % 6];
        kept.push(black_box(Vec::with_capacity(size + n % 50)));
        if kept.len() > 40 {
            let mut old = kept.swap_remove(n * 7 % 40);
            old.reserve_exact(old.capacity() + 100);
        }
    }
}

#[test]
fn a_child_of_a_fork_records_on() {
    for (mode, unwinder) in EACH {
        let _tracing = start(mode, unwinder);
        let stop = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while stop.load(Relaxed) == 0 {
                        churn(100);
                    }
                });
            }
            for _ in 0..15 {
                // SAFETY: the child allocates, which the handlers for forks allow, and leaves.
                let child = unsafe { libc::fork() };
                assert!(child >= 0);
                if child == 0 {
                    churn(300);
                    let kept = black_box(vec![1_u8; 3_000_000]);
                    let right = tracemalloc::take_snapshot().is_ok()
                        && tracemalloc::get_traced_memory().0 >= 2_000_000;
                    drop(kept);
                    // SAFETY: leaves at once.
                    unsafe { libc::_exit(i32::from(!right)) };
                }
                let mut status = 0;
                // SAFETY: waits for the child above.
                assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
                assert_eq!(status, 0);
            }
            stop.store(1, Relaxed);
        });
    }
}

/// Frees, and allocates, when its thread is almost gone.
#[expect(clippy::vec_box, reason = "each is a block, freed late")]
struct Late(Vec<Box<[u8; 50]>>);

impl Drop for Late {
    fn drop(&mut self) {
        self.0.clear();
        churn(50);
    }
}

thread_local! {
    static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
}

extern "C" fn even_later(round: *mut c_void) {
    churn(50);
    let key = LATER.load(Relaxed) as libc::pthread_key_t;
    let round = round.addr();
    if round < 3 {
        let next = std::ptr::without_provenance::<c_void>(round + 1);
        // SAFETY: the key was made by the test.
        unsafe { libc::pthread_setspecific(key, next) };
    }
}

static LATER: AtomicUsize = AtomicUsize::new(0);

#[test]
fn destructors_of_thread_locals_are_recorded() {
    let mut key = 0;
    // SAFETY: the destructor takes numbers.
    let made = unsafe { libc::pthread_key_create(&raw mut key, Some(even_later)) };
    assert_eq!(made, 0);
    LATER.store(key as usize, Relaxed);
    for (mode, unwinder) in EACH {
        let _tracing = start(mode, unwinder);
        let before = tracemalloc::get_traced_memory().0;
        for _ in 0..20 {
            let late = move || {
                LATE.set(Some(Late((0..500).map(|_| Box::new([0; 50])).collect())));
                let first = std::ptr::without_provenance::<c_void>(1);
                // SAFETY: the key was made above.
                unsafe { libc::pthread_setspecific(key, first) };
            };
            thread::spawn(late).join().unwrap();
        }
        let left = tracemalloc::get_traced_memory().0.saturating_sub(before);
        assert!(left < 20_000, "{left} bytes left by {mode:?}");
    }
}

extern "C" fn churns_late(_value: *mut c_void) {
    // The thread-local parts are gone: each step is one of its own.
    for n in 0..1000_usize {
        drop(black_box(Box::new([n; 4])));
    }
}

#[test]
fn a_thread_keeps_its_number_to_its_last_block() {
    let _tracing = start(Mode::Exact, Unwinder::FramePointers);
    // Made after the recorder's own key, so that it is later.
    let mut key = 0;
    // SAFETY: the destructor takes anything.
    let made = unsafe { libc::pthread_key_create(&raw mut key, Some(churns_late)) };
    assert_eq!(made, 0);
    for _ in 0..40 {
        let late = move || {
            drop(black_box(Box::new([0_u8; 100])));
            let value = std::ptr::without_provenance::<c_void>(1);
            // SAFETY: the key was made above.
            unsafe { libc::pthread_setspecific(key, value) };
        };
        thread::spawn(late).join().unwrap();
    }
    let named = thread::Builder::new().name("last".to_owned());
    let kept = named.spawn(|| black_box(vec![0_u8; 4321])).unwrap();
    let kept = kept.join().unwrap();
    let snapshot = tracemalloc::take_snapshot().unwrap();
    let by_thread = format!("{:?}", snapshot.statistics(KeyType::Thread, false));
    assert!(by_thread.contains("(last)"), "{by_thread}");
    drop(kept);
}

#[test]
fn what_is_forgotten_while_others_allocate_is_forgotten_as_a_whole() {
    let _tracing = start(Mode::Exact, Unwinder::FramePointers);
    for _ in 0..30 {
        let stop = AtomicUsize::new(0);
        let kept = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut blocks: Vec<Box<[u8; 1000]>> = Vec::with_capacity(1000);
                    while stop.load(Relaxed) == 0 {
                        blocks.truncate(blocks.len() / 2);
                        blocks.resize_with(1000, || Box::new([0; 1000]));
                    }
                    kept.lock().unwrap().push(blocks);
                });
            }
            thread::sleep(Duration::from_millis(5));
            for _ in 0..5 {
                tracemalloc::clear_traces();
            }
            thread::sleep(Duration::from_millis(2));
            stop.store(1, Relaxed);
        });
        let snapshot = tracemalloc::take_snapshot().unwrap();
        let (current, _) = tracemalloc::get_traced_memory();
        let sum: usize = snapshot.traces().iter().map(|trace| trace.size()).sum();
        drop(snapshot);
        let error = current.abs_diff(sum as u64);
        assert!(
            error <= 2 * ((64 << 10) + 1000) + 100_000,
            "{current} {sum}"
        );
        drop(kept);
    }
}

/// Allocates while the stack is unwound.
struct AllocatesInDrop;

impl Drop for AllocatesInDrop {
    fn drop(&mut self) {
        churn(20);
    }
}

#[test]
fn panics_pass_through() {
    fn deep(depth: usize) {
        let _guard = AllocatesInDrop;
        if depth == 0 {
            // Without the hook, which would print a backtrace.
            panic::resume_unwind(black_box(Box::new([7_u8; 300])));
        }
        deep(depth - 1);
    }
    for (mode, unwinder) in EACH {
        let _tracing = start(mode, unwinder);
        for depth in 0..20 {
            let caught = panic::catch_unwind(|| deep(depth)).unwrap_err();
            assert_eq!(caught.downcast_ref::<[u8; 300]>(), Some(&[7; 300]));
        }
        tracemalloc::take_snapshot().unwrap();
    }
}

/// Allocates below a frame of the C library's, which may keep no frame pointer.
extern "C" fn compare(one: *const c_void, two: *const c_void) -> i32 {
    let block = black_box(Box::new([0_u8; 333]));
    // SAFETY: `qsort` passes an element of the array.
    let one = unsafe { *one.cast::<i32>() };
    // SAFETY: as above.
    let two = unsafe { *two.cast::<i32>() };
    drop(block);
    one.cmp(&two) as i32
}

#[test]
fn libraries_come_and_go() {
    let libraries = [
        "libresolv.so.2",
        "libnss_dns.so.2",
        "libz.so.1",
        "libutil.so.1",
        "libBrokenLocale.so.1",
    ];
    for (mode, unwinder) in EACH {
        let _tracing = start(mode, unwinder);
        thread::scope(|scope| {
            let other = scope.spawn(|| {
                for _ in 0..20 {
                    churn(100);
                    tracemalloc::take_snapshot().unwrap();
                }
            });
            let mut opened = 0;
            let mut is_last = false;
            while !is_last {
                is_last = other.is_finished();
                for library in libraries {
                    let name = CString::new(library).unwrap();
                    // SAFETY: a library of the system's, whose constructors do no harm.
                    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
                    let mut numbers = [5, 3, 1, 4, 2];
                    // SAFETY: the array, and a function that compares its elements.
                    unsafe { libc::qsort(numbers.as_mut_ptr().cast(), 5, 4, Some(compare)) };
                    assert_eq!(numbers, [1, 2, 3, 4, 5]);
                    if !handle.is_null() {
                        opened += 1;
                        // SAFETY: the handle from above.
                        unsafe { libc::dlclose(handle) };
                    }
                }
            }
            assert!(opened > 0 || cfg!(target_env = "musl"), "none is here");
        });
    }
}

static IN_CONSTRUCTOR: AtomicUsize = AtomicUsize::new(0);

/// Called with the loader's lock.
extern "C" fn looks() {
    IN_CONSTRUCTOR.store(1, Relaxed);
    // Time for the other thread to meet the new library.
    thread::sleep(Duration::from_millis(300));
    tracemalloc::take_snapshot().unwrap();
}

#[test]
fn a_library_may_look_while_it_is_loaded() {
    let _tracing = start(Mode::Exact, Unwinder::Tables);
    let name = compile(
        "constructor",
        "#include <stdlib.h>
         __attribute__((constructor)) static void start(void) {
             ((void (*)(void)) strtoul(getenv(\"TRACEMALLOC_TEST_HOOK\"), 0, 10))();
         }",
    );
    let hook: extern "C" fn() = looks;
    // SAFETY: no other thread of this test reads the environment now.
    unsafe { env::set_var("TRACEMALLOC_TEST_HOOK", (hook as usize).to_string()) };
    // A test that hangs says nothing.
    // SAFETY: no requirements.
    unsafe { libc::alarm(240) };
    thread::scope(|scope| {
        scope.spawn(|| {
            // SAFETY: the library from above.
            let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
            assert!(!handle.is_null());
        });
        wait_until(|| IN_CONSTRUCTOR.load(Relaxed) != 0);
        tracemalloc::take_snapshot().unwrap();
    });
    // SAFETY: no requirements.
    unsafe { libc::alarm(0) };
    // SAFETY: a path without a zero in it.
    unsafe { libc::unlink(name.as_ptr()) };
}

static SIGNALS_INSIDE: AtomicUsize = AtomicUsize::new(0);

extern "C" fn on_signal(_signal: i32) {
    // Anywhere else in the allocator a handler must not allocate.
    if pymalloc::trace::is_inside() {
        SIGNALS_INSIDE.fetch_add(1, Relaxed);
        churn(6);
        black_box(tracemalloc::get_traced_memory());
        black_box(tracemalloc::track(3, 64, 64).is_ok());
        tracemalloc::untrack(3, 64);
    }
}

#[test]
fn a_signal_that_arrives_inside_is_served() {
    for unwinder in [Unwinder::FramePointers, Unwinder::Tables] {
        let _tracing = start(Mode::Exact, unwinder);
        churn(300);
        SIGNALS_INSIDE.store(0, Relaxed);
        // SAFETY: zeros are an action without flags.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        let handler: extern "C" fn(i32) = on_signal;
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_RESTART;
        // SAFETY: the handler does what handlers may, given where it allocates.
        unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) };
        // SAFETY: no requirements.
        let target = unsafe { libc::pthread_self() };
        let stop = AtomicUsize::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                while stop.load(Relaxed) == 0 {
                    // SAFETY: the target waits for this thread.
                    unsafe { libc::pthread_kill(target, libc::SIGUSR1) };
                    thread::sleep(Duration::from_micros(50));
                }
            });
            let begin = Instant::now();
            while SIGNALS_INSIDE.load(Relaxed) < 20 && begin.elapsed() < Duration::from_secs(60) {
                for n in 0..1000_usize {
                    drop(black_box(Box::new([n; 4])));
                }
            }
            stop.store(1, Relaxed);
        });
        assert!(
            SIGNALS_INSIDE.load(Relaxed) >= 20,
            "no signal ever arrived inside"
        );
        tracemalloc::take_snapshot().unwrap();
    }
}

#[test]
fn a_thread_with_a_small_stack_does_not_overflow_it() {
    let _tracing = start(Mode::Exact, Unwinder::Tables);
    // What this one leaves is the next one's: a cache of rules, too.
    thread::spawn(|| churn(10)).join().unwrap();
    let small = thread::Builder::new().stack_size(80 << 10);
    small.spawn(|| churn(1000)).unwrap().join().unwrap();
    tracemalloc::take_snapshot().unwrap();
}
