//! A process that is killed while it dumps leaves a file that loads whole, or an error
//! that says that it was cut; never a snapshot with something missing.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tracemalloc::snapshot::{RawTrace, Weight};
use tracemalloc::{LoadError, RawSnapshot, Snapshot};

/// Tells the child where to dump.
const PATH: &str = "TRACEMALLOC_TEST_DUMP_HERE";
const BLOCKS: usize = 200_000;

fn snapshot() -> Snapshot {
    let trace = |number: usize| RawTrace {
        domain: 0,
        address: 0x1000 + 64 * number,
        size: number % 900,
        weight: Weight::exact(number % 900),
        stack: (number % 100) as u32,
        thread: 1,
        when_ns: number as u64,
    };
    Snapshot::from(RawSnapshot {
        traces: (0..BLOCKS).map(trace).collect(),
        stacks: (0..100_usize).map(|stack| [stack, 7].into()).collect(),
        ..RawSnapshot::default()
    })
}

/// Not a test of its own: the child's part of the one below.
#[test]
fn dump_until_killed() {
    let Some(path) = std::env::var_os(PATH) else {
        return;
    };
    let snapshot = snapshot();
    loop {
        snapshot.dump(&path).expect("the parent's folder");
    }
}

#[test]
fn a_dump_that_is_killed_is_whole_or_an_error() {
    let path = std::env::temp_dir().join(format!("tracemalloc-killed-{}", std::process::id()));
    let (mut whole, mut cut) = (0, 0);
    for round in 0..60_u64 {
        let mut child = Command::new(std::env::current_exe().expect("a test knows its path"))
            .args(["--exact", "dump_until_killed"])
            .env(PATH, &path)
            .stdout(Stdio::null())
            .spawn()
            .expect("the child starts");
        while !path.exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(700 * round));
        child.kill().expect("it is ours");
        child.wait().expect("it is ours");
        match load(&path) {
            Some(blocks) => {
                assert_eq!(blocks, BLOCKS);
                whole += 1;
            }
            None => cut += 1,
        }
        std::fs::remove_file(&path).expect("the child made it");
    }
    assert!(cut > 0, "never in the middle: {whole} whole");
}

/// The blocks of a whole file; none of one that was cut, which says so.
fn load(path: &Path) -> Option<usize> {
    let error = match Snapshot::load(path) {
        Ok(snapshot) => return Some(snapshot.traces().len()),
        Err(error) => error,
    };
    match &error {
        LoadError::Truncated { .. } => {
            if let Ok((snapshot, damage)) = Snapshot::recover(path) {
                assert!(damage.is_some() && snapshot.traces().len() <= BLOCKS);
            }
        }
        // Killed before the first bytes were written.
        LoadError::Foreign => assert!(std::fs::metadata(path).expect("there").len() < 8),
        _ => panic!("{error}"),
    }
    None
}
