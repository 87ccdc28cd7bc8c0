//! Signals arrive at any time, in the middle of the allocator too; their handlers, which
//! do not allocate, disturb nobody.

mod support;

use std::os::unix::thread::JoinHandleExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use pymalloc::PyMalloc;
use support::{Random, alone, are_all, assert_heap_is_sound};

#[global_allocator]
static GLOBAL: PyMalloc = PyMalloc;

static ARRIVED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn note(_: libc::c_int) {
    ARRIVED.fetch_add(1, Ordering::Relaxed);
}

/// Calls that a signal interrupts are not started again by the kernel: whoever waits for
/// a lock, or for the system, sees `EINTR`.
fn handle_without_restart(signal: libc::c_int) {
    let handler: extern "C" fn(libc::c_int) = note;
    // SAFETY: zeros are an action: no flags, no blocked signals.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as libc::sighandler_t;
    // SAFETY: the action is readable; its handler touches an atomic alone.
    let status = unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    assert_eq!(status, 0);
}

/// Each thread works so long at least, ...
const STEPS: usize = 5_000;
/// ... and until so many signals have arrived in all.
const SIGNALS: usize = 2_000;

/// Blocks of all sizes, handed from thread to thread.
fn work(seed: u64, slots: &[Mutex<Option<Vec<u8>>>]) {
    let mut random = Random::new(seed);
    let mut step = 0;
    while step < STEPS || ARRIVED.load(Ordering::Relaxed) < SIGNALS {
        step += 1;
        let len = random.size();
        let mut new = vec![len as u8; len];
        if random.below(50) == 0 {
            new.reserve_exact(200_000 + random.below(1 << 20));
        }
        let slot = &slots[random.below(slots.len())];
        let old = slot.lock().expect("no holder panics").replace(new);
        if let Some(old) = old {
            assert!(are_all(&old, old.len() as u8), "a block of {}", old.len());
        }
        if step % 2_000 == 0 {
            pymalloc::trim();
        }
    }
}

#[test]
fn handlers_that_do_not_allocate_disturb_nobody() {
    alone(|| {
        handle_without_restart(libc::SIGUSR1);
        let slots: Arc<Vec<Mutex<Option<Vec<u8>>>>> =
            Arc::new((0..200).map(|_| Mutex::new(None)).collect());
        let workers = [0, 1, 2].map(|seed| {
            let slots = Arc::clone(&slots);
            thread::spawn(move || work(seed, &slots))
        });
        while workers.iter().any(|worker| !worker.is_finished()) {
            for worker in &workers {
                // SAFETY: the thread has not been joined: its name is still its own.
                unsafe { libc::pthread_kill(worker.as_pthread_t(), libc::SIGUSR1) };
            }
            thread::yield_now();
        }
        for worker in workers {
            worker.join().expect("every block is whole");
        }
        assert_heap_is_sound();
    });
}
