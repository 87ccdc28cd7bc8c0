//! `fork`: the child gets locks that nobody holds.
//!
//! Before a fork the forking thread takes the lock of those who start, stop and look, that of the
//! sums at the peak, and all of `live.rs`, in this order; no other thread is in the middle of a
//! table then. All else that hooks share is changed by single atomic steps, or by two between
//! which it is off by no more than `counters.rs` says. The handlers are registered after the
//! allocator's, so this runs before it locks itself: nobody waits for us who holds anything of it.
//!
//! # Between `before` and `after`
//! Handlers that the program registered before ours run here, and may allocate and free: blocks
//! in pools are counted as ever, and `live.rs` is left alone, because the thread has its locks.
//! So what is allocated there, and would be in that table, is not recorded, and what is freed
//! stays in it until its address is used again. Who looks there finds tracing off: `in_control`.

use std::cell::UnsafeCell;
use std::sync::{MutexGuard, Once};

use super::hooks::LIVE;
use super::live::AllLocks;
use super::{control, peak, roll, thread};

/// What is held; dropped in the order of the fields.
struct Locks {
    _live: AllLocks,
    _peak: MutexGuard<'static, ()>,
    _control: MutexGuard<'static, ()>,
}

struct Held(UnsafeCell<Option<Locks>>);

// SAFETY: it is written by the thread that has all the locks, and emptied by the same thread, in
// the parent and in the child.
unsafe impl Sync for Held {}

static HELD: Held = Held(UnsafeCell::new(None));

/// Registers the handlers, once. Outside the hook.
pub(super) fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Without memory for them a fork is as risky as it is without handlers.
        // SAFETY: the handlers are functions that may be called around any fork.
        unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after_in_child)) };
    });
}

extern "C" fn before() {
    let control = control();
    let peak = peak::lock();
    thread::set_forking(true);
    let all = Locks {
        _live: LIVE.lock_all(),
        _peak: peak,
        _control: control,
    };
    // SAFETY: this thread has all locks: no other is here.
    unsafe { *HELD.0.get() = Some(all) };
}

extern "C" fn after() {
    // SAFETY: `before` ran in this thread: it still has all locks.
    let all = unsafe { (*HELD.0.get()).take() };
    drop(all);
    thread::set_forking(false);
}

extern "C" fn after_in_child() {
    after();
    // SAFETY: this thread is the child's only one.
    unsafe { thread::take_over(roll::forget) };
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::super::{peak, thread};
    use super::*;

    /// Whether `f` is true in a child, which has a minute for it.
    fn in_child(f: impl FnOnce() -> bool) -> bool {
        // SAFETY: the child does what a child of a process with threads may, and leaves.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            // SAFETY: no requirements.
            unsafe { libc::alarm(60) };
            // SAFETY: leaves at once.
            unsafe { libc::_exit(i32::from(!f())) };
        }
        let mut status = 0;
        // SAFETY: waits for the child above.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        status == 0
    }

    #[test]
    fn a_child_looks_at_the_peak_that_another_thread_was_copying() {
        prepare();
        let (copies, copying) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let copies_now = peak::lock();
                copies.send(()).unwrap();
                std::thread::sleep(Duration::from_millis(200));
                drop(copies_now);
            });
            copying.recv().unwrap();
            assert!(in_child(|| {
                peak::clear();
                true
            }));
        });
    }

    #[test]
    fn a_child_has_the_parts_of_the_threads_that_it_has_not_got() {
        prepare();
        let (enters, entered) = mpsc::channel();
        std::thread::scope(|scope| {
            let leave: Vec<_> = (0..3)
                .map(|_| {
                    let enters = enters.clone();
                    let (leave, left) = mpsc::channel::<()>();
                    scope.spawn(move || {
                        thread::inside(|_| ());
                        enters.send(()).unwrap();
                        left.recv().unwrap_err();
                    });
                    leave
                })
                .collect();
            for _ in &leave {
                entered.recv().unwrap();
            }
            thread::inside(|_| ());
            let taken = || {
                let mut count = 0;
                thread::each(|thread| count += usize::from(thread.is_taken()));
                count
            };
            assert!(taken() >= 4);
            assert!(in_child(|| taken() == 1));
            assert!(taken() >= 4);
        });
    }
}
