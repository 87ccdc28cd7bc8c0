//! Weakens every ordering of `ORDERINGS.md`, one after the other: what its row names must turn
//! red, a model or ThreadSanitizer.
//!
//! What a row only argues is counted aloud. What is said to be stronger than needed is weakened
//! all at once, and nothing may turn red.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, io};

use crate::table::{Row, Shown, Table};
use crate::{CYCLEGC, PYMALLOC, Subject, build, copy_packages, models_pass};

/// Reports in these are none of ours: std comes without instrumentation (`.ci/sanitizers`).
const SUPPRESSIONS: &str = "race:CompletedTest\nrace:alloc::sync::Arc\n";
const SANITIZER: &str = "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer --cfg tsan";

/// Tries the rows whose names contain one of the texts, or all; how many did not do what they
/// say.
pub(crate) fn run(root: &Path, texts: &[&str]) -> io::Result<usize> {
    let table = Table::read(root)?;
    let differences = table.differences(root)?;
    if !differences.is_empty() {
        let text = format!("ORDERINGS.md: {}", differences.join("; "));
        return Err(io::Error::other(text));
    }
    let work = root.join("target/mutations/0");
    copy_packages(root, &work)?;
    fs::write(work.join("suppressions"), SUPPRESSIONS)?;
    let rows: Vec<(usize, &Row)> = table
        .rows
        .iter()
        .enumerate()
        .filter(|(_, row)| texts.is_empty() || texts.iter().any(|text| row.name().contains(text)))
        .collect();
    let tests: BTreeSet<(Crate, &Shown)> = rows
        .iter()
        .filter(|(_, row)| row.is_tried())
        .map(|(_, row)| (Crate::of(row), &row.shown))
        .collect();
    for (of, test) in &tests {
        if is_red(*of, test, &work)? {
            let text = format!("fails on the code as it is: {test:?}");
            return Err(io::Error::other(text));
        }
    }
    let mut failures = 0;
    for (number, (index, row)) in rows.iter().enumerate() {
        let caught = match row.shown {
            Shown::Argued => "argued, not shown",
            Shown::Spare => "stronger than needed",
            _ if is_caught(&table, *index, &work)? => "caught",
            _ => {
                failures += 1;
                "SURVIVED"
            }
        };
        println!("{:3}/{} {caught}: {}", number + 1, rows.len(), row.name());
    }
    if !are_spare(&table, &rows, &tests, &work)? {
        println!("NOT SPARE: something that is said to be stronger than needed");
        failures += 1;
    }
    let count = |shown: &Shown| rows.iter().filter(|(_, row)| row.shown == *shown).count();
    println!(
        "{} orderings: {} argued and not shown, {} stronger than needed, the others weakened; \
         {failures} failures",
        rows.len(),
        count(&Shown::Argued),
        count(&Shown::Spare),
    );
    Ok(failures)
}

impl Row {
    fn is_tried(&self) -> bool {
        matches!(self.shown, Shown::Model(_) | Shown::Sanitizer(..))
    }
}

/// Whether the row's test turns red; the source is as it was afterwards.
fn is_caught(table: &Table, index: usize, work: &Path) -> io::Result<bool> {
    let row = &table.rows[index];
    let sources = weaken_all(table, &[index], work)?;
    let is_red = is_red(Crate::of(row), &row.shown, work);
    restore(sources)?;
    is_red
}

/// Whether all stays as it is when every spare ordering of these rows is weakened.
fn are_spare(
    table: &Table,
    rows: &[(usize, &Row)],
    tests: &BTreeSet<(Crate, &Shown)>,
    work: &Path,
) -> io::Result<bool> {
    let spare = rows.iter().filter(|(_, row)| row.shown == Shown::Spare);
    let spare: Vec<usize> = spare.map(|(index, _)| *index).collect();
    if spare.is_empty() {
        return Ok(true);
    }
    let sources = weaken_all(table, &spare, work)?;
    for (of, test) in tests {
        if is_red(*of, test, work)? {
            println!("turns red: {test:?}");
            return Ok(false);
        }
    }
    restore(sources)?;
    Ok(true)
}

/// Weakens these rows; what the files were before.
fn weaken_all(table: &Table, rows: &[usize], work: &Path) -> io::Result<Vec<(PathBuf, String)>> {
    let mut by_file: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for index in rows {
        by_file
            .entry(&table.rows[*index].file)
            .or_default()
            .push(*index);
    }
    let mut before = Vec::new();
    for (file, rows) in by_file {
        let path = work.join(file);
        let source = fs::read_to_string(&path)?;
        let gone = || io::Error::other(format!("{file}: an ordering is not there"));
        fs::write(&path, table.weaken(&source, &rows).ok_or_else(gone)?)?;
        before.push((path, source));
    }
    Ok(before)
}

fn restore(sources: Vec<(PathBuf, String)>) -> io::Result<()> {
    let mut sources = sources.into_iter();
    sources.try_for_each(|(path, source)| fs::write(path, source))
}

/// What a row's file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Crate {
    Cyclegc,
    Pymalloc,
    Tracemalloc,
}

impl Crate {
    fn of(row: &Row) -> Self {
        match row.file.split('/').next() {
            Some("cyclegc") => Crate::Cyclegc,
            Some("pymalloc") => Crate::Pymalloc,
            _ => Crate::Tracemalloc,
        }
    }

    fn models(self) -> io::Result<&'static Subject> {
        match self {
            Crate::Cyclegc => Ok(&CYCLEGC),
            Crate::Pymalloc => Ok(&PYMALLOC),
            Crate::Tracemalloc => Err(io::Error::other("tracemalloc has no models")),
        }
    }

    /// Without the dependencies that no ordering needs.
    fn package(self) -> &'static [&'static str] {
        match self {
            Crate::Cyclegc => &["-p", "cyclegc"],
            Crate::Pymalloc => &["-p", "pymalloc", "--features", "trace"],
            Crate::Tracemalloc => &[
                "-p",
                "tracemalloc",
                "--no-default-features",
                "--features",
                "framehop,pymalloc",
            ],
        }
    }
}

/// Whether a model fails, or ThreadSanitizer reports something.
fn is_red(of: Crate, test: &Shown, work: &Path) -> io::Result<bool> {
    match test {
        Shown::Model(part) => {
            let subject = of.models()?;
            if !build(subject, work)? {
                let text = "the models do not compile, see `cargo test --no-run` there";
                return Err(io::Error::other(text));
            }
            Ok(!models_pass(subject, work, &[part])?)
        }
        Shown::Sanitizer(file, name) => sanitizer_reports(of, file.as_deref(), name, work),
        Shown::Argued | Shown::Spare => Ok(false),
    }
}

/// Whether ThreadSanitizer reports something in this test, which has to run.
fn sanitizer_reports(of: Crate, file: Option<&str>, name: &str, work: &Path) -> io::Result<bool> {
    let built = under_sanitizer(of, file, work).arg("--no-run").output()?;
    if !built.status.success() {
        let said = String::from_utf8_lossy(&built.stderr).into_owned();
        return Err(io::Error::other(said));
    }
    let mut test = under_sanitizer(of, file, work);
    let ran = test.args(["--", "--test-threads=1", name]).output()?;
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    let reported = String::from_utf8_lossy(&ran.stderr).contains("WARNING: ThreadSanitizer");
    let passed = ran.status.success() && said.contains(" 1 passed");
    if !(reported || passed) {
        return Err(io::Error::other(format!(
            "{name} neither passes nor is reported: {said}"
        )));
    }
    Ok(reported)
}

fn under_sanitizer(of: Crate, file: Option<&str>, work: &Path) -> Command {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let suppressions = work.join("suppressions");
    let mut command = Command::new("cargo");
    command
        .args(["+nightly", "test", "--quiet", "--target", &target])
        .args(of.package());
    match file {
        Some(file) => command.args(["--test", file]),
        None => command.arg("--lib"),
    };
    command
        .current_dir(work)
        // That of the cargo that runs this program.
        .env_remove("RUSTUP_TOOLCHAIN")
        .env("CARGO_TARGET_DIR", work.join("target/thread"))
        .env("RUSTFLAGS", SANITIZER)
        .env("CARGO_INCREMENTAL", "1")
        .env(
            "TSAN_OPTIONS",
            format!("halt_on_error=1:suppressions={}", suppressions.display()),
        )
        .stdin(Stdio::null());
    command
}
