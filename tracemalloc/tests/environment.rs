//! `PYMALLOC_TRACE`: this program, run again with the variable set.

use std::env;
use std::fs::OpenOptions;
use std::process::{Command, Output, Stdio};

use pymalloc::PyMalloc;

#[global_allocator]
static GLOBAL: PyMalloc = PyMalloc;

/// Runs the test below alone, in a process of its own.
fn child(value: &str) -> Output {
    command(value).output().unwrap()
}

fn command(value: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", "says_what_it_found", "--ignored", "--nocapture"])
        .env_remove("PYMALLOC")
        .env_remove("PYMALLOC_STATS")
        .env("PYMALLOC_TRACE", value);
    command
}

#[test]
#[ignore = "run by the other tests, in processes of their own"]
fn says_what_it_found() {
    let sampling = tracemalloc::take_snapshot().map(|snapshot| snapshot.sampling());
    println!(
        "found: {} {} {sampling:?}",
        tracemalloc::is_tracing(),
        tracemalloc::get_traceback_limit(),
    );
}

fn found(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.split_once("found: "));
    line.unwrap_or_else(|| panic!("{output:?}")).1.to_owned()
}

#[test]
fn a_good_value_starts_tracing_before_main() {
    for (value, expected) in [
        ("25", "true 25 Ok(None)"),
        ("sample:512k", "true 25 Ok(Some(524288))"),
        ("sample:1m,3", "true 3 Ok(Some(1048576))"),
        ("0", "false 1 Err(NotTracing)"),
        ("", "false 1 Err(NotTracing)"),
    ] {
        let output = child(value);
        assert_eq!(found(&output), expected, "{value}");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn a_bad_value_gives_one_line_and_no_tracing() {
    for value in ["yes", "sample:", "70000", "25 frames"] {
        let output = child(value);
        assert_eq!(found(&output), "false 1 Err(NotTracing)");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        let begin = format!("tracemalloc: PYMALLOC_TRACE={value} is not a number of frames");
        assert!(stderr.starts_with(&begin), "{stderr}");
    }
}

#[test]
fn a_bad_value_that_cannot_be_reported_does_no_harm() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command("yes").stderr(Stdio::from(full)).output().unwrap();
    assert_eq!(found(&output), "false 1 Err(NotTracing)");
}
