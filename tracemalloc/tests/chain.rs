//! A program is recorded, written, looked at with the command-line tool, and exported.

mod support;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use support::{Recorder, record};
use tracemalloc::snapshot::{ArenaUse, ClassUse, HeapMap, PoolUse};
use tracemalloc::{RawSnapshot, Snapshot};

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

struct Files {
    dir: PathBuf,
}

impl Files {
    /// A folder of the test's own, with a snapshot in it.
    fn new(name: &str) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&dir).unwrap();
        let files = Self { dir };
        Snapshot::from(recorded(10))
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
}

#[test]
fn top_shows_the_lines_of_the_program() {
    let files = Files::new("top");
    let printed = files.stdout(&["top", "a.tmal", "-n", "3"]);
    println!("{printed}");
    let report = files.stdout(&["report", "a.tmal"]);
    println!("{report}");
}
