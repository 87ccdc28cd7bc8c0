//! A report comes to its end, whatever it is about and whatever else the process is doing.

mod support;

use std::alloc::{GlobalAlloc, Layout};
use std::os::unix::process::ExitStatusExt;

use pymalloc::{PyMalloc, PyMallocDebug, PyMallocSecure};
use support::{Child, in_child};

static FAST: PyMalloc = PyMalloc;
static DEBUG: PyMallocDebug = PyMallocDebug;
static SECURE: PyMallocSecure = PyMallocSecure;

/// A child that has not ended by then has lost.
fn end_after(seconds: u32) {
    // SAFETY: no requirements.
    unsafe { libc::alarm(seconds) };
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
        end_after(5);
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
