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
    let recover = || Snapshot::recover_from(BufReader::with_capacity(1 << 16, file));
    let snapshot = load_by(recover, path)?;
    resolve(&snapshot, symbols)?;
    Ok(snapshot)
}

/// Loads what there is; its names may be missing.
pub(crate) fn load_only(path: &Path) -> Result<Snapshot, Failure> {
    load_by(|| Snapshot::recover(path), path)
}

type Recovered = Result<(Snapshot, Option<LoadError>), LoadError>;

fn load_by(recover: impl FnOnce() -> Recovered, path: &Path) -> Result<Snapshot, Failure> {
    let waiting = ProgressBar::new_spinner().with_message(format!("loading {}", path.display()));
    waiting.enable_steady_tick(Duration::from_millis(100));
    let loaded = recover();
    waiting.finish_and_clear();
    let (snapshot, damage) = loaded.map_err(|error| format!("{} {error}", path.display()))?;
    if let Some(damage) = damage {
        eprintln!("warning: {} {damage}", path.display());
        eprintln!(
            "warning: going on with the {} blocks that come before",
            snapshot.traces().len()
        );
    }
    Ok(snapshot)
}

fn resolve(snapshot: &Snapshot, symbols: &Symbols) -> Result<(), Failure> {
    let mut resolver = Resolver::new();
    for dir in &symbols.search {
        if !dir.is_dir() {
            return Err(format!("{} is not a folder (--search)", dir.display()).into());
        }
        resolver = resolver.search(dir);
    }
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
    for line in missing {
        eprintln!("warning: {}", plain(&line));
    }
    Ok(())
}
