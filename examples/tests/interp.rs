//! Runs the interpreter on its scripts.

use std::process::Command;

/// What the interpreter prints.
fn run(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_interp"))
        .args(arguments)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts"))
        .output()
        .expect("it starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).expect("text")
}

/// Objects that live, and KiB, at a report.
fn at(output: &str, label: &str) -> (u64, u64) {
    let line = output
        .lines()
        .find(|line| line.starts_with(&format!("{label}:")))
        .expect("the report");
    let before = |word: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|w| *w == word).expect("the word");
        words[at - 1].parse().expect("a number")
    };
    (before("objects"), before("KiB"))
}

#[test]
fn cycles_of_closures_are_reclaimed_while_the_script_runs() {
    let output = run(&["closures.lisp"]);
    assert!(output.starts_with("counted to 2\n"));
    let (half, _) = at(&output, "half of the closures");
    let (objects, kib) = at(&output, "closures");
    assert!(half < 5_000 && objects < 5_000, "{output}");
    assert!(output.ends_with("all objects were freed\n"), "{output}");

    let leaking = run(&["--no-collect", "closures.lisp"]);
    let (half, _) = at(&leaking, "half of the closures");
    let (objects, leaking_kib) = at(&leaking, "closures");
    assert!(half > 100_000 && objects > 200_000, "{leaking}");
    assert!(leaking_kib > 4 * kib, "{leaking_kib} KiB against {kib}");
    assert!(leaking.contains("LEAK: 2"), "{leaking}");
}

#[test]
fn trees_with_parent_pointers_are_reclaimed_while_the_script_runs() {
    let output = run(&["parents.lisp"]);
    assert!(output.contains("a dropped tree is alive: false\n"));
    let (objects, kib) = at(&output, "trees");
    assert!(objects < 20_000, "{output}");
    assert!(output.contains("the kept tree has 2 branches\n"));
    assert!(output.ends_with("all objects were freed\n"), "{output}");

    let leaking = run(&["--no-collect", "parents.lisp"]);
    let (objects, leaking_kib) = at(&leaking, "trees");
    assert!(objects > 30_000, "{leaking}");
    assert!(leaking_kib > 2 * kib, "{leaking_kib} KiB against {kib}");
    assert!(leaking.contains("LEAK: "), "{leaking}");
}

#[test]
fn the_readmes_three_commands_find_the_planted_leak() {
    let output = run(&["--growth", "leak.lisp"]);
    let after_second = output.split_once("2000 sessions").expect("a report").1;
    let grown = after_second
        .lines()
        .find(|line| line.starts_with("Object "));
    assert!(
        grown.is_some_and(|line| line.ends_with("+1000")),
        "{output}"
    );

    let output = run(&["--why=Session", "leak.lisp"]);
    let lines: Vec<&str> = output.lines().map(str::trim_start).collect();
    let chain = lines
        .iter()
        .position(|line| line.ends_with("because of this chain:"));
    let chain = &lines[chain.expect("an answer") + 1..];
    assert!(
        chain[0].ends_with("held from outside by 1 handle"),
        "{output}"
    );
    assert_eq!(chain[1], ".variables[\"listeners\"].0");
    assert_eq!(chain[7], ".variables[\"self\"].0");

    let folder = std::env::temp_dir().join(format!("interp-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let files = ["svg", "html", "heapsnapshot"].map(|end| folder.join(format!("leak.{end}")));
    let options = files
        .each_ref()
        .map(|file| format!("--save={}", file.display()));
    run(&[
        "--why=Session",
        &options[0],
        &options[1],
        &options[2],
        "leak.lisp",
    ]);
    for (file, part) in files
        .iter()
        .zip(["listeners", "\"pauses\":[[", "listeners"])
    {
        let text = std::fs::read_to_string(file).expect("it was written");
        assert!(text.contains(part), "{part} is not in {}", file.display());
    }
    std::fs::remove_dir_all(&folder).expect("it is ours");
}
