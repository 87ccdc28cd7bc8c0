//! A program is recorded, written, looked at with the command-line tool, and exported.

mod support;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, SystemTime};

use support::{Recorder, record};
use tracemalloc::snapshot::{ArenaUse, ClassUse, HeapMap, PoolUse};
use tracemalloc::{Frame, RawSnapshot, Snapshot};

#[global_allocator]
static GLOBAL: Recorder = Recorder;

/// What a small server might keep: parsed documents, an index, a cache that only grows.
mod app {
    use super::*;

    #[derive(Default)]
    pub(crate) struct Server {
        pub(crate) documents: Vec<serde_json::Value>,
        pub(crate) index: BTreeMap<String, Vec<u32>>,
        pub(crate) cache: HashMap<u64, String>,
    }

    #[inline(never)]
    pub(crate) fn load(server: &mut Server, count: usize) {
        for i in 0..count {
            let text = format!(
                r#"{{"id":{i},"title":"document number {i}","tags":["a","b","tag-{}"],"body":"{}"}}"#,
                i % 17,
                "lorem ipsum ".repeat(i % 13)
            );
            server.documents.push(parse(&text));
        }
    }

    #[inline(never)]
    fn parse(text: &str) -> serde_json::Value {
        serde_json::from_str(text).unwrap()
    }

    #[inline(never)]
    pub(crate) fn index(server: &mut Server) {
        for (i, document) in (0..).zip(&server.documents) {
            for word in words(document) {
                server.index.entry(word).or_default().push(i);
            }
        }
    }

    fn words(document: &serde_json::Value) -> Vec<String> {
        let title = document["title"].as_str().unwrap();
        title.split(' ').map(str::to_owned).collect()
    }

    #[inline(never)]
    pub(crate) fn answer(server: &mut Server, queries: u64) {
        for query in 0..queries {
            let answer = || format!("answer to {query}: {}", "x".repeat(query as usize % 90));
            server.cache.entry(query).or_insert_with(answer);
        }
    }

    pub(crate) fn run(scale: usize) -> Server {
        let mut server = Server::default();
        load(&mut server, 20 * scale);
        index(&mut server);
        answer(&mut server, 60 * scale as u64);
        let work = move || {
            let mut own = Server::default();
            load(&mut own, 10 * scale);
            own.documents
        };
        let worker = thread::Builder::new().name("loader".to_owned());
        let documents = worker.spawn(work).unwrap().join().unwrap();
        server.documents.extend(documents);
        server
    }
}

/// A map of a heap: what a recorder that is also the allocator hands over.
fn heap() -> HeapMap {
    let class = |i: u64| ClassUse {
        block_bytes: 8 * (i + 1),
        pool_count: 3 + i % 5,
        used_blocks: 900 / (i + 1) * (1 + i % 3),
        free_blocks: 300 / (i + 1),
    };
    let pool = |i: usize| PoolUse {
        block_bytes: if i % 7 == 6 {
            0
        } else {
            8 * (1 + i as u32 % 40)
        },
        used_blocks: (i as u32 * 37) % 64,
        capacity: 63,
    };
    HeapMap {
        classes: (0..40).map(class).collect(),
        arenas: (0..6)
            .map(|a| ArenaUse {
                address: 0x7f00_0000_0000 + a * (1 << 18),
                bytes: 1 << 18,
                pools: (a * 16..a * 16 + 16).map(pool).collect(),
            })
            .collect(),
        parts: [
            ("live blocks", 900_000),
            ("rounding", 70_000),
            ("free blocks", 210_000),
        ]
        .map(|(name, bytes)| (name.to_owned(), bytes))
        .to_vec(),
    }
}

fn recorded(scale: usize) -> RawSnapshot {
    let (_server, mut raw) = record(|| app::run(scale));
    raw.heap = Some(heap());
    raw
}

/// The same for all tests: to record takes a second.
fn recorded_once() -> RawSnapshot {
    static RAW: OnceLock<RawSnapshot> = OnceLock::new();
    RAW.get_or_init(|| recorded(10)).clone()
}

struct Files {
    dir: PathBuf,
}

impl Files {
    /// A folder of the test's own, with a snapshot in it.
    fn new(name: &str) -> Self {
        let name = format!("chain-{name}-{}", std::process::id());
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let files = Self { dir };
        Snapshot::from(recorded_once())
            .dump(files.path("a.tmal"))
            .unwrap();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_tracemalloc"))
            .args(arguments)
            .current_dir(&self.dir)
            .output()
            .unwrap()
    }

    /// What a command prints that succeeds.
    fn stdout(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command says that fails.
    fn failure(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success());
        assert!(output.stdout.is_empty());
        String::from_utf8(output.stderr).unwrap()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn top_shows_the_lines_of_the_program_and_their_source() {
    let files = Files::new("top");
    let include = ["-i", "*/tests/chain.rs"];
    let printed = files.stdout(&[&["top", "a.tmal", "-n", "3"], &include[..]].concat());
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[0], "[ Top 3 by lineno ]");
    let place = lines
        .iter()
        .position(|line| line.contains("tests/chain.rs:") && line.contains("count=600,"))
        .unwrap_or_else(|| panic!("{printed}"));
    assert!(
        lines[place + 1].starts_with("    let answer = || format!"),
        "{printed}"
    );
    assert!(
        lines.last().unwrap().starts_with("Total: size="),
        "{printed}"
    );

    let function = files.stdout(&[
        "top",
        "a.tmal",
        "-k",
        "function",
        "-c",
        "--function",
        "*::index",
        "-n",
        "60",
    ]);
    assert!(function.contains("chain::app::index: size="), "{function}");
    assert!(!function.contains("chain::app::load"), "{function}");
    let traceback = files.stdout(&["top", "a.tmal", "-k", "traceback", "-n", "1"]);
    assert!(traceback.contains("  File \"") && traceback.contains("tests/chain.rs\", line"));
    let all = files.stdout(&["top", "a.tmal", "--all-frames", "-k", "traceback"]);
    assert!(all.contains("/library/alloc/"), "{all}");
    let thread = files.stdout(&["top", "a.tmal", "-k", "thread"]);
    assert!(thread.contains("(loader): size="), "{thread}");
}

#[test]
fn diff_shows_what_was_added() {
    let files = Files::new("diff");
    Snapshot::from(recorded(20))
        .dump(files.path("b.tmal"))
        .unwrap();
    let printed = files.stdout(&["diff", "a.tmal", "b.tmal"]);
    let is_cache = |line: &str| line.contains("/chain.rs:") && line.contains("count=1200 (+600)");
    assert!(printed.lines().any(is_cache), "{printed}");
}

#[test]
fn leaks_shows_what_grows() {
    let files = Files::new("leaks");
    let scales = [4, 8, 12, 16, 20, 24];
    let names: Vec<String> = scales.iter().map(|scale| format!("{scale}.tmal")).collect();
    for (name, scale) in names.iter().zip(scales) {
        let (_kept, mut raw) = record(|| (app::run(scale), app::run(5)));
        raw.time = SystemTime::UNIX_EPOCH + Duration::from_secs(60 * scale as u64);
        Snapshot::from(raw).dump(files.path(name)).unwrap();
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let printed = files.stdout(&[&["leaks", "-n", "30"], &names[..]].concat());
    let is_cache = |line: &str| line.contains("/chain.rs:") && line.contains(": growing, ");
    assert!(printed.lines().any(is_cache), "{printed}");
    let few = files.failure(&["leaks", "4.tmal", "8.tmal"]);
    assert!(few.contains("three snapshots"), "{few}");
}

#[test]
fn every_format_is_written_beside_the_snapshot() {
    let files = Files::new("export");
    for format in tracemalloc::Format::ALL {
        let printed = files.stdout(&["export", "a.tmal", "-f", format.name()]);
        let name = format!("a.{}", format.extension());
        assert_eq!(printed, format!("wrote {name}\n"));
        assert!(std::fs::metadata(files.path(&name)).unwrap().len() > 500);
    }
    files.stdout(&["report", "a.tmal", "-o", "page.html"]);
    files.stdout(&["export", "a.tmal", "-o", "b.svg"]);
    files.stdout(&["flame", "a.tmal", "-o", "c.svg"]);
    files.stdout(&["pprof", "a.tmal", "-o", "c.pb.gz"]);
    let read = |name| std::fs::read(files.path(name)).unwrap();
    assert_eq!(read("a.svg"), read("b.svg"));
    assert_eq!(read("a.svg"), read("c.svg"));
    assert_eq!(read("a.pb.gz"), read("c.pb.gz"));
    let few = files.stdout(&["flame", "a.tmal", "-o", "-", "--function", "*parse*"]);
    assert!(few.contains("<svg") && few.len() < read("a.svg").len());
    let folded = files.stdout(&["export", "a.tmal", "-f", "folded", "-o", "-"]);
    let same = files.stdout(&["export", "a.tmal", "-f", "folded", "-o", "/dev/stdout"]);
    assert_eq!(same, folded);
    assert!(
        folded
            .lines()
            .any(|line| line.contains("chain::app::parse;")),
        "{folded}"
    );
    assert!(
        files
            .failure(&["export", "a.tmal"])
            .contains("which format?")
    );
    let copy = |name| std::fs::copy(files.path("a.tmal"), files.path(name)).unwrap();
    copy("c.csv");
    std::fs::hard_link(files.path("c.csv"), files.path("link.csv")).unwrap();
    for output in ["c.csv", "./c.csv", "link.csv"] {
        let failed = files.failure(&["export", "c.csv", "-f", "csv", "-o", output]);
        assert!(failed.contains("overwritten"), "{failed}");
    }
    // Of what is no `.tmal` the whole name stays.
    for name in ["run.1", "run.2"] {
        copy(name);
        let printed = files.stdout(&["pprof", name]);
        assert_eq!(printed, format!("wrote {name}.pb.gz\n"));
    }
    assert!(
        files
            .failure(&["export", "a.tmal", "-f", "gif"])
            .contains("there are pprof")
    );
}

#[test]
fn a_timeline_is_plotted_and_its_absence_told() {
    let files = Files::new("plot");
    let printed = files.stdout(&["plot", "a.tmal"]);
    assert_eq!(printed, "wrote a.timeline.svg\n");
    let written = std::fs::read_to_string(files.path("a.timeline.svg")).unwrap();
    assert!(written.contains("<title>Memory of chain-"), "{written}");
    assert_eq!(files.stdout(&["plot", "a.tmal", "-o", "-"]), written);
    let own = files.failure(&["plot", "a.tmal", "-o", "a.tmal"]);
    assert!(own.contains("overwritten"), "{own}");

    // The old picture's file has another name, too, under which it stays.
    std::fs::write(files.path("a.timeline.svg"), "old").unwrap();
    std::fs::hard_link(files.path("a.timeline.svg"), files.path("old.svg")).unwrap();
    files.stdout(&["plot", "a.tmal"]);
    let read = |name| std::fs::read_to_string(files.path(name)).unwrap();
    assert_eq!(read("a.timeline.svg"), written);
    assert_eq!(read("old.svg"), "old");
    let missing = files.failure(&["plot", "a.tmal", "-o", "no/a.svg"]);
    assert!(missing.contains("no/a.svg: No such file"), "{missing}");

    let mut raw = recorded_once();
    raw.timeline.clear();
    Snapshot::from(raw).dump(files.path("none.tmal")).unwrap();
    let none = files.failure(&["plot", "none.tmal"]);
    assert!(none.contains("none.tmal has no timeline"), "{none}");
    assert!(none.contains("`Snapshot::with_timeline`"), "{none}");
    assert!(!files.path("none.timeline.svg").exists());
}

#[test]
fn bad_files_are_told_apart() {
    let files = Files::new("bad");
    let whole = std::fs::read(files.path("a.tmal")).unwrap();
    std::fs::write(files.path("cut.tmal"), &whole[..whole.len() - 20]).unwrap();
    let output = files.run(&["top", "cut.tmal"]);
    assert!(output.status.success());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("warning: cut.tmal ends at byte"),
        "{errors}"
    );
    assert!(errors.contains("going on with the"), "{errors}");
    std::fs::write(files.path("foreign"), b"\x80\x05\x95 a pickle").unwrap();
    assert!(
        files
            .failure(&["top", "foreign"])
            .contains("foreign is not a snapshot")
    );
    let mut newer = whole;
    newer[8] = 200;
    std::fs::write(files.path("newer"), newer).unwrap();
    assert!(
        files
            .failure(&["report", "newer"])
            .contains("later version (format 200")
    );
    let missing = files.failure(&["info", "missing"]);
    assert!(
        missing.contains("missing cannot be read: No such file"),
        "{missing}"
    );
    assert!(
        files
            .failure(&["top", "a.tmal", "--search", "a.tmal"])
            .contains("not a folder")
    );
    assert!(
        files
            .failure(&["top", "a.tmal", "-k", "lines"])
            .contains("filename, lineno")
    );
}

#[test]
fn a_files_names_do_not_reach_the_terminal_as_they_are() {
    let files = Files::new("plain");
    let mut raw = recorded_once();
    raw.modules[0].path = "/no\x1b[2Jwhere".to_owned();
    let name = || vec![Frame::new("a\x1b]0;b.rs", 1, "f\x07")];
    let named = raw.stacks.iter().map(|_| name()).collect();
    let snapshot = Snapshot::from(raw).with_tracebacks(named);
    snapshot.dump(files.path("b.tmal")).unwrap();
    for arguments in [
        &["top", "b.tmal", "-k", "function"][..],
        &["top", "b.tmal", "-k", "traceback"],
        &["diff", "a.tmal", "b.tmal"],
        &["leaks", "a.tmal", "b.tmal", "b.tmal", "--all"],
        &["info", "b.tmal"],
        &["live", "b.tmal", "--count", "1"],
    ] {
        let output = files.run(arguments);
        assert!(output.status.success());
        let text = [output.stdout, output.stderr].concat();
        assert!(!text.contains(&0x1b) && !text.contains(&7), "{arguments:?}");
    }
    assert!(files.stdout(&["info", "b.tmal"]).contains("\\u{1b}[2J"));
}

#[test]
fn names_travel_with_a_symbolized_snapshot() {
    let files = Files::new("symbolize");
    let mut raw = recorded_once();
    raw.modules[0].path = "/nowhere/chain".to_owned();
    Snapshot::from(raw).dump(files.path("far.tmal")).unwrap();
    let output = files.run(&["top", "far.tmal"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("/nowhere/chain: not here; give the folder"),
        "{errors}"
    );

    let own = std::env::current_exe().unwrap();
    std::fs::copy(own, files.path("chain")).unwrap();
    files.stdout(&["symbolize", "far.tmal", "-o", "named.tmal", "--search", "."]);
    std::fs::remove_file(files.path("chain")).unwrap();
    let output = files.run(&["top", "named.tmal", "-k", "crate"]);
    assert!(output.stderr.is_empty());
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        printed.contains("\nchain: size=") && printed.contains("serde_json: size="),
        "{printed}"
    );
}

#[test]
fn info_says_what_a_snapshot_is_of() {
    let files = Files::new("info");
    let printed = files.stdout(&["info", "a.tmal"]);
    assert!(printed.contains("every block: "), "{printed}");
    assert!(printed.contains("s ago\n"), "{printed}");
    let waterfall = "  rounding                68.4 KiB   5.9 %";
    assert!(printed.contains(waterfall), "{printed}");
    let executable = std::env::current_exe().unwrap();
    assert!(printed.contains(executable.to_str().unwrap()), "{printed}");
}
