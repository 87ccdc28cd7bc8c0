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
