//! The examples of Python's documentation, in Rust, print what Python's print.

use std::path::PathBuf;
use std::process::{Command, Output};

/// What an example prints.
fn run(example: &str) -> String {
    String::from_utf8(output(example).stdout).unwrap()
}

fn output(example: &str) -> Output {
    // Beside the test's folder, where cargo has built the examples with the tests.
    let mut path: PathBuf = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples");
    path.push(example);
    let output = Command::new(&path)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; build the examples", path.display()));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    output
}

/// Whether a text has the form of a pattern, in which `#` stands for a number, perhaps with a
/// point, and `~` for a unit.
fn is_like(text: &str, pattern: &str) -> bool {
    let mut rest = text;
    for c in pattern.chars() {
        let end = match c {
            '#' => rest.find(|c: char| !c.is_ascii_digit() && c != '.'),
            '~' => rest.find(|c: char| !c.is_ascii_alphabetic()),
            c if rest.starts_with(c) => Some(c.len_utf8()),
            _ => Some(0),
        };
        let end = end.unwrap_or(rest.len());
        if end == 0 {
            return false;
        }
        rest = &rest[end..];
    }
    rest.is_empty()
}

/// Whether a line is one of the application's, and goes on as the pattern says.
fn is_line_of_the_application(line: &str, pattern: &str) -> bool {
    line.split_once("/application/mod.rs:")
        .is_some_and(|(_, rest)| is_like(rest, pattern))
}

#[test]
fn display_the_top_10() {
    let printed = run("top10");
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[0], "[ Top 10 ]");
    assert!((4..=11).contains(&lines.len()), "{printed}");
    for line in &lines[1..] {
        let pattern = "#: size=# ~, count=#, average=# ~";
        assert!(is_line_of_the_application(line, pattern), "{line}");
    }
}

#[test]
fn compute_differences() {
    let printed = run("differences");
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[0], "[ Top 10 differences ]");
    assert!((4..=11).contains(&lines.len()), "{printed}");
    for line in &lines[1..] {
        let pattern = "#: size=# ~ (+# ~), count=# (+#), average=# ~";
        assert!(is_line_of_the_application(line, pattern), "{line}");
    }
    // A thousand vectors of 128 bytes, and the vector of them.
    let leak = "size=149 KiB (+149 KiB), count=1001 (+1001), average=152 B";
    assert!(lines[1].ends_with(leak), "{printed}");
}

#[test]
fn get_the_traceback_of_a_memory_block() {
    let printed = run("traceback");
    let lines: Vec<&str> = printed.lines().collect();
    assert!(is_like(lines[0], "# memory blocks: # KiB"), "{printed}");
    let (place, source) = (lines[1], lines[2]);
    assert!(place.starts_with("  File \"") && place.contains("examples/traceback.rs\", line "));
    assert_eq!(source, "    let application = application::run();");
    assert!(lines.len() >= 5, "{printed}");
}

#[test]
fn pretty_top() {
    let printed = run("pretty_top");
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[0], "Top 10 lines");
    let first = lines[1].strip_prefix("#1: application/mod.rs:");
    assert!(is_like(first.unwrap_or_default(), "#: # KiB"), "{printed}");
    assert!(lines[2].starts_with("    "));
    assert!(is_like(
        lines.last().unwrap(),
        "Total allocated size: # KiB"
    ));
}

#[test]
fn record_the_current_and_peak_size() {
    let printed = run("peak");
    let lines: Vec<&str> = printed.lines().collect();
    let number = |line: &str, name: &str| -> u64 {
        let (_, rest) = line.split_once(&format!("{name}=")).unwrap();
        rest.split(',').next().unwrap().parse().unwrap()
    };
    assert!(is_like(lines[0], "first_size=#, first_peak=#"), "{printed}");
    assert!(
        is_like(lines[1], "second_size=#, second_peak=#"),
        "{printed}"
    );
    assert!(number(lines[0], "first_peak") >= 800_000);
    assert!(
        (8_000..100_000).contains(&number(lines[1], "second_peak")),
        "{printed}"
    );
}

/// memory_profiler's.
#[test]
fn profile_line_by_line() {
    let printed = String::from_utf8(output("line_by_line").stderr).unwrap();
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[0], "Filename: tracemalloc/examples/line_by_line.rs");
    let title = "Line #    Mem usage    Increment  Occurrences   Line Contents";
    assert_eq!(lines[4], title);
    let push = lines.iter().find(|line| line.contains("words.push("));
    let words = push.and_then(|line| line.get(34..45));
    assert_eq!(words.map(str::trim), Some("14000"), "{printed}");
}
