//! The program with three leaks is found to have three, and which.

use std::path::PathBuf;
use std::process::Command;

use tracemalloc::{Growth, KeyType, Snapshot};

#[test]
fn three_leaks_are_found_and_nothing_else() {
    let mut program: PathBuf = std::env::current_exe().unwrap();
    program.pop();
    program.pop();
    program.push("examples/three_leaks");
    let folder = std::env::temp_dir().join(format!("three_leaks-{}", std::process::id()));
    let output = Command::new(&program).arg(&folder).output();
    let output =
        output.unwrap_or_else(|error| panic!("{}: {error}; build the examples", program.display()));
    assert!(output.status.success(), "{output:?}");
    let load = |batch| Snapshot::load(folder.join(format!("batch-{batch}.tmal"))).unwrap();
    let snapshots: Vec<_> = (0..6).map(load).collect();
    std::fs::remove_dir_all(&folder).unwrap();
    let trends = tracemalloc::trends(&snapshots, KeyType::Function).unwrap();
    let growing = trends
        .iter()
        .filter(|trend| trend.growth == Growth::Growing);
    let mut names: Vec<_> = growing
        .map(|trend| trend.traceback[0].function().replace("::{{closure}}", ""))
        .collect();
    names.sort();
    let leaks = ["open_session", "remember_answer", "spawn_upload"];
    assert_eq!(names, leaks.map(|name| format!("three_leaks::{name}")));
}
