//! The same snapshots in CPython's `tracemalloc` and in this: every line that is printed is equal.
//! Needs `python3.11`; without it the tests say so.

#[path = "support/sample.rs"]
mod sample;

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tracemalloc::snapshot::Weight;
use tracemalloc::{DomainFilter, Filter, Frame, KeyType, RawSnapshot, Snapshot, TraceFilter};

/// What `python3.11` prints for a program.
fn python(program: &str) -> Option<String> {
    let child = Command::new("python3.11")
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        println!("python3.11 is not installed: nothing was compared");
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(program.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(String::from_utf8(output.stdout).unwrap())
}

/// A snapshot that Python can have, too: exact, every stack with a frame, no frame twice in one.
#[derive(Clone, Debug)]
struct Both {
    snapshot: Snapshot,
    python: String,
}

fn both(runner: &mut TestRunner) -> Both {
    let mut raw: RawSnapshot = sample::raw().new_tree(runner).unwrap().current();
    raw.sampling = None;
    raw.stack_depths.clear();
    for trace in &mut raw.traces {
        trace.weight = Weight::exact(trace.size);
    }
    let mut tracebacks = sample::tracebacks(raw.stacks.len());
    for traceback in &mut tracebacks {
        let mut seen: Vec<Frame> = Vec::new();
        traceback.retain(|frame| {
            let new = !seen.contains(frame);
            seen.push(frame.clone());
            new
        });
    }
    let mut python = String::from("tracemalloc.Snapshot([");
    for trace in &raw.traces {
        let frames = tracebacks[trace.stack as usize].iter().rev();
        let frames: String = frames
            .map(|f| format!("({:?}, {}), ", f.filename(), f.lineno()))
            .collect();
        write!(
            python,
            "({}, {}, ({frames}), None), ",
            trace.domain, trace.size
        )
        .unwrap();
    }
    python.push_str("], 25)");
    Both {
        snapshot: Snapshot::from(raw).with_tracebacks(tracebacks),
        python,
    }
}

const KEYS: [KeyType; 3] = [KeyType::Traceback, KeyType::Filename, KeyType::Lineno];

const SHOW: &str = r"
import tracemalloc
def show(new, old):
    for trace in new.traces: print(trace)
    for key in 'traceback', 'filename', 'lineno':
        for stat in new.statistics(key): print(stat)
        for stat in new.compare_to(old, key): print(stat)
    for stat in new.statistics('lineno', cumulative=True): print(stat)
    for stat in new.compare_to(old, 'lineno', True): print(stat)
    for stat in new.statistics('traceback')[:3]:
        for limit in None, 1, 2, 100:
            for first in False, True:
                for line in stat.traceback.format(limit, first): print(line)
";

fn show(new: &Snapshot, old: &Snapshot) -> String {
    let mut lines = Vec::new();
    lines.extend(new.traces().iter().map(|trace| trace.to_string()));
    for key in KEYS {
        lines.extend(new.statistics(key, false).iter().map(ToString::to_string));
        lines.extend(
            new.compare_to(old, key, false)
                .iter()
                .map(ToString::to_string),
        );
    }
    let lineno = KeyType::Lineno;
    lines.extend(new.statistics(lineno, true).iter().map(ToString::to_string));
    lines.extend(
        new.compare_to(old, lineno, true)
            .iter()
            .map(ToString::to_string),
    );
    for statistic in new.statistics(KeyType::Traceback, false).iter().take(3) {
        for limit in [None, Some(1), Some(2), Some(100)] {
            for first in [false, true] {
                lines.extend(statistic.traceback.format(limit, first));
            }
        }
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn snapshots_print_as_in_cpython() {
    let mut runner = TestRunner::deterministic();
    let mut program = SHOW.to_owned();
    let mut expected = String::new();
    for _ in 0..60 {
        let (new, old) = (both(&mut runner), both(&mut runner));
        writeln!(program, "show({}, {})", new.python, old.python).unwrap();
        expected += &show(&new.snapshot, &old.snapshot);
    }
    let Some(printed) = python(&program) else {
        return;
    };
    assert!(printed.lines().count() > 1000, "{printed}");
    compare(&printed, &expected);
}

#[test]
fn filters_keep_what_cpythons_keep() {
    let mut runner = TestRunner::deterministic();
    let patterns = [
        "*",
        "src/0.rs",
        "*/[1-2].rs",
        "src/[!0]*",
        "no",
        "[",
        "*r?",
        "",
    ];
    let filter = (
        any::<(bool, bool)>(),
        0..patterns.len(),
        prop::option::of(0..5_u32),
        prop::option::of(0..3_u32),
        prop::option::weighted(0.2, 0..3_u32),
    );
    let filters = prop::collection::vec(filter, 0..4);
    let mut program = SHOW.to_owned();
    let mut expected = String::new();
    for _ in 0..200 {
        let case = both(&mut runner);
        let mut python = String::new();
        let mut rust: Vec<TraceFilter> = Vec::new();
        for ((inclusive, all), pattern, lineno, domain, only_domain) in
            filters.new_tree(&mut runner).unwrap().current()
        {
            let word = |b: bool| if b { "True" } else { "False" };
            let option = |n: Option<u32>| n.map_or("None".to_owned(), |n| n.to_string());
            if let Some(only) = only_domain {
                rust.push(DomainFilter::new(inclusive, only).into());
                write!(
                    python,
                    "tracemalloc.DomainFilter({}, {only}), ",
                    word(inclusive)
                )
                .unwrap();
                continue;
            }
            let mut filter = Filter::new(inclusive, patterns[pattern]).all_frames(all);
            if let Some(lineno) = lineno {
                filter = filter.lineno(lineno);
            }
            if let Some(domain) = domain {
                filter = filter.domain(domain);
            }
            rust.push(filter.into());
            write!(
                python,
                "tracemalloc.Filter({}, {:?}, {}, {}, {}), ",
                word(inclusive),
                patterns[pattern],
                option(lineno),
                word(all),
                option(domain)
            )
            .unwrap();
        }
        writeln!(program, "s = {}", case.python).unwrap();
        writeln!(
            program,
            "for t in s.filter_traces([{python}]).traces: print(t, t.domain)"
        )
        .unwrap();
        writeln!(program, "print('-')").unwrap();
        for trace in case.snapshot.filter_traces(rust).traces().iter() {
            writeln!(expected, "{trace} {}", trace.domain()).unwrap();
        }
        expected += "-\n";
    }
    let Some(printed) = python(&program) else {
        return;
    };
    assert!(printed.lines().count() > 1000, "{printed}");
    compare(&printed, &expected);
}

#[test]
fn sizes_print_as_in_cpython() {
    let mut program = "import tracemalloc\n".to_owned();
    let mut expected = String::new();
    let mut bytes = 1.0_f64;
    while bytes < 1e16 {
        for size in [
            bytes,
            -bytes,
            bytes.round(),
            0.0,
            99.95 * 1024.0,
            0.5,
            2.5,
            10239.5,
        ] {
            writeln!(program, "print(tracemalloc._format_size({size:?}, False))").unwrap();
            writeln!(program, "print(tracemalloc._format_size({size:?}, True))").unwrap();
            writeln!(expected, "{}", tracemalloc::Size::new(size)).unwrap();
            writeln!(expected, "{}", tracemalloc::Size::signed(size)).unwrap();
        }
        bytes *= 1.37;
    }
    let Some(printed) = python(&program) else {
        return;
    };
    compare(&printed, &expected);
}

fn compare(cpython: &str, ours: &str) {
    for (i, (cpython, ours)) in cpython.lines().zip(ours.lines()).enumerate() {
        assert_eq!(cpython, ours, "line {i}: CPython's left, ours right");
    }
    assert_eq!(cpython.lines().count(), ours.lines().count());
}
