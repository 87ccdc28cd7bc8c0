//! The program `wordgraph` as a person runs it, on a small folder of texts.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn fixture(name: &str) -> PathBuf {
    Path::new("tests/fixture").join(name)
}

/// Runs the program in the package's folder, so that names are short.
fn wordgraph(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wordgraph"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("the program was built for this test")
}

fn stdout(output: &Output) -> &str {
    str::from_utf8(&output.stdout).expect("the report is UTF-8")
}

fn stderr(output: &Output) -> &str {
    str::from_utf8(&output.stderr).expect("messages are UTF-8")
}

fn assert_has(text: &str, wanted: &[&str]) {
    for part in wanted {
        assert!(text.contains(part), "no '{part}' in:\n{text}");
    }
}

#[test]
fn queries_on_the_fixture_get_its_answers() {
    let output = wordgraph(&[
        "tests/fixture",
        "--no-stats",
        "--query=garten",
        "--query=STRAßE",
        "--query=eau",
        "--query=jard*",
        "--query=bank..gärtner",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_has(
        stdout(&output),
        &[
            "3 documents · 11 lines",
            "Query: garten\n  3 times on 2 lines\n",
            "tests/fixture/garten.txt:1  ",
            "next to  großen 3, vorbei 1, wächst 1",
            "Query: straße\n  2 times on 2 lines\n",
            "tests/fixture/garten.txt:5  die STRAẞE aber nicht.",
            "Query: eau\n  2 times on 2 lines\n",
            "  2 words  jardin 3, jardinier 1",
            "bank ── steht ── apfelbaum ── wächst ── garten ── großen",
        ],
    );
    // Found in a folder: counted, not an error.
    assert_has(stderr(&output), &["left out 1 file", "leaf.png: binary"]);
}

#[test]
fn the_report_is_the_same_on_any_number_of_threads() {
    let report = |threads: &str| {
        let own_sources = ["src", "tests", "Cargo.toml", "--no-stats", "--top=25"];
        let queries = ["-q=word", "-q=s*", "-q=thread..path", "--threads", threads];
        let output = wordgraph(&[&own_sources[..], &queries[..]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output).to_owned()
    };
    let one = report("1");
    assert!(one.lines().count() > 100, "{one}");
    for threads in ["2", "3", "8"] {
        assert_eq!(one, report(threads), "with {threads} threads");
    }
}

#[test]
fn without_arguments_it_reads_this_repository() {
    // A word of this file alone, so that no other crowds it out of the answer.
    let output = wordgraph(&["--no-stats", "--query=quetzalcoatlus"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_has(
        stdout(&output),
        &["examples/tests/wordgraph.rs:", "Strongest associations"],
    );
}

/// The number in a column of a line that starts with `step`, both counted from 0.
fn number(report: &str, step: &str, column: usize) -> f64 {
    let line = report.lines().find(|line| line.trim().starts_with(step));
    let rest = line.and_then(|line| line.trim().strip_prefix(step));
    let numbers = rest.into_iter().flat_map(|rest| rest.split_whitespace());
    let numbers: Vec<f64> = numbers.flat_map(str::parse).collect();
    *numbers
        .get(column)
        .unwrap_or_else(|| panic!("no number {column} of '{step}' in:\n{report}"))
}

#[test]
fn the_allocators_numbers_stand_beside_the_kernels() {
    let output = wordgraph(&["--threads=2", "--malloc-stats"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = stdout(&output);
    assert_has(
        report,
        &["on 2 threads", "Busiest of", "# arenas allocated current"],
    );
    const RESIDENT: usize = 0;
    const IN_BLOCKS: usize = 2;
    let built = number(report, "index built", IN_BLOCKS);
    let dropped = number(report, "after trim()", IN_BLOCKS);
    assert!(
        built > 1.0,
        "the index is in the allocator's blocks:\n{report}"
    );
    assert!(
        built > 2.0 * dropped,
        "and leaves them when dropped:\n{report}"
    );
    let resident = number(report, "index built", RESIDENT);
    // The kernel counts resident pages in batches: off by some pages a core.
    assert!(
        resident > built / 2.0,
        "what is in use is resident:\n{report}"
    );
}

#[test]
fn a_named_file_that_is_missing_fails_the_run_but_loses_nothing() {
    let settings = fixture("settings.toml");
    let settings = settings.to_str().expect("a plain name");
    let output = wordgraph(&["no-such-file", settings, "--no-stats", "--query=pool"]);
    assert_eq!(output.status.code(), Some(1));
    assert_has(stderr(&output), &["no-such-file: no such file or folder"]);
    assert_has(stdout(&output), &["Query: pool\n  2 times on 2 lines"]);
}

#[test]
fn input_that_is_no_text_is_refused_with_advice() {
    for (name, bytes, advice) in [
        ("empty.txt", &b""[..], "empty"),
        ("latin1.txt", b"caf\xe9", "iconv -f LATIN1"),
        ("utf16.txt", b"\xff\xfeh\0", "iconv -f UTF-16"),
        ("program.bin", b"\x7fELF\0", "binary"),
    ] {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, bytes).expect("the target folder takes a file");
        let output = wordgraph(&[path.to_str().expect("a plain name")]);
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert_has(stderr(&output), &[advice, "nothing to index"]);
        assert!(output.stdout.is_empty(), "{name}: {}", stdout(&output));
    }
}

#[test]
fn wrong_options_and_queries_say_how_to_go_on() {
    let output = wordgraph(&["--quary=x"]);
    assert_eq!(output.status.code(), Some(2));
    assert_has(stderr(&output), &["--query"]);
    let output = wordgraph(&["--query=two words"]);
    assert_eq!(output.status.code(), Some(2));
    assert_has(stderr(&output), &["WORD, START* or FROM..TO"]);
}

/// The status and both outputs, with `input` on the standard input.
fn converse(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_wordgraph"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program was built for this test");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input).expect("the program reads it");
    drop(stdin);
    child.wait_with_output().expect("the program ends")
}

#[test]
fn interactive_mode_answers_until_the_input_ends() {
    let output = converse(
        &["tests/fixture", "--interactive", "--no-stats"],
        b"bank\nwhat is this\n\xff\xfe\neta*\n:help\n\xc3\xa9t*",
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_has(
        stdout(&output),
        &[
            "Query: bank\n  1 time on 1 line",
            "no word starts with 'eta'",
            "Query: ét*\n  2 words  étang 2, été 1",
        ],
    );
    assert_has(stderr(&output), &["'what is this' is no query"]);
}

#[test]
fn standard_input_is_a_text_too() {
    let output = converse(&["-", "--no-stats", "-q=pool"], b"free pool\nfull pool\n");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_has(
        stdout(&output),
        &["2 times on 2 lines", "(standard input):2  full pool"],
    );
}
