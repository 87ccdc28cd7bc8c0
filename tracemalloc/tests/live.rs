//! A program is looked at while it runs.

use std::process::Command;
use std::time::Duration;

use pymalloc::PyMalloc;
use tracemalloc::{Dumper, Snapshot};

#[global_allocator]
static GLOBAL: PyMalloc = PyMalloc;

#[test]
fn each_snapshot_is_shown_when_it_is_written() {
    let name = format!("tracemalloc-live-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("a.tmal");
    let live = Command::new(env!("CARGO_BIN_EXE_tracemalloc"))
        .args(["live", "--interval", "0.01", "--count", "3", "-n", "2"])
        .args(["--include", "*/tests/live.rs"])
        .arg(&path)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();

    tracemalloc::start(20).unwrap();
    let dumper = Dumper::start(&path, Duration::from_millis(30)).unwrap();
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let mut live = Some(live);
    let output = loop {
        kept.push(vec![0; 1000]);
        std::thread::sleep(Duration::from_millis(10));
        let mut child = live.take().unwrap();
        if child.try_wait().unwrap().is_some() {
            break child.wait_with_output().unwrap();
        }
        live = Some(child);
    };
    dumper.stop().unwrap();
    tracemalloc::stop();

    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).unwrap();
    let count = |text: &str| printed.matches(text).count();
    let process = format!(", process {}, ", std::process::id());
    assert_eq!((count(&process), count("resident ")), (3, 3), "{printed}");
    assert_eq!(count(" since the last"), 2, "{printed}");
    assert_eq!(count("[ Top "), 3, "{printed}");
    assert!(count("/tests/live.rs:") >= 2, "{printed}");
    // Not for a terminal.
    assert_eq!(count("\x1b"), 0, "{printed}");
    let last = Snapshot::load(&path).unwrap();
    let thousands = last.traces().iter().filter(|trace| trace.size() == 1000);
    assert!(thousands.count() >= kept.len());
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_cannot_be_written_is_told_at_the_end() {
    let dumper = Dumper::start("/nowhere/at/all", Duration::from_secs(60)).unwrap();
    // While tracing is off there is nothing to write; the other test may have it on.
    if let Err(error) = dumper.stop() {
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    }
    drop(Dumper::start("/nowhere/at/all", Duration::from_secs(60)).unwrap());
}
