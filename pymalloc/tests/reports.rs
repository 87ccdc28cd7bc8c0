//! A report comes to its end, whatever it is about and whatever else the process is doing; and
//! what handled faults before handles them as before.

mod support;

use std::alloc::{GlobalAlloc, Layout};
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use pymalloc::{PyMalloc, PyMallocDebug, PyMallocSecure, Sampled};
use support::{Child, in_child, page_size};

#[global_allocator]
static GLOBAL: PyMalloc = PyMalloc;

static FAST: PyMalloc = PyMalloc;
static DEBUG: PyMallocDebug = PyMallocDebug;
static SECURE: PyMallocSecure = PyMallocSecure;
static SAMPLED: Sampled<PyMalloc> = Sampled::new(PyMalloc);

/// A child that has not ended by then hangs; none takes a hundredth of it.
fn end_in_a_minute() {
    // SAFETY: no requirements.
    unsafe { libc::alarm(60) };
}

/// The child's report; it must have aborted after it.
#[track_caller]
fn report_of(child: Child) -> String {
    let output = child.output();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let end = said.get(said.len().saturating_sub(2_000)..);
    let status = output.status;
    assert_eq!(status.signal(), Some(libc::SIGABRT), "{status}: {end:?}");
    assert!(said.contains("found at:"), "{said}");
    said
}

#[test]
fn an_address_at_the_end_of_all_addresses_is_reported_like_any_other() {
    const TEST: &str = "an_address_at_the_end_of_all_addresses_is_reported_like_any_other";
    const MODES: [(&str, &(dyn GlobalAlloc + Sync), usize); 4] = [
        ("fast", &FAST, 200_000),
        ("debug", &DEBUG, 40),
        ("secure", &SECURE, 40),
        ("secure, large", &SECURE, 200_000),
    ];
    if let Some(role) = in_child(TEST) {
        end_in_a_minute();
        let (mode, address) = role.split_once(':').expect("a mode and an address");
        let mode = MODES.iter().find(|(name, ..)| *name == mode);
        let (_, allocator, size) = mode.expect("a mode");
        let address: isize = address.parse().expect("a number");
        let block = std::ptr::without_provenance_mut(address.cast_unsigned());
        let layout = Layout::from_size_align(*size, 1).expect("a legal layout");
        // SAFETY: none: this is where the allocator is misused.
        unsafe { allocator.dealloc(block, layout) };
        return;
    }
    for (name, ..) in MODES {
        // `MAP_FAILED`; a field's before a null pointer.
        for address in [-1, -8, -16, -64] {
            let said = report_of(Child::of(TEST, &format!("{name}:{address}")));
            assert!(said.contains("pymalloc: invalid free"), "{name}: {said}");
            assert!(said.lines().count() < 60, "{name}: {said}");
        }
    }
}

fn handle(signal: i32, handler: extern "C" fn(i32)) {
    // SAFETY: the handler does what the tests are about.
    unsafe { libc::signal(signal, handler as *const () as libc::sighandler_t) };
}

/// As crash reporters do.
extern "C" fn allocate(_: i32) {
    drop(std::hint::black_box(Box::new(1)));
}

#[test]
fn what_handles_the_abort_may_allocate() {
    const TEST: &str = "what_handles_the_abort_may_allocate";
    if in_child(TEST).is_none() {
        let child = Child::of(TEST, "child").env("PYMALLOC", "debug");
        let said = report_of(child);
        assert!(said.contains("pymalloc: write after free"), "{said}");
        return;
    }
    end_in_a_minute();
    handle(libc::SIGABRT, allocate);
    let freed: *mut u8 = Box::into_raw(Box::new([1_u8; 40])).cast();
    // SAFETY: the block just allocated.
    drop(unsafe { Box::from_raw(freed.cast::<[u8; 40]>()) });
    // SAFETY: none: this is the misuse, which is found when the process exits.
    unsafe { freed.wrapping_add(20).write_volatile(0x40) };
    std::process::exit(0);
}

fn layout() -> Layout {
    Layout::new::<[u64; 5]>()
}

/// A block between guard pages, freed.
fn freed_sample() -> *mut u8 {
    // SAFETY: the layout is not empty.
    let block = unsafe { SAMPLED.alloc(layout()) };
    // SAFETY: the block just allocated.
    unsafe { SAMPLED.dealloc(block, layout()) };
    block
}

fn free_again(block: *mut u8) {
    // SAFETY: none: this is the misuse.
    unsafe { SAMPLED.dealloc(block, layout()) };
}

/// Lets an access to the page that is at fault pass.
extern "C" fn allow_access(_: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel's, for the length of the call.
    let info = unsafe { &*info };
    // SAFETY: of a fault, there is an address.
    let address = unsafe { info.si_addr() };
    let page = address.map_addr(|address| address & !(page_size() - 1));
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the page of a freed block, which nobody uses.
    unsafe { libc::mprotect(page, page_size(), access) };
}

#[test]
fn a_fault_that_the_program_survives_is_not_the_last_report() {
    const TEST: &str = "a_fault_that_the_program_survives_is_not_the_last_report";
    if in_child(TEST).is_none() {
        let said = report_of(Child::of(TEST, "child"));
        let at = said.find("pymalloc: use after free").expect("the first");
        assert!(said[at..].contains("pymalloc: double free"), "{said}");
        return;
    }
    end_in_a_minute();
    // SAFETY: numbers and pointers: zeros are one.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = allow_access as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: the handler can be called at any time.
    unsafe { libc::sigaction(libc::SIGSEGV, &raw const action, std::ptr::null_mut()) };
    pymalloc::set_sample_rate(1);
    let freed = freed_sample();
    // SAFETY: none: this is the misuse.
    unsafe { freed.write_volatile(1) };
    let freed = freed_sample().expose_provenance();
    let other = std::thread::spawn(move || {
        free_again(std::ptr::with_exposed_provenance_mut(freed));
    });
    other.join().expect("it does not come back");
}

/// As a crash reporter does that works in a child.
extern "C" fn fork(_: i32) {
    // SAFETY: the child only does what ends it.
    let child = unsafe { libc::fork() };
    if child == 0 {
        end_in_a_minute();
        // SAFETY: no requirements.
        unsafe { libc::signal(libc::SIGABRT, libc::SIG_DFL) };
        free_again(freed_sample());
    }
    // SAFETY: waits for the child above.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
}

#[test]
fn a_child_forked_during_a_report_reports_on_its_own() {
    const TEST: &str = "a_child_forked_during_a_report_reports_on_its_own";
    if in_child(TEST).is_none() {
        let said = report_of(Child::of(TEST, "child"));
        assert_eq!(said.matches("pymalloc: double free").count(), 2, "{said}");
        return;
    }
    end_in_a_minute();
    handle(libc::SIGABRT, fork);
    pymalloc::set_sample_rate(1);
    free_again(freed_sample());
}

/// How many of the signals that `notes_mask` was to be called with were blocked.
static BLOCKED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn notes_mask(signal: i32) {
    // SAFETY: numbers: zeros are a set.
    let mut now: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: nothing is changed; the set is ours.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut now) };
    for wanted in [signal, libc::SIGUSR1] {
        // SAFETY: a set of signals.
        let is_blocked = unsafe { libc::sigismember(&raw const now, wanted) };
        BLOCKED.fetch_add(is_blocked as usize, Relaxed);
    }
}

#[test]
fn a_handler_that_was_there_before_is_called_with_its_signals_blocked() {
    const TEST: &str = "a_handler_that_was_there_before_is_called_with_its_signals_blocked";
    if in_child(TEST).is_none() {
        Child::of(TEST, "child").stderr();
        return;
    }
    // SAFETY: numbers and pointers: zeros are one.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = notes_mask as *const () as usize;
    // SAFETY: the set is ours.
    unsafe { libc::sigaddset(&raw mut action.sa_mask, libc::SIGUSR1) };
    // SAFETY: the handler can be called at any time.
    unsafe { libc::sigaction(libc::SIGSEGV, &raw const action, std::ptr::null_mut()) };
    pymalloc::set_sample_rate(1);
    freed_sample();
    for times in 1..4 {
        // SAFETY: it is handled.
        unsafe { libc::raise(libc::SIGSEGV) };
        assert_eq!(BLOCKED.load(Relaxed), 2 * times);
    }
}

#[test]
fn a_signal_that_was_ignored_before_is_ignored_and_faults_are_reported() {
    const TEST: &str = "a_signal_that_was_ignored_before_is_ignored_and_faults_are_reported";
    if in_child(TEST).is_none() {
        let output = Child::of(TEST, "child").output();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{said}");
        assert!(said.contains("pymalloc: use after free"), "{said}");
        return;
    }
    end_in_a_minute();
    // SAFETY: no requirements.
    unsafe { libc::signal(libc::SIGSEGV, libc::SIG_IGN) };
    pymalloc::set_sample_rate(1);
    let block = freed_sample();
    for _ in 0..2 {
        // SAFETY: it is ignored.
        unsafe { libc::raise(libc::SIGSEGV) };
    }
    // SAFETY: none: this is the misuse.
    std::hint::black_box(unsafe { block.read_volatile() });
}
