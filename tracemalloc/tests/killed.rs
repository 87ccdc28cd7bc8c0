//! A process that is killed while it dumps leaves the file that was there before, or the new one,
//! whole. What was cut, beside it or in a file that is written in place, loads up to the cut.

use std::fs::{self, File};
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tracemalloc::snapshot::{RawTrace, Weight};
use tracemalloc::{LoadError, RawSnapshot, Snapshot};

/// Tells the child where to write.
const PATH: &str = "TRACEMALLOC_TEST_DUMP_HERE";
const BLOCKS: usize = 50_000;

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

/// Not a test of its own: a child's part.
#[test]
fn dump_until_killed() {
    let Some(path) = std::env::var_os(PATH) else {
        return;
    };
    let (snapshot, parent) = (snapshot(), parent_id());
    while parent_id() == parent {
        snapshot.dump(&path).expect("the parent's folder");
    }
}

/// Not a test of its own: a child's part.
#[test]
fn write_until_killed() {
    let Some(path) = std::env::var_os(PATH) else {
        return;
    };
    let (snapshot, parent) = (snapshot(), parent_id());
    while parent_id() == parent {
        let file = File::create(&path).expect("the parent's folder");
        let file = std::io::BufWriter::new(file);
        snapshot.write_to(file).expect("there is room");
    }
}

/// A folder of the test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("tracemalloc-killed-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).expect("nobody has this name");
        Self(folder)
    }

    /// Starts a child, and kills it a little later than the round before.
    fn kill(&self, part: &str, round: u64) {
        let path = self.0.join("a.tmal");
        let mut child = Command::new(std::env::current_exe().expect("a test knows its path"))
            .args(["--exact", part])
            .env(PATH, &path)
            .stdout(Stdio::null())
            .spawn()
            .expect("the child starts");
        let begin = Instant::now();
        while !path.exists() {
            let ended = child.try_wait().expect("it is ours");
            let is_late = begin.elapsed() > Duration::from_secs(120);
            if ended.is_some() || is_late {
                let _ = child.kill();
                panic!("no file from the child: {ended:?}");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(300 * round));
        child.kill().expect("it is ours");
        child.wait().expect("it is ours");
    }

    /// What the child left: the file, and others beside it.
    fn take(&self) -> (PathBuf, Vec<PathBuf>) {
        let entries = fs::read_dir(&self.0).expect("it is ours");
        let files = entries.map(|entry| entry.expect("it is ours").path());
        let (mut named, parts): (Vec<PathBuf>, _) =
            files.partition(|path| path.ends_with("a.tmal"));
        (named.pop().expect("there is one"), parts)
    }

    fn clear(&self) {
        for entry in fs::read_dir(&self.0).expect("it is ours") {
            fs::remove_file(entry.expect("it is ours").path()).expect("the child made it");
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_dump_that_is_killed_leaves_a_whole_file() {
    let folder = Folder::new("dump");
    let mut cut = 0;
    for round in 0..50 {
        folder.kill("dump_until_killed", round);
        let (named, parts) = folder.take();
        let loaded = Snapshot::load(&named).expect("it is whole");
        assert_eq!(loaded.traces().len(), BLOCKS);
        // Of one dump after the other, at most one was on its way.
        assert!(parts.len() <= 1, "{parts:?}");
        cut += parts.iter().filter(|part| is_cut(part)).count();
        folder.clear();
    }
    assert!(cut > 0, "never in the middle");
}

#[test]
fn a_file_written_in_place_loads_up_to_the_cut() {
    let folder = Folder::new("write");
    let mut cut = 0;
    for round in 0..50 {
        folder.kill("write_until_killed", round);
        let (named, _) = folder.take();
        cut += usize::from(is_cut(&named));
        folder.clear();
    }
    assert!(cut > 0, "never in the middle");
}

/// Whether a file was cut. It says so, and what comes before the cut is there.
fn is_cut(path: &Path) -> bool {
    match Snapshot::load(path) {
        Ok(snapshot) => {
            assert_eq!(snapshot.traces().len(), BLOCKS);
            return false;
        }
        Err(LoadError::Truncated { .. }) => {
            if let Ok((snapshot, damage)) = Snapshot::recover(path) {
                assert!(damage.is_some() && snapshot.traces().len() <= BLOCKS);
            }
        }
        // Killed before the first bytes were written.
        Err(LoadError::Foreign) => assert!(fs::metadata(path).expect("there").len() < 8),
        Err(error) => panic!("{error}"),
    }
    true
}
