//! A program is looked at while it runs.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use pymalloc::PyMalloc;
use tracemalloc::snapshot::Module;
use tracemalloc::{Dumper, RawSnapshot, Snapshot};

#[global_allocator]
static GLOBAL: PyMalloc = PyMalloc;

/// A folder of the test's own, and the one right to trace, or to be in another folder.
struct Alone {
    folder: PathBuf,
    _one: MutexGuard<'static, ()>,
}

impl Alone {
    fn new() -> Self {
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("tracemalloc-live-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        Self { folder, _one }
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        tracemalloc::stop();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What a child says that ends within two minutes, while `meanwhile` is done again and again.
fn end_of(mut child: Child, mut meanwhile: impl FnMut()) -> Output {
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        meanwhile();
        thread::sleep(Duration::from_millis(10));
        if begin.elapsed() > Duration::from_secs(120) {
            child.kill().unwrap();
            panic!("without end: {:?}", child.wait_with_output().unwrap());
        }
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

fn live(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracemalloc"));
    command.arg("live").args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn each_snapshot_is_shown_when_it_is_written() {
    let alone = Alone::new();
    let path = alone.folder.join("a.tmal");
    // Not written yet.
    fs::write(&path, "").unwrap();
    let mut live = live(&["--interval", "0.01", "--count", "3", "-n", "2"]);
    live.args(["--include", "*/tests/live.rs"]).arg(&path);
    let live = live.spawn().unwrap();

    tracemalloc::start(20).unwrap();
    let dumper = Dumper::start(&path, Duration::from_millis(30)).unwrap();
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let output = end_of(live, || kept.push(vec![0; 1000]));
    dumper.stop().unwrap();

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
    assert_eq!(fs::read_dir(&alone.folder).unwrap().count(), 1);
}

#[test]
fn another_process_with_the_same_number_is_not_taken_for_it() {
    let alone = Alone::new();
    let path = alone.folder.join("a.tmal");
    let raw = RawSnapshot {
        modules: vec![Module {
            path: "/another/program".to_owned(),
            build_id: Vec::new(),
            base: 0,
            range: 0..0,
        }],
        pid: std::process::id(),
        ..RawSnapshot::default()
    };
    Snapshot::from(raw).dump(&path).unwrap();
    let child = live(&["--count", "1"]).arg(&path).spawn().unwrap();
    let printed = String::from_utf8(end_of(child, || ()).stdout).unwrap();
    assert!(printed.contains("not there (any more)"), "{printed}");
    assert!(!printed.contains("resident"), "{printed}");
}

#[test]
fn what_cannot_be_written_is_told_at_the_end() {
    let _alone = Alone::new();
    tracemalloc::start(5).unwrap();
    let dumper = Dumper::start("/nowhere/at/all", Duration::from_secs(60)).unwrap();
    let error = dumper.stop().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    drop(Dumper::start("/nowhere/at/all", Duration::from_secs(60)).unwrap());
    assert!(Dumper::start("", Duration::ZERO).is_err());
}

#[test]
fn who_drops_it_waits_for_what_is_being_written() {
    let alone = Alone::new();
    let path = alone.folder.join("pipe");
    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: a path without a zero in it.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    tracemalloc::start(5).unwrap();
    let dumper = Dumper::start(&path, Duration::from_secs(600)).unwrap();
    let is_dropped = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // Time to be dropped, for who does not wait.
            thread::sleep(Duration::from_millis(100));
            let was_dropped = is_dropped.load(Relaxed);
            // Who writes to a pipe waits for its reader.
            let snapshot = Snapshot::load(&path).unwrap();
            assert!(!was_dropped && !snapshot.traces().is_empty());
        });
        drop(dumper);
        is_dropped.store(true, Relaxed);
    });
}

#[test]
fn a_relative_path_is_of_the_folder_at_the_start() {
    let alone = Alone::new();
    let [first, second] = ["first", "second"].map(|name| alone.folder.join(name));
    fs::create_dir(&first).unwrap();
    fs::create_dir(&second).unwrap();
    let before = std::env::current_dir().unwrap();
    tracemalloc::start(5).unwrap();
    std::env::set_current_dir(&first).unwrap();
    let dumper = Dumper::start("a.tmal", Duration::from_secs(600)).unwrap();
    std::env::set_current_dir(&second).unwrap();
    let stopped = dumper.stop();
    std::env::set_current_dir(before).unwrap();
    stopped.unwrap();
    Snapshot::load(first.join("a.tmal")).unwrap();
    assert_eq!(fs::read_dir(second).unwrap().count(), 0);
}
