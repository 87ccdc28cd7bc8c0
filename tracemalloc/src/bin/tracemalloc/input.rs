//! Loads a snapshot and its names.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tracemalloc::symbols::Resolver;
use tracemalloc::{LoadError, Snapshot};

use crate::Failure;
use crate::args::Symbols;
use crate::plain::plain;

/// Loads what there is and its names, and tells on standard error what is not.
pub(crate) fn load(path: &Path, symbols: &Symbols) -> Result<Snapshot, Failure> {
    let snapshot = load_only(path)?;
    resolve(&snapshot, symbols)?;
    Ok(snapshot)
}

/// The same of a file that is open.
pub(crate) fn load_open(file: File, path: &Path, symbols: &Symbols) -> Result<Snapshot, Failure> {
    let snapshot = load_by(|| recover(file), path)?;
    resolve(&snapshot, symbols)?;
    Ok(snapshot)
}

/// The same without a word on standard error: what is missing comes back, a line each.
pub(crate) fn load_silently(
    file: File,
    path: &Path,
    symbols: &Symbols,
) -> Result<(Snapshot, Vec<String>), Failure> {
    let (snapshot, mut missing) = whole(recover(file), path)?;
    missing.extend(snapshot.resolve(&resolver(symbols)?, &mut ()));
    Ok((snapshot, missing))
}

/// Loads what there is; its names may be missing.
pub(crate) fn load_only(path: &Path) -> Result<Snapshot, Failure> {
    load_by(|| Snapshot::recover(path), path)
}

type Recovered = Result<(Snapshot, Option<LoadError>), LoadError>;

/// Says of what is asked for whether it can be had.
pub(crate) fn check(symbols: &Symbols) -> Result<(), Failure> {
    resolver(symbols).map(drop)
}

fn recover(file: File) -> Recovered {
    Snapshot::recover_from(BufReader::with_capacity(1 << 16, file))
}

/// What was recovered, and what is to be said of the rest.
fn whole(recovered: Recovered, path: &Path) -> Result<(Snapshot, Vec<String>), Failure> {
    let (snapshot, damage) = recovered.map_err(|error| format!("{} {error}", path.display()))?;
    let mut missing = Vec::new();
    if let Some(damage) = damage {
        missing.push(format!("{} {damage}", path.display()));
        missing.push(format!(
            "going on with the {} blocks that come before",
            snapshot.traces().len()
        ));
    }
    Ok((snapshot, missing))
}

fn load_by(recover: impl FnOnce() -> Recovered, path: &Path) -> Result<Snapshot, Failure> {
    let waiting = ProgressBar::new_spinner().with_message(format!("loading {}", path.display()));
    waiting.enable_steady_tick(Duration::from_millis(100));
    let loaded = recover();
    waiting.finish_and_clear();
    let (snapshot, missing) = whole(loaded, path)?;
    warn(&missing);
    Ok(snapshot)
}

fn warn(missing: &[String]) {
    for line in missing {
        eprintln!("warning: {}", plain(line));
    }
}

/// What finds names, in the folders that are asked for.
fn resolver(symbols: &Symbols) -> Result<Resolver, Failure> {
    let mut resolver = Resolver::new();
    for dir in &symbols.search {
        if !dir.is_dir() {
            return Err(format!("{} is not a folder (--search)", dir.display()).into());
        }
        resolver = resolver.search(dir);
    }
    Ok(resolver)
}

fn resolve(snapshot: &Snapshot, symbols: &Symbols) -> Result<(), Failure> {
    let resolver = resolver(symbols)?;
    let bar = ProgressBar::new(0).with_style(
        ProgressStyle::with_template("resolving names {bar:30} {pos}/{len}")
            .expect("the template is right"),
    );
    let mut progress = |done: usize, total: usize| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    };
    let missing = snapshot.resolve(&resolver, &mut progress);
    bar.finish_and_clear();
    warn(&missing);
    Ok(())
}
