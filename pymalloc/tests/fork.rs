//! A forked child allocates, frees and starts threads, also when the parent's
//! other threads were inside the allocator at the fork; and the parent goes
//! on as if nothing had happened.
//!
//! A child that hangs is killed by its own alarm, which fails the test; no
//! other clock is read.

mod support;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use pymalloc::PyMalloc;
use support::{Random, alone, are_all, assert_heap_is_sound};

#[global_allocator]
static GLOBAL: PyMalloc = PyMalloc;

/// Seconds after which a child counts as deadlocked.
const HANG_SECONDS: u32 = 60;

/// Forks; the child runs `body` and must come to its end.
#[track_caller]
fn fork_and_wait(body: impl FnOnce()) {
    // SAFETY: the child only allocates, starts threads and exits, which is
    // the claim under test.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        // SAFETY: the call has no preconditions.
        unsafe { libc::alarm(HANG_SECONDS) };
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
    let mut status = 0;
    // SAFETY: `status` is writable and the child is ours.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!(waited, pid);
    let exited = libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0;
    let hung = libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGALRM;
    assert!(exited, "child status {status:#x}, hung: {hung}");
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
    let born_here = thread::spawn(|| {
        exercise(2);
        vec![7_u8; 100]
    })
    .join()
    .expect("the child's thread only allocates");
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

/// Allocates and frees until told to stop; hands every 16th block over.
fn churn(seed: u64, stop: &AtomicBool, blocks: &std::sync::mpsc::SyncSender<Vec<u8>>) {
    let mut random = Random::new(seed);
    let mut kept: Vec<Vec<u8>> = (0..64).map(|_| Vec::new()).collect();
    while !stop.load(Ordering::Relaxed) {
        let len = random.size();
        let slot = random.below(kept.len());
        let old = std::mem::replace(&mut kept[slot], vec![len as u8; len]);
        check(&old);
        // Some grow, the large ones by moving their pages.
        kept[slot].reserve_exact(random.size());
        if random.below(16) == 0 {
            // A full channel drops the block here instead.
            let _ = blocks.try_send(old);
        }
    }
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
