//! Forks while every lane is at work: the child goes on with what it finds.

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
    (0..200).for_each(|_| exchange.apply(lane::step(&mut random)));
    graph::build_and_drop(&mut random);
    std::thread::scope(|scope| {
        scope.spawn(|| (0..200).for_each(|_| exchange.apply(lane::step(&mut random))));
    });
    exchange.apply(Step::Trim);
    exchange.apply(Step::Look);
}
