//! What the allocator arranges with the process: to be told of its start, of forks, of threads
//! that exit, and of the end.
//!
//! ```text
//!  loaded ─▶ at_start: forks, settings, the end          fork ─▶ before_fork
//!                                                                   │
//!  a thread's first call ───────▶ exit_key               parent ◀───┴───▶ child
//!  its end ─▶ thread_exits                               after_fork       in_child
//! ```
//!
//! # Order of a fork's handlers
//! Those that are registered first run last before a fork, and first after it. So one that was
//! registered before ours runs while everything is locked: it must not allocate, nor wait for
//! a thread that does, or that needs stdio's list of streams (`fopen`, `fclose`, `fflush(NULL)`).
//! A library's constructor may register one, if it runs before ours: a program's constructors,
//! and those of the libraries it loads later, do not. `libpymalloc.so` is initialised before all
//! others (`capi/build.rs`), so there are none.
//!
//! # Locks of the C library
//! `fork` takes some of its locks after our handlers have run. A thread that holds such a lock
//! and waits for one of ours would wait for `fork`, and `fork` for it:
//! - The list of stdio's streams. A `fflush(NULL)` holds it, and waits for a stream whose reader
//!   grows its line. It is therefore taken before any of ours, and again by `fork`: it may be
//!   taken twice (`stdio.rs`).
//! - The table of handlers, which `pthread_atfork` holds while it grows, every few dozens of
//!   entries; glibc 2.36 and later take it again after each handler. Nothing can be done:
//!   a thread should not register handlers while another forks.

use core::ffi::{c_char, c_int, c_void};
use core::fmt::Write;

use crate::exit_key::ExitKey;
use crate::fork;
use crate::global::{SHARED, stats};
use crate::heap::Heap;
use crate::os;
use crate::report;
use crate::secure;
use crate::settings;
use crate::stderr::Stderr;
use crate::stdio;
use crate::thread_heap::with_heap;

static FORK: fork::Held = fork::Held::new();

/// The key whose destructor is told of a thread's exit; `None` if the process has no keys
/// left: then threads are guests.
pub(crate) fn exit_key() -> Option<libc::pthread_key_t> {
    static KEY: ExitKey = ExitKey::new(thread_exits);
    KEY.get()
}

/// Reads the environment, and arranges for forks and for the end, when the program, or the
/// shared library this is part of, is loaded: before `main`, and before the constructors of
/// the same binary. So no thread of the program is changing its environment yet; and the
/// handlers for forks that the binary registers run before ours, and may allocate.
///
/// Not at the first allocation: the C library itself may make that, while it holds the lock
/// that `pthread_atfork` needs.
#[used]
// SAFETY: the loader calls what it finds there; the function needs nothing that a
// constructor does not have.
#[unsafe(link_section = ".init_array.00101")]
static AT_START: Constructor = {
    /// glibc passes constructors what it passes `main`.
    extern "C" fn at_start(_: c_int, _: *const *const c_char, environment: *const *const c_char) {
        // Others pass nothing; their `environ` is set before any constructor runs.
        let environment = if cfg!(target_env = "gnu") {
            environment
        } else {
            core::ptr::null()
        };
        // It is 0 when `main` starts.
        let errno = os::errno();
        with_heap(|heap| heap.as_guest(|| os::with_passed(environment, arrange)));
        os::set_errno(errno);
    }
    at_start
};

type Constructor = extern "C" fn(c_int, *const *const c_char, *const *const c_char);

fn arrange() {
    // It fails where memory has run out; then a fork is as risky as under an
    // allocator without handlers.
    // SAFETY: the handlers are functions that can be called at any time.
    unsafe { libc::pthread_atfork(Some(before_fork), Some(after_fork), Some(in_child)) };
    settings::read_all();
    if settings::prints_stats() {
        // SAFETY: as above.
        unsafe { libc::atexit(print_stats) };
    }
    // A key among the first is cheap to use.
    exit_key();
}

unsafe extern "C" fn thread_exits(heap: *mut c_void) {
    let heap: *const Heap = heap.cast();
    // SAFETY: `enlist` stored this thread's own heap, whose memory outlasts the
    // destructors of pthread keys.
    unsafe { &*heap }.exit(&SHARED);
}

extern "C" fn before_fork() {
    stdio::lock_streams();
    FORK.prepare(&SHARED);
}

extern "C" fn after_fork() {
    FORK.release();
    // SAFETY: `before_fork` locked them, in this thread.
    unsafe { stdio::unlock_streams() };
}

extern "C" fn in_child() {
    FORK.release();
    // SAFETY: the process has this thread alone.
    unsafe { stdio::reset_streams() };
    with_heap(|heap| fork::forget_others(&SHARED, heap.member()));
    secure::reseed();
    report::forget();
}

extern "C" fn print_stats() {
    // Errors of standard error cannot be reported.
    let _ = write!(Stderr::new(), "{}", stats());
}
