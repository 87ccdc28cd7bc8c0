//! A forked child allocates, frees and starts threads, also when the parent's
//! other threads were inside the allocator at the fork; and the parent goes
//! on as if nothing had happened.
//!
//! A child that hangs is killed after five minutes, which fails the test; the clock
//! decides nothing else.

#[path = "support/c_thread.rs"]
mod c_thread;
mod support;

use std::ffi::c_void;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use c_thread::in_c_thread;
use pymalloc::PyMalloc;
use support::{Random, alone, are_all, assert_heap_is_sound};

#[global_allocator]
static GLOBAL: PyMalloc = PyMalloc;

/// A child that takes so long is deadlocked; none takes a hundredth of it, on any machine.
const HANGS_AFTER: Duration = Duration::from_secs(300);

/// Forks; the child runs `body` and must come to its end.
#[track_caller]
fn fork_and_wait(body: impl FnOnce()) {
    // SAFETY: the child only allocates, starts threads and exits, which is
    // the claim under test.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        let outcome = catch_unwind(AssertUnwindSafe(body));
        if let Err(panic) = &outcome {
            // Not by a macro, whose text the harness would keep to itself.
            let text = support::panic_text(&**panic);
            let _ = writeln!(std::io::stderr(), "the forked child: {text}");
        }
        let status = i32::from(outcome.is_err());
        // SAFETY: the child has nothing to flush.
        unsafe { libc::_exit(status) };
    }
    assert_eq!(
        wait_for(pid),
        Some(0),
        "the child's status, none if it hung"
    );
}

/// The raw status a child ended with; none, and an end to it, if it hangs.
fn wait_for(pid: libc::pid_t) -> Option<libc::c_int> {
    let since = Instant::now();
    let mut status = 0;
    loop {
        // SAFETY: `status` is writable and the child is ours.
        let waited = unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) };
        if waited != 0 {
            assert_eq!(waited, pid);
            return Some(status);
        }
        if since.elapsed() > HANGS_AFTER {
            // SAFETY: the child is ours and not yet waited for.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            // SAFETY: as above.
            unsafe { libc::waitpid(pid, &raw mut status, 0) };
            return None;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Blocks of every tier: filled, checked, resized, freed.
fn exercise(seed: u64) {
    let mut random = Random::new(seed);
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    for step in 0..100_usize {
        let len = random.size();
        blocks.push(vec![len as u8; len]);
        if step % 3 == 0 {
            let gone = blocks.swap_remove(random.below(blocks.len()));
            check(&gone);
        }
        if step % 5 == 4 {
            let index = random.below(blocks.len());
            let block = &mut blocks[index];
            check(block);
            let len = random.size();
            block.clear();
            block.resize(len, len as u8);
            block.shrink_to_fit();
        }
    }
    blocks.iter().for_each(|block| check(block));
}

#[track_caller]
fn check(block: &[u8]) {
    let len = block.len();
    assert!(are_all(block, len as u8), "a block of {len}");
}

/// What every child does.
fn live_in_child(inherited: Vec<Vec<u8>>) {
    inherited.iter().for_each(|block| check(block));
    exercise(1);
    drop(inherited);
    assert_heap_is_sound();
    let born_here = in_c_thread(|| {
        exercise(2);
        vec![7; 100]
    });
    assert_eq!(born_here, [7; 100]);
    drop(born_here);
    pymalloc::trim();
    exercise(3);
    assert_heap_is_sound();
}

#[test]
fn the_child_allocates_frees_and_starts_a_thread() {
    alone(|| {
        let inherited: Vec<Vec<u8>> = [1, 24, 512, 513, 9_000, 65_537, 300_000]
            .map(|len: usize| vec![len as u8; len])
            .into();
        let in_child = inherited.clone();
        fork_and_wait(move || live_in_child(in_child));
        // The child's writes and frees are its own.
        inherited.iter().for_each(|block| check(block));
        exercise(4);
        assert_heap_is_sound();
    });
}

#[test]
fn a_grandchild_allocates_too() {
    alone(|| {
        fork_and_wait(|| {
            exercise(5);
            fork_and_wait(|| live_in_child(vec![vec![24; 24]]));
            exercise(6);
            assert_heap_is_sound();
        });
        assert_heap_is_sound();
    });
}

/// Allocates and frees until told to stop, now and then every lock's way; hands
/// every 16th block over.
fn churn(seed: u64, stop: &AtomicBool, blocks: &SyncSender<Vec<u8>>) {
    let mut random = Random::new(seed);
    let mut kept: Vec<Vec<u8>> = (0..64).map(|_| Vec::new()).collect();
    while !stop.load(Ordering::Relaxed) {
        let len = random.size();
        let slot = random.below(kept.len());
        let old = std::mem::replace(&mut kept[slot], vec![len as u8; len]);
        check(&old);
        match random.below(16) {
            // A full channel drops the block here instead.
            0 => drop(blocks.try_send(old)),
            1 => drop(pymalloc::trim()),
            2 => drop(pymalloc::stats()),
            // Large ones, in and out and moved.
            _ => drop((0..8).map(|_| grown_region()).collect::<Vec<_>>()),
        }
    }
}

/// A large block that was resized where it lay or elsewhere.
fn grown_region() -> Vec<u8> {
    let mut region = Vec::with_capacity(100_000);
    region.push(1);
    region.reserve_exact(200_000);
    region
}

/// What the other threads have handed over so far.
fn take_some(blocks: &Receiver<Vec<u8>>) -> Vec<Vec<u8>> {
    blocks.try_iter().take(32).collect()
}

#[test]
fn a_hundred_forks_under_load_all_live() {
    const FORKS: usize = 100;
    alone(|| {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let (sender, receiver) = sync_channel(256);
            for seed in 0..3 {
                let (sender, stop) = (sender.clone(), &stop);
                scope.spawn(move || churn(seed, stop, &sender));
            }
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                // The churning threads work from the first fork to the last.
                let first = receiver.recv().expect("three threads send");
                check(&first);
                for _ in 0..FORKS {
                    let inherited = take_some(&receiver);
                    let copy = inherited.clone();
                    fork_and_wait(|| live_in_child(inherited));
                    exercise(7);
                    copy.iter().for_each(|block| check(block));
                }
            }));
            stop.store(true, Ordering::Relaxed);
            if let Err(panic) = outcome {
                std::panic::resume_unwind(panic);
            }
        });
        assert_heap_is_sound();
    });
}

#[test]
fn the_child_gets_back_the_pools_of_threads_it_has_not() {
    const SIZE: usize = 512;
    const COUNT: usize = 4_000;
    let pools = || {
        let classes = pymalloc::stats().classes;
        let class = classes.iter().find(|class| class.size == SIZE);
        class.expect("a class of 512 bytes").pools
    };
    alone(|| {
        let (to_here, from_owner) = channel();
        let (go, may_go) = channel();
        let owner = thread::spawn(move || {
            let blocks: Vec<_> = (0..COUNT).map(|_| vec![0_u8; SIZE]).collect();
            to_here.send(blocks).expect("a receiver");
            // Its pools are its own until the child is gone.
            may_go.recv().expect("a sender");
        });
        let blocks = from_owner.recv().expect("the owner sends");
        let full = pools();
        assert!(full > COUNT * SIZE / (64 << 10), "{full} pools");
        fork_and_wait(|| {
            drop(blocks);
            pymalloc::trim();
            let left = pools();
            assert!(left < full / 4, "{left} of {full} pools are left");
            assert_heap_is_sound();
        });
        go.send(()).expect("the owner waits");
        owner.join().expect("it only allocates");
    });
}

/// Starts threads that have allocated, and wait until the process ends.
fn start_threads_that_stay(count: usize) {
    extern "C" fn allocate(started: *mut c_void) -> *mut c_void {
        drop(vec![1_u8; 100]);
        // SAFETY: a semaphore that lives as long as the process.
        unsafe { libc::sem_post(started.cast()) };
        loop {
            // SAFETY: no requirements.
            unsafe { libc::pause() };
        }
    }
    // SAFETY: zeros are a place for a semaphore.
    let started: &mut libc::sem_t = Box::leak(Box::new(unsafe { std::mem::zeroed() }));
    // SAFETY: the place is the semaphore's for good.
    unsafe { libc::sem_init(started, 0, 0) };
    for _ in 0..count {
        // SAFETY: zeros are a place for a thread's name.
        let mut thread: libc::pthread_t = unsafe { std::mem::zeroed() };
        let argument = std::ptr::from_mut(started).cast();
        // SAFETY: the argument lives as long as the process.
        let status =
            unsafe { libc::pthread_create(&raw mut thread, std::ptr::null(), allocate, argument) };
        assert_eq!(status, 0, "pthread_create");
    }
    for _ in 0..count {
        // SAFETY: the semaphore made above; a signal may interrupt the wait.
        while unsafe { libc::sem_wait(started) } != 0 {}
    }
}

/// Each child has threads of its own, and is the parent of the next.
fn live_through(generations: usize, bytes: &dyn Fn() -> usize, limit: usize) {
    start_threads_that_stay(8);
    let now = bytes();
    assert!(now <= limit, "{now} bytes of records, of {limit}");
    if generations > 0 {
        fork_and_wait(|| live_through(generations - 1, bytes, limit));
    }
}

#[test]
fn records_of_threads_that_a_child_has_not_serve_its_own() {
    const TEST: &str = "records_of_threads_that_a_child_has_not_serve_its_own";
    if support::in_child(TEST).is_none() {
        return drop(support::Child::of(TEST, "alone").stderr());
    }
    let bytes = || pymalloc::stats().bytes_headers;
    start_threads_that_stay(8);
    // An arena's descriptors are 8 KiB at most; a record is 576 bytes.
    let limit = bytes() + (8 << 10);
    fork_and_wait(|| live_through(30, &bytes, limit));
}
