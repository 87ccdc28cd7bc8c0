//! A snapshot as a file: written in the program, read on any machine.
//!
//! ```text
//!  89 T M A L 0D 0A 1A   version u16
//!  chunk: tag, 4 letters │ length u32 │ payload │ CRC-32 of the three
//!
//!  META  what the numbers mean          MODS  modules           THRD  names of threads
//!  STKS  stacks, some thousands a chunk, before the traces that refer to them
//!  TRCE  traces, some thousands a chunk
//!  TIME  the timeline                   HEAP  classes and arenas
//!  NAME  FRAM  SYMB  names, frames and tracebacks, if the symbols were resolved
//!  DONE  nothing is missing
//! ```
//!
//! Fixed numbers are little-endian, others LEB128; addresses and times are differences to the one
//! before. A reader passes over chunks it does not know. Nothing is written twice and nothing
//! refers forward, so of a file that was cut, all before the cut can be read
//! ([`Snapshot::recover`]).

mod bytes;
mod chunk;
mod read;
mod replace;
mod write;

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use crate::snapshot::Snapshot;

pub(crate) use replace::replace;

/// The file's first bytes: no text, and spoilt by whatever changes line ends.
const MAGIC: [u8; 8] = *b"\x89TMAL\r\n\x1a";
/// The version this code writes, and the newest it reads.
const VERSION: u16 = 1;

/// Why a file could not be loaded.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// It could not be read.
    Io(io::Error),
    /// It is no snapshot.
    Foreign,
    /// It is a snapshot of a later version of this crate.
    Newer {
        /// The version that the file names.
        version: u16,
    },
    /// It ends too early: its writer was killed, or the disk was full.
    Truncated {
        /// Where it ends, in bytes from its start.
        offset: u64,
    },
    /// Some of it is not what was written.
    Damaged {
        /// Where the part starts that is damaged, in bytes from the file's start.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "cannot be read: {error}"),
            Self::Foreign => f.write_str(
                "is not a snapshot; snapshots are written by `Snapshot::dump` \
                 (Python's, which are pickles, cannot be read)",
            ),
            Self::Newer { version } => write!(
                f,
                "was written by a later version (format {version}, this is {VERSION}); \
                 update this program"
            ),
            Self::Truncated { offset } => write!(
                f,
                "ends at byte {offset}, in the middle of a snapshot: its writer was stopped, or \
                 the disk was full; what comes before can be used (`Snapshot::recover`)"
            ),
            Self::Damaged { offset, what } => write!(
                f,
                "is damaged at byte {offset}: {what}; copy it again, or use what comes before \
                 (`Snapshot::recover`)"
            ),
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for LoadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Snapshot {
    /// Writes the snapshot into a file, names included if they were resolved.
    ///
    /// About ten bytes a block in exact mode. It is written beside `path`, with an ending as
    /// `.4711-0.part`, and takes its place when it is whole and on the disk: a program that is
    /// killed meanwhile leaves the file that was there before, and a part that
    /// [`recover`](Self::recover) reads up to where it was cut, and that nobody removes. A link to
    /// a file stays one, a link to nothing is replaced. The new file has the old one's owner, group and
    /// permissions, or where this process may not give it those, fewer permissions; an access control
    /// list is lost, and its mask becomes the group's permissions.
    ///
    /// What is no regular file, such as a pipe, or is open already, such as `/dev/stdout`, is
    /// written where it is; so is a file that cannot be replaced, as it is mounted alone, or its
    /// folder takes no others. Where that goes wrong half-way, the error names a part that is whole,
    /// if there is one.
    ///
    /// # Errors
    ///
    /// What the system says of the file, or of a new one in its folder.
    ///
    /// # Examples
    ///
    /// ```
    /// use tracemalloc::{RawSnapshot, Snapshot};
    ///
    /// let path = std::env::temp_dir().join(format!("dump-{}.tmal", std::process::id()));
    /// let snapshot = Snapshot::from(RawSnapshot::default());
    /// snapshot.dump(&path)?;
    /// assert_eq!(Snapshot::load(&path)?.traces().len(), snapshot.traces().len());
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// (CPython: `Snapshot.dump`, which writes a pickle.)
    pub fn dump(&self, path: impl AsRef<Path>) -> io::Result<()> {
        replace(path.as_ref(), |file| {
            let mut file = BufWriter::with_capacity(1 << 16, file);
            self.write_to(&mut file)?;
            file.flush()
        })
    }

    /// Writes what [`dump`](Self::dump) writes, to anything.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn write_to(&self, writer: impl Write) -> io::Result<()> {
        write::write(self, writer)
    }

    /// Loads a whole and undamaged file.
    ///
    /// # Errors
    ///
    /// Where there is any doubt about the file; no content of a file is a reason to panic.
    ///
    /// (CPython: `Snapshot.load`, which unpickles and so runs what code is in the file.)
    pub fn load(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        Self::read_from(BufReader::with_capacity(1 << 16, File::open(path)?))
    }

    /// Loads what [`load`](Self::load) loads, from anything.
    ///
    /// # Errors
    ///
    /// As `load`.
    ///
    /// ```
    /// use tracemalloc::{LoadError, Snapshot};
    ///
    /// let error = Snapshot::read_from(&b"not a snapshot"[..]).unwrap_err();
    /// assert!(matches!(error, LoadError::Foreign));
    /// ```
    pub fn read_from(reader: impl Read) -> Result<Self, LoadError> {
        match Self::recover_from(reader)? {
            (snapshot, None) => Ok(snapshot),
            (_, Some(damage)) => Err(damage),
        }
    }

    /// Loads what there is of a file that was cut or damaged, and says what is wrong with it.
    ///
    /// # Errors
    ///
    /// If nothing of it can be used.
    pub fn recover(path: impl AsRef<Path>) -> Result<(Self, Option<LoadError>), LoadError> {
        Self::recover_from(BufReader::with_capacity(1 << 16, File::open(path)?))
    }

    /// Does the same from anything.
    ///
    /// # Errors
    ///
    /// If nothing of it can be used.
    pub fn recover_from(reader: impl Read) -> Result<(Self, Option<LoadError>), LoadError> {
        read::read(reader)
    }
}
