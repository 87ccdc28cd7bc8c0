//! The file that a program dumps to, and the program.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tracemalloc::{Snapshot, memory_info_of};

use crate::Failure;

/// A file that is looked at again and again.
pub(super) struct Watched {
    path: PathBuf,
    /// What was different when it was last replaced or written to.
    seen: Option<[i64; 4]>,
}

impl Watched {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            seen: None,
        }
    }

    /// The file, if it is not as it was at the last call; `None`, too, if there is none yet, or
    /// nothing in it.
    pub(super) fn changed(&mut self) -> Result<Option<File>, Failure> {
        let opened = File::open(&self.path).and_then(|file| {
            let now = file.metadata()?;
            Ok((file, now))
        });
        let (file, now) = match opened {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                // What can be read again is as good as new.
                self.seen = None;
                return Err(format!("{}: {error}", self.path.display()).into());
            }
        };
        let state = [
            now.ino().cast_signed(),
            now.mtime(),
            now.mtime_nsec(),
            now.len().cast_signed(),
        ];
        if now.len() == 0 || self.seen == Some(state) {
            return Ok(None);
        }
        self.seen = Some(state);
        Ok(Some(file))
    }
}

/// The process that a snapshot is of.
#[derive(Clone)]
pub(super) struct Process {
    pid: u32,
    program: Option<String>,
}

/// What of a process is in memory, in bytes.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    pub(super) resident: u64,
    /// The most that has been.
    pub(super) peak: u64,
}

impl Process {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let program = snapshot.modules().first();
        Self {
            pid: snapshot.pid(),
            program: program.map(|module| module.path.clone()),
        }
    }

    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    /// The path of what it runs.
    pub(super) fn program(&self) -> &str {
        self.program.as_deref().unwrap_or("unknown program")
    }

    /// Its memory; `None` if it is not there. By now, or on this machine, its number may be
    /// another's, which then runs another program.
    pub(super) fn memory(&self) -> Option<Memory> {
        let program = self.program.as_deref()?;
        let runs = fs::read_link(format!("/proc/{}/exe", self.pid)).ok()?;
        if name_of(&runs.to_string_lossy()) != name_of(program) {
            return None;
        }
        let info = memory_info_of(self.pid).ok()?;
        Some(Memory {
            resident: info.rss_bytes,
            peak: info.peak_bytes,
        })
    }
}

/// A program's path without what the system adds when that was built again since.
fn name_of(path: &str) -> &str {
    path.strip_suffix(" (deleted)").unwrap_or(path)
}
