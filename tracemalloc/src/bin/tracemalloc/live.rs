//! Looks on while a program goes on dumping.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use tracemalloc::{Size, Snapshot, memory_info_of};

use crate::args::View;
use crate::{Failure, input, tables};

/// Moves to the upper left corner, and clears what is on the screen.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Shows the file's snapshot, and again whenever there is another.
pub(crate) fn watch(
    file: &Path,
    interval: f64,
    count: Option<usize>,
    view: &View,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let interval = Duration::try_from_secs_f64(interval)
        .map_err(|_| "--interval is a number of seconds, such as 0.5")?;
    let is_terminal = io::stdout().is_terminal();
    let (mut seen, mut shown) = (None, 0);
    let mut before: Option<Snapshot> = None;
    while count.is_none_or(|count| shown < count) {
        let now = state(file)?;
        if now == seen {
            thread::sleep(interval);
            continue;
        }
        seen = now;
        if now.is_none() {
            continue;
        }
        let snapshot = input::load(file, &view.symbols)?;
        if is_terminal {
            write!(out, "{CLEAR}")?;
        }
        head(&snapshot, before.as_ref(), out)?;
        tables::top(&snapshot, view, out)?;
        writeln!(out)?;
        out.flush()?;
        before = Some(snapshot);
        shown += 1;
    }
    Ok(())
}

/// What is different when the file has been replaced or written to; `None` if it is not there.
fn state(file: &Path) -> Result<Option<[i64; 4]>, Failure> {
    match fs::metadata(file) {
        Ok(now) => Ok(Some([
            now.ino().cast_signed(),
            now.mtime(),
            now.mtime_nsec(),
            now.len().cast_signed(),
        ])),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", file.display()).into()),
    }
}

/// The process, its memory, and what is in use, with the change since the snapshot before.
fn head(
    snapshot: &Snapshot,
    before: Option<&Snapshot>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let program = snapshot.modules().first();
    let program = program.map_or("unknown program", |module| &module.path);
    let pid = snapshot.pid();
    writeln!(
        out,
        "{program}, process {pid}, {}",
        tables::ago(snapshot.time())
    )?;
    match memory_info_of(pid) {
        Ok(info) => writeln!(
            out,
            "resident {}, at most {}",
            Size::new(info.rss_bytes as f64),
            Size::new(info.peak_bytes as f64)
        )?,
        Err(_) => writeln!(out, "the process is not there (any more)")?,
    }
    let (current, peak) = snapshot.traced_memory();
    write!(
        out,
        "in use {}, at most {}",
        Size::new(current as f64),
        Size::new(peak as f64)
    )?;
    if let Some(before) = before {
        let change = current as f64 - before.traced_memory().0 as f64;
        write!(out, ", {} since the last", Size::signed(change))?;
    }
    writeln!(out, "\n")?;
    Ok(())
}
