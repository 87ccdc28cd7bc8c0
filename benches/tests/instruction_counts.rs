//! The golden instruction counts: a hit path that grows beyond its number fails.
//!
//! Not timed. The program in `benches/golden` is built with LTO and run under callgrind
//! twice, with few and many repetitions: the difference is what one repetition costs,
//! to the instruction, on every run of one compiler. Without valgrind there is nothing
//! to count with: the tests say SKIPPED, on standard error, and pass; CI has it.
//!
//! A number is raised only with the reason in the commit that raises it.

use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Instructions of a hit, the function's `ret` included (Rust 1.95, x86-64).
const ALLOC: f64 = 10.0;
const DEALLOC: f64 = 7.0;
/// With the feature `trace`, and nobody tracing; with its share of the look each 64 KiB.
const ALLOC_UNTRACED: f64 = 12.02;
const DEALLOC_UNTRACED: f64 = 9.0;
/// With its share of the way to the next word of blocks; and a value's destructor.
const GC_NEW: f64 = 41.0;
const GC_END: f64 = 102.0;
const GC_CLONE: f64 = 7.0;
const GC_DEREF: f64 = 3.0;
const GC_DROP: f64 = 6.0;

const FEW: u64 = 1000;
const MANY: u64 = 11_000;

#[test]
fn the_hit_paths_of_pymalloc_keep_their_instruction_counts() {
    let Some(golden) = Golden::build("pymalloc", "pymalloc", None) else {
        return;
    };
    golden.keeps("hit_alloc", ALLOC);
    golden.keeps("hit_dealloc", DEALLOC);
}

#[test]
fn tracing_that_is_off_costs_two_instructions_each_way() {
    let Some(golden) = Golden::build("trace", "pymalloc", Some("trace")) else {
        return;
    };
    golden.keeps("hit_alloc", ALLOC_UNTRACED);
    golden.keeps("hit_dealloc", DEALLOC_UNTRACED);
}

#[test]
fn the_hit_paths_of_gc_keep_their_instruction_counts() {
    let Some(golden) = Golden::build("cyclegc", "cyclegc", Some("gc")) else {
        return;
    };
    golden.keeps("hit_gc_new", GC_NEW);
    golden.keeps("hit_gc_end", GC_END);
    golden.keeps("hit_gc_clone", GC_CLONE);
    golden.keeps("hit_gc_deref", GC_DEREF);
    golden.keeps("hit_gc_drop", GC_DROP);
}

/// The program, built, and which of its paths is taken.
struct Golden {
    program: PathBuf,
    path: &'static str,
}

impl Golden {
    /// `None`, having said why, where nothing can be counted.
    fn build(folder: &str, path: &'static str, feature: Option<&str>) -> Option<Self> {
        if !cfg!(target_arch = "x86_64") {
            skip("the counts are those of x86-64");
            return None;
        }
        if Command::new("valgrind").arg("--version").output().is_err() {
            skip("valgrind is not installed, nothing can count instructions");
            return None;
        }
        let root = workspace();
        // A folder of its own for each: the tests run at the same time.
        let target = root.join("target/golden").join(folder);
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--release", "--quiet", "--manifest-path"]);
        cargo.arg(root.join("benches/golden/Cargo.toml"));
        cargo.arg("--target-dir").arg(&target);
        cargo.args(feature.map(|feature| format!("--features={feature}")));
        // What the tests are built with is not what is counted.
        for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR"] {
            cargo.env_remove(variable);
        }
        let output = cargo.output().expect("cargo runs this test");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "golden does not build: {stderr}");
        let program = target.join("release/golden");
        Some(Self { program, path })
    }

    /// Fails if `function` takes more than `golden` instructions, and says if fewer.
    fn keeps(&self, function: &str, golden: f64) {
        let all = self.count(function, MANY) - self.count(function, FEW);
        let each = all as f64 / (MANY - FEW) as f64;
        println!("{function}: {each} instructions, golden: {golden}");
        assert!(each > 0.0, "{function} was not counted at all");
        assert!(
            each <= golden,
            "{function} takes {each} instructions, more than its {golden}"
        );
    }

    /// Instructions inside `function` while its path is taken `times` times.
    fn count(&self, function: &str, times: u64) -> u64 {
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        valgrind.arg(format!("--toggle-collect=*{function}*"));
        valgrind
            .arg(&self.program)
            .args([self.path, &times.to_string()]);
        let output = valgrind.output().expect("it was there a moment ago");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{function}: {stderr}");
        let line = stderr.lines().find(|line| line.contains("Collected :"));
        let number = line.and_then(|line| line.rsplit(' ').next());
        number
            .and_then(|number| number.parse().ok())
            .expect("callgrind says it last")
    }
}

/// Past the harness, which keeps to itself what is printed by a test that passes.
fn skip(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = package
        .parent()
        .expect("this package is inside the workspace");
    fs::canonicalize(root).expect("it is there")
}
