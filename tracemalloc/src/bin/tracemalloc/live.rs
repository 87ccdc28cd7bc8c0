//! Looks on while a program goes on dumping.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use tracemalloc::{MemoryInfo, Size, Snapshot, memory_info_of};

use crate::args::View;
use crate::plain::Plain;
use crate::{Failure, input, tables};

/// The least time from look to look.
const SHORTEST: Duration = Duration::from_millis(1);

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
        .map_err(|_| "--interval is a number of seconds, such as 0.5")?
        .max(SHORTEST);
    let is_terminal = io::stdout().is_terminal();
    let (mut seen, mut shown) = (None, 0);
    let mut before: Option<Snapshot> = None;
    while count.is_none_or(|count| shown < count) {
        let (open, now) = match open(file)? {
            Some((open, now)) if Some(now) != seen => (open, now),
            _ => {
                thread::sleep(interval);
                continue;
            }
        };
        seen = Some(now);
        let snapshot = input::load_open(open, file, &view.symbols)?;
        if is_terminal {
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

/// The file, and what is different when it has been replaced or written to; `None` if there is
/// none yet, or nothing in it.
fn open(path: &Path) -> Result<Option<(File, [i64; 4])>, Failure> {
    let opened = File::open(path).and_then(|file| {
        let now = file.metadata()?;
        Ok((file, now))
    });
    match opened {
        Ok((_, now)) if now.len() == 0 => Ok(None),
        Ok((file, now)) => {
            let state = [
                now.ino().cast_signed(),
                now.mtime(),
                now.mtime_nsec(),
                now.len().cast_signed(),
            ];
            Ok(Some((file, state)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display()).into()),
    }
}

/// The memory of the process that a snapshot is of; `None` if it is not there. By now, or on this
/// machine, its number may be another's, which then runs another program.
fn memory_of(snapshot: &Snapshot) -> Option<MemoryInfo> {
    let program = &snapshot.modules().first()?.path;
    let runs = fs::read_link(format!("/proc/{}/exe", snapshot.pid())).ok()?;
    if name_of(&runs.to_string_lossy()) != name_of(program) {
        return None;
    }
    memory_info_of(snapshot.pid()).ok()
}

/// A program's path without what the system adds when that was built again since.
fn name_of(path: &str) -> &str {
    path.strip_suffix(" (deleted)").unwrap_or(path)
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
    match memory_of(snapshot) {
        Some(info) => writeln!(
            out,
            "resident {}, at most {}",
            Size::new(info.rss_bytes as f64),
            Size::new(info.peak_bytes as f64)
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
