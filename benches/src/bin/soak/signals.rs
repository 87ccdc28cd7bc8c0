//! A signal every millisecond of processor time, in whichever thread is running: also in
//! the middle of the allocator. Its handler does not allocate.

use std::sync::atomic::{AtomicUsize, Ordering};

static ARRIVED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn note(_: libc::c_int) {
    // ORDERING: Relaxed; a count for people.
    ARRIVED.fetch_add(1, Ordering::Relaxed);
}

/// How many have arrived.
pub(crate) fn arrived() -> usize {
    ARRIVED.load(Ordering::Relaxed)
}

/// Lets them come.
pub(crate) fn start() {
    let handler: extern "C" fn(libc::c_int) = note;
    // SAFETY: the handler touches an atomic alone. Calls that it interrupts go on.
    unsafe { libc::signal(libc::SIGPROF, handler as libc::sighandler_t) };
    every(1_000);
}

/// No more of them.
pub(crate) fn stop() {
    every(0);
}

fn every(micros: libc::suseconds_t) {
    let interval = libc::timeval {
        tv_sec: 0,
        tv_usec: micros,
    };
    let timer = libc::itimerval {
        it_interval: interval,
        it_value: interval,
    };
    // SAFETY: the new value is readable; the old one is not wanted.
    unsafe { libc::setitimer(libc::ITIMER_PROF, &raw const timer, std::ptr::null_mut()) };
}
