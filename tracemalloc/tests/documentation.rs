//! The examples of Python's documentation, in Rust, print what Python's print.

use std::path::PathBuf;
use std::process::Command;

/// What an example prints.
fn run(example: &str) -> String {
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
    String::from_utf8(output.stdout).unwrap()
}

/// Whether a text has the form of a pattern, in which `#` stands for a number, perhaps with a
/// point, and `~` for a path or a unit.
fn is_like(text: &str, pattern: &str) -> bool {
    let mut rest = text;
    for c in pattern.chars() {
        let taken = match c {
            '#' => {
                let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
                end.unwrap_or(rest.len())
            }
            '~' => {
                let end = rest.find(|c: char| c.is_whitespace() || ",)".contains(c));
                let word = &rest[..end.unwrap_or(rest.len())];
                // A line's number is not the path's.
                word.rfind(':').unwrap_or(word.len())
            }
            c if rest.starts_with(c) => c.len_utf8(),
            _ => 0,
        };
        if taken == 0 {
            return false;
        }
        rest = &rest[taken..];
    }
    rest.is_empty()
}

#[test]
fn display_the_top_10() {
    let printed = run("top10");
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[0], "[ Top 10 ]");
    assert_eq!(lines.len(), 11, "{printed}");
    for line in &lines[1..] {
        assert!(
            is_like(line, "~:#: size=# ~, count=#, average=# ~"),
            "{line}"
        );
        assert!(line.contains("/examples/application/mod.rs:"), "{line}");
    }
}

#[test]
fn compute_differences() {
    let printed = run("differences");
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[0], "[ Top 10 differences ]");
    for line in &lines[1..] {
        assert!(
            is_like(
                &line.replace('-', "+"),
                "~:#: size=# ~ (+# ~), count=# (+#), average=# ~"
            ),
            "{line}"
        );
    }
    let leak = "size=125 KiB (+125 KiB), count=1000 (+1000), average=128 B";
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
    assert!(
        is_like(lines[1], "##: application/mod.rs:#: # KiB"),
        "{}",
        lines[1]
    );
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
