//! One table below the other, or each in the place of the one before on a terminal.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime};

use tracemalloc::{Size, Snapshot};

use super::file::{Process, Watched};
use super::screen;
use crate::args::View;
use crate::plain::Plain;
use crate::{Failure, input, tables};

/// Moves to the upper left corner, and clears what is on the screen.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Shows the file's snapshot, and again whenever there is another.
pub(super) fn watch(
    file: &Path,
    interval: Duration,
    count: Option<usize>,
    view: &View,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let is_cleared = io::stdout().is_terminal() && !screen::is_dumb();
    let mut watched = Watched::new(file);
    let mut before: Option<Snapshot> = None;
    let mut shown = 0;
    while count.is_none_or(|count| shown < count) {
        let Some(open) = watched.changed()? else {
            thread::sleep(interval);
            continue;
        };
        let snapshot = input::load_open(open, file, &view.symbols)?;
        if is_cleared {
            write!(out, "{CLEAR}")?;
        }
        let out = &mut Plain(out);
        head(&snapshot, before.as_ref(), out)?;
        tables::top(&snapshot, view, out)?;
        writeln!(out)?;
        out.flush()?;
        before = Some(snapshot);
        shown += 1;
    }
    Ok(())
}

/// The process, its memory, and what is in use, with the change since the snapshot before.
fn head(
    snapshot: &Snapshot,
    before: Option<&Snapshot>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let process = Process::of(snapshot);
    writeln!(
        out,
        "{}, process {}, {}",
        process.program(),
        process.pid(),
        tables::ago(snapshot.time(), SystemTime::now())
    )?;
    match process.memory() {
        Some(memory) => writeln!(
            out,
            "resident {}, at most {}",
            Size::new(memory.resident as f64),
            Size::new(memory.peak as f64)
        )?,
        None => writeln!(
            out,
            "the process is not there (any more), or not to be seen"
        )?,
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
