//! Forks while every lane is at work: the child goes on with what it finds.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use benches::random::Random;

use crate::exchange::{Exchange, Step};
use crate::{graph, lane};

/// Forks, and waits until the child has done some work of every kind.
///
/// # Panics
/// If the child fails, or is killed after a minute in which it did not end.
pub(crate) fn fork_and_wait(exchange: &Exchange) {
    // SAFETY: the child allocates, starts a thread and exits, which this allocator allows.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        // SAFETY: a child that hangs is ended by the signal.
        unsafe { libc::alarm(60) };
        let outcome = catch_unwind(AssertUnwindSafe(|| go_on(exchange)));
        // SAFETY: nothing is to be flushed.
        unsafe { libc::_exit(i32::from(outcome.is_err())) };
    }
    let mut status = 0;
    loop {
        // SAFETY: `status` is writable, and the child is ours.
        let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
        if waited == pid {
            break;
        }
        let error = std::io::Error::last_os_error();
        let interrupted = error.kind() == std::io::ErrorKind::Interrupted;
        assert!(interrupted, "waitpid: {error}");
    }
    assert_eq!(status, 0, "the status of a forked child");
}

fn go_on(exchange: &Exchange) {
    let mut random = Random::nth(std::process::id() as usize);
    work(exchange, &mut random);
    graph::build_and_drop(&mut random);
    in_another_thread(exchange);
    exchange.apply(Step::Trim);
    exchange.apply(Step::Look);
}

fn work(exchange: &Exchange, random: &mut Random) {
    (0..200).for_each(|_| exchange.apply(lane::step(random)));
}

/// Some work in a thread that is the C library's: one of std's would take a lock of std's,
/// which a thread of the parent, just starting, may have held at the fork.
fn in_another_thread(exchange: &Exchange) {
    extern "C" fn start(exchange: *mut c_void) -> *mut c_void {
        // SAFETY: the exchange that `in_another_thread` lends until the thread has ended.
        let exchange = unsafe { &*exchange.cast::<Exchange>() };
        let mut random = Random::nth(std::process::id() as usize + 1);
        let outcome = catch_unwind(AssertUnwindSafe(|| work(exchange, &mut random)));
        std::ptr::without_provenance_mut(usize::from(outcome.is_err()))
    }
    // SAFETY: zeros are a place for a thread's name.
    let mut thread: libc::pthread_t = unsafe { std::mem::zeroed() };
    let argument = std::ptr::from_ref(exchange).cast_mut().cast();
    // SAFETY: the argument outlives the thread, which is joined.
    let status =
        unsafe { libc::pthread_create(&raw mut thread, std::ptr::null(), start, argument) };
    assert_eq!(status, 0, "pthread_create");
    let mut failed = std::ptr::null_mut();
    // SAFETY: the thread just made, joined once.
    let status = unsafe { libc::pthread_join(thread, &raw mut failed) };
    assert!(status == 0 && failed.is_null(), "the child's thread");
}
