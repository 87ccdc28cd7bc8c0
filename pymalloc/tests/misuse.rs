//! What each mode notices of each misuse: every case of `misuse/cases.rs` in every mode, in
//! a process of its own, ends as the table in `MISUSE.md` says.

#[path = "misuse/cases.rs"]
mod cases;
mod support;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::Output;

use cases::{CASES, Subject, TAKEN_OVER};
use pymalloc::{PyMalloc, PyMallocDebug, PyMallocSecure, Sampled};
use support::{Child, in_child, may_peek};

static FAST: PyMalloc = PyMalloc;
static DEBUG: PyMallocDebug = PyMallocDebug;
static SECURE: PyMallocSecure = PyMallocSecure;
static SAMPLED: Sampled<PyMalloc> = Sampled::new(PyMalloc);

/// The table.
const EXPECTED: &str = include_str!("../MISUSE.md");

/// A mode: its name, its allocator, its environment.
type Mode = (
    &'static str,
    Subject,
    &'static [(&'static str, &'static str)],
);

/// The modes whose verdicts are promised, as the columns of the table.
const MODES: [Mode; 4] = [
    ("debug", &DEBUG, &[]),
    ("PYMALLOC=debug", &FAST, &[("PYMALLOC", "debug")]),
    ("secure", &SECURE, &[]),
    ("sampled", &SAMPLED, &[("PYMALLOC_SAMPLE", "1")]),
];

/// Of a block that is not sampled nothing is promised.
const UNSAMPLED: &str = "as fast";

/// The one that promises nothing: there is no telling what comes of a misuse.
const UNPROTECTED: Mode = ("fast", &FAST, &[]);

fn mode_of(name: &str) -> Mode {
    let mode = MODES.into_iter().find(|mode| mode.0 == name);
    mode.unwrap_or(UNPROTECTED)
}

/// Plays a case, if this is the child that is to.
fn play_if_child(test: &str) {
    let Some(role) = in_child(test) else {
        return;
    };
    let (mode, case) = role.split_once(':').expect("a mode and a case");
    let (_, misuse) = CASES[case.parse::<usize>().expect("a number")];
    misuse(mode_of(mode).1);
    // Functions that run at exit are part of some modes.
    std::process::exit(0);
}

/// How one case ends in one mode.
fn run(test: &str, (name, _, variables): Mode, case: usize) -> Output {
    let mut child = Child::of(test, &format!("{name}:{case}"));
    for (key, value) in variables {
        child = child.env(key, value);
    }
    child.output()
}

/// The misuse that was reported; or what else became of the process.
fn verdict(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let report = said
        .lines()
        .find_map(|line| line.strip_prefix("pymalloc: "));
    let misuse = report.and_then(|report| report.split(':').next());
    match (misuse, output.status.signal()) {
        (Some(misuse), Some(libc::SIGABRT | libc::SIGSEGV)) => misuse.to_owned(),
        (None, Some(libc::SIGSEGV | libc::SIGBUS)) => "fault".to_owned(),
        (None, None) if said.contains(TAKEN_OVER) => "taken over".to_owned(),
        (None, None) if output.status.success() => "–".to_owned(),
        _ => format!("{}: {said}", output.status),
    }
}

/// A build with debug assertions stops at some pointers before the allocator looks.
fn is_rusts_own_check(output: &Output) -> bool {
    String::from_utf8_lossy(&output.stderr).contains("misaligned pointer dereference")
}

/// The table's verdicts by case and mode.
fn expected() -> BTreeMap<(String, String), String> {
    let mut rows = EXPECTED
        .lines()
        .skip_while(|line| !line.starts_with("| misuse"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim));
    let modes: Vec<&str> = rows.next().expect("a heading").skip(1).collect();
    let mut verdicts = BTreeMap::new();
    for mut row in rows.skip(1) {
        let case = row.next().expect("a name");
        for (mode, verdict) in modes.iter().zip(row) {
            verdicts.insert((case.to_owned(), (*mode).to_owned()), verdict.to_owned());
        }
    }
    verdicts
}

#[test]
fn every_misuse_has_its_verdict_in_every_mode() {
    const TEST: &str = "every_misuse_has_its_verdict_in_every_mode";
    play_if_child(TEST);
    let expected = expected();
    let mut wrong = String::new();
    for (case, (name, _)) in CASES.iter().enumerate() {
        for mode in MODES {
            let wanted = expected.get(&((*name).to_owned(), mode.0.to_owned()));
            if wanted.is_some_and(|wanted| wanted == UNSAMPLED) {
                continue;
            }
            let output = run(TEST, mode, case);
            if cfg!(debug_assertions) && is_rusts_own_check(&output) {
                continue;
            }
            let found = verdict(&output);
            if wanted != Some(&found) {
                let wanted = wanted.map_or("not in the table", |wanted| wanted);
                let _ = writeln!(wrong, "{name}, {}: {found}, expected: {wanted}", mode.0);
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn the_table_has_the_suite_and_no_more() {
    let mut in_table: Vec<String> = expected().into_keys().map(|(case, _)| case).collect();
    in_table.dedup();
    let mut in_suite: Vec<&str> = CASES.iter().map(|(name, _)| *name).collect();
    in_suite.sort_unstable();
    assert_eq!(in_table, in_suite);
}

/// Prints what the table says of the mode that promises nothing, for whoever renews it:
/// `cargo test --release --test misuse -- --ignored --nocapture`.
#[test]
#[ignore = "what an unprotected allocator makes of a misuse is no claim"]
fn what_becomes_of_each_without_protection() {
    // The child that is told of a case by that name plays it, whatever the mode.
    const TEST: &str = "every_misuse_has_its_verdict_in_every_mode";
    for (case, (name, _)) in CASES.iter().enumerate() {
        println!("{name} | {}", verdict(&run(TEST, UNPROTECTED, case)));
    }
}

/// A report says what, where, by whom, and shows the bytes.
#[test]
fn a_report_names_the_block_and_shows_its_bytes() {
    const TEST: &str = "a_report_names_the_block_and_shows_its_bytes";
    play_if_child(TEST);
    let case = case_of("write 1 byte behind, 13 bytes");
    let mode = ("debug", MODES[0].1, &[("PYMALLOC_STACKS", "1")][..]);
    let output = run(TEST, mode, case);
    let said = String::from_utf8_lossy(&output.stderr);
    for part in [
        "pymalloc: overflow: 0x",
        "written to 0 bytes behind its end",
        "13 bytes asked for, align 8, allocation number 1",
        "+0: 40 *** OUCH",
        if may_peek() { "[40 fd fd" } else { "Bytes" },
        "allocated at:\n    #0 ",
        "found at:\n    #0 ",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    assert!(!said.contains("freed at"), "{said}");
}

/// A sampled use after free comes with three stacks, and the process dies of the access.
#[test]
fn a_sampled_use_after_free_has_both_stacks() {
    const TEST: &str = "a_sampled_use_after_free_has_both_stacks";
    play_if_child(TEST);
    let output = run(TEST, MODES[3], case_of("read after free, small"));
    let said = String::from_utf8_lossy(&output.stderr);
    let mut rest = &*said;
    for part in [
        "pymalloc: use after free: 0x",
        "a read at byte 20 of a freed block",
        "40 bytes, align 8, allocated by thread",
        "allocated at:\n    #0 ",
        "freed at:\n    #0 ",
        "found at:\n    #0 ",
    ] {
        let at = rest.find(part);
        let at = at.unwrap_or_else(|| panic!("{part:?} is not in {said}"));
        rest = &rest[at..];
    }
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV));
}

fn case_of(name: &str) -> usize {
    let case = CASES.iter().position(|case| case.0 == name);
    case.expect("a case of the suite")
}
