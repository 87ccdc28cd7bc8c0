//! What each mode notices of each misuse: every case of `misuse/cases.rs` in every mode, in
//! a process of its own, with the verdict that `misuse/verdicts.txt` expects.

#[path = "misuse/cases.rs"]
mod cases;
mod support;

use std::os::unix::process::ExitStatusExt;

use cases::{CASES, Subject};
use pymalloc::{PyMalloc, PyMallocDebug, PyMallocSecure, Sampled};
use support::{Child, in_child};

static FAST: PyMalloc = PyMalloc;
static DEBUG: PyMallocDebug = PyMallocDebug;
static SECURE: PyMallocSecure = PyMallocSecure;
static SAMPLED: Sampled<PyMalloc> = Sampled::new(PyMalloc);

/// A child that came back says so.
const UNNOTICED: &str = "the misuse went unnoticed";

/// The modes, as the columns of the table.
const MODES: [(&str, Subject, &[(&str, &str)]); 5] = [
    ("fast", &FAST, &[]),
    ("debug", &DEBUG, &[]),
    ("PYMALLOC=debug", &FAST, &[("PYMALLOC", "debug")]),
    ("secure", &SECURE, &[]),
    ("sampled", &SAMPLED, &[("PYMALLOC_SAMPLE", "1")]),
];

/// How one case ended in one mode.
fn verdict_of(test: &str, mode: usize, case: usize) -> String {
    let mut child = Child::of(test, &format!("{mode}:{case}"));
    for (key, value) in MODES[mode].2 {
        child = child.env(key, value);
    }
    let output = child.output();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = said
        .lines()
        .find_map(|line| line.strip_prefix("pymalloc: "));
    let misuse = report.and_then(|report| report.split(':').next());
    match (misuse, output.status.signal()) {
        (Some(misuse), Some(libc::SIGABRT | libc::SIGSEGV)) => misuse.to_owned(),
        (None, Some(libc::SIGSEGV | libc::SIGBUS)) => "fault".to_owned(),
        (None, None) if said.contains(UNNOTICED) || output.status.success() => "-".to_owned(),
        _ => format!("? {} {said}", output.status),
    }
}

#[test]
fn every_misuse_has_its_verdict_in_every_mode() {
    const TEST: &str = "every_misuse_has_its_verdict_in_every_mode";
    if let Some(role) = in_child(TEST) {
        let (mode, case) = role.split_once(':').expect("a mode and a case");
        let subject = MODES[mode.parse::<usize>().expect("a number")].1;
        let (_, misuse) = CASES[case.parse::<usize>().expect("a number")];
        misuse(subject);
        eprintln!("{UNNOTICED}");
        // Functions that run at exit are part of some modes.
        std::process::exit(0);
    }
    let mut table = String::new();
    for (case, (name, _)) in CASES.iter().enumerate() {
        table += name;
        for mode in 0..MODES.len() {
            table += " | ";
            table += &verdict_of(TEST, mode, case);
        }
        table += "\n";
    }
    println!("{table}");
}
