//! Allocation and free work in every destructor that a dying thread runs:
//! those of `thread_local!`, nested ones, and those of pthread keys, which
//! run in an order of the system's own, some after the allocator's.

mod support;

use std::cell::RefCell;
use std::ffi::c_void;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use pymalloc::PyMalloc;
use support::{alone, are_all, assert_heap_is_sound, bytes_in_use};

#[global_allocator]
static GLOBAL: PyMalloc = PyMalloc;

/// Threads per test: enough that a block lost by each would show.
const THREADS: usize = 64;
/// What a heap leaked by each thread would exceed.
const SLACK_BYTES: usize = 1 << 20;

static DROPS: AtomicUsize = AtomicUsize::new(0);
/// Blocks that dying threads leave to the living.
static LEGACY: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Owns blocks, and allocates new ones of every tier as it goes.
#[derive(Debug)]
struct Hoard {
    name: &'static str,
    strings: Vec<String>,
    depth: usize,
}

impl Hoard {
    fn new(name: &'static str, depth: usize) -> Self {
        let strings = (0..40).map(|i| format!("{name} {i}")).collect();
        Self {
            name,
            strings,
            depth,
        }
    }
}

impl Drop for Hoard {
    fn drop(&mut self) {
        for (i, string) in self.strings.iter().enumerate() {
            assert_eq!(*string, format!("{} {i}", self.name));
        }
        for len in [1, 24, 512, 513, 40_000, 65_537, 400_000] {
            let block = vec![len as u8; len];
            assert!(are_all(&block, len as u8));
        }
        self.strings.truncate(7);
        self.strings
            .extend((0..9).map(|i| i.to_string().repeat(30)));
        LEGACY
            .lock()
            .expect("no holder panics")
            .push(format!("left by {}", self.name));
        if self.depth > 0 {
            // A slot that may not exist yet: its destructor is then registered
            // while destructors run.
            let deeper = Hoard::new("deeper", self.depth - 1);
            // An error hands nothing back: the slot is already gone.
            let _ = LATE.try_with(|slot| slot.borrow_mut().push(deeper));
        }
        DROPS.fetch_add(1, Ordering::Relaxed);
    }
}

thread_local! {
    static FIRST: RefCell<Option<Hoard>> = const { RefCell::new(None) };
    static SECOND: Box<Hoard> = Box::new(Hoard::new("second", 3));
    static LATE: RefCell<Vec<Hoard>> = const { RefCell::new(Vec::new()) };
}

/// Takes what the threads left, checks it, and frees it here.
#[track_caller]
fn collect_legacy() -> usize {
    let legacy = std::mem::take(&mut *LEGACY.lock().expect("no holder panics"));
    assert!(legacy.iter().all(|left| left.starts_with("left by ")));
    legacy.len()
}

/// Runs the body on fresh threads; the bytes in use stay as they were.
#[track_caller]
fn assert_dying_threads_leave_nothing(body: fn()) {
    let in_threads = |count| {
        for _ in 0..count {
            thread::spawn(body)
                .join()
                .expect("destructors do not panic");
        }
        collect_legacy()
    };
    in_threads(8);
    let before = bytes_in_use();
    DROPS.store(0, Ordering::Relaxed);
    let left = in_threads(THREADS);
    assert_heap_is_sound();
    let after = bytes_in_use();
    let drops = DROPS.load(Ordering::Relaxed);
    assert_eq!(left, drops, "each destructor left one block");
    assert!(drops >= THREADS, "{drops} destructors ran");
    assert!(
        after <= before + SLACK_BYTES,
        "{before} bytes in use before, {after} after"
    );
}

#[test]
fn thread_local_destructors_allocate_and_free() {
    alone(|| {
        assert_dying_threads_leave_nothing(|| {
            FIRST.set(Some(Hoard::new("first", 0)));
        });
    });
}

#[test]
fn nested_destructors_register_and_allocate() {
    alone(|| {
        assert_dying_threads_leave_nothing(|| {
            SECOND.with(|hoard| assert_eq!(hoard.strings.len(), 40));
        });
    });
}

#[test]
fn a_thread_that_first_allocates_in_a_destructor_gets_a_heap() {
    /// Owns nothing itself: all it does is in its destructor.
    #[derive(Debug)]
    struct Lazy;
    impl Drop for Lazy {
        fn drop(&mut self) {
            drop(Hoard::new("lazy", 0));
        }
    }
    thread_local! {
        static LAZY: Lazy = const { Lazy };
    }
    alone(|| {
        assert_dying_threads_leave_nothing(|| LAZY.with(|_| ()));
    });
}

/// The key whose destructor is [`pthread_destructor`].
fn key() -> libc::pthread_key_t {
    static KEY: std::sync::OnceLock<libc::pthread_key_t> = std::sync::OnceLock::new();
    *KEY.get_or_init(|| {
        let mut key = 0;
        // SAFETY: `key` is writable; the destructor is a function of the
        // right type that never goes away.
        let status = unsafe { libc::pthread_key_create(&raw mut key, Some(pthread_destructor)) };
        assert_eq!(status, 0);
        key
    })
}

/// Frees the hoard and leaves another for the next round of destructors,
/// until its depth runs out.
extern "C" fn pthread_destructor(value: *mut c_void) {
    // SAFETY: the slot holds what `leave_in_key` put there, once.
    let hoard = unsafe { Box::from_raw(value.cast::<Hoard>()) };
    if let Some(depth) = hoard.depth.checked_sub(1) {
        leave_in_key(depth);
    }
    let Hoard { name, .. } = *hoard;
    assert_eq!(name, "keyed");
}

fn leave_in_key(depth: usize) {
    let hoard = Box::new(Hoard::new("keyed", depth));
    // SAFETY: the key exists, and its destructor takes the box back.
    let status = unsafe { libc::pthread_setspecific(key(), Box::into_raw(hoard).cast()) };
    assert_eq!(status, 0);
}

#[test]
fn pthread_key_destructors_allocate_and_free_in_every_round() {
    alone(|| {
        key();
        // glibc runs four rounds: a hoard left in the first three is freed.
        assert_dying_threads_leave_nothing(|| leave_in_key(3));
    });
}

#[test]
fn both_kinds_of_destructor_share_a_thread() {
    alone(|| {
        key();
        assert_dying_threads_leave_nothing(|| {
            leave_in_key(2);
            FIRST.set(Some(Hoard::new("first", 2)));
            SECOND.with(|hoard| assert_eq!(hoard.strings.len(), 40));
            LATE.with_borrow_mut(|late| late.push(Hoard::new("late", 1)));
        });
    });
}
