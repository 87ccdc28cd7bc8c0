//! What other people's tools open.
//!
//! | format | opened by |
//! |---|---|
//! | [`Pprof`](Format::Pprof) | `go tool pprof`, pprof.me, Grafana, Polar Signals, speedscope |
//! | [`Flamegraph`](Format::Flamegraph) | any browser |
//! | [`Folded`](Format::Folded) | `flamegraph.pl`, `inferno`, speedscope |
//! | [`Dhat`](Format::Dhat) | valgrind's `dh_view.html`, Firefox Profiler |
//! | [`Speedscope`](Format::Speedscope) | speedscope.app |
//! | [`Csv`](Format::Csv), [`Json`](Format::Json) | spreadsheets, programs |
//! | [`Html`](Format::Html) | any browser, offline: one file, nothing fetched |
//!
//! All are of live blocks: a snapshot knows nothing of blocks that were freed before it.

mod csv;
mod dhat;
mod flamegraph;
mod folded;
mod html;
mod json;
mod pprof;
mod speedscope;
mod table;

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::str::FromStr;

use crate::file::replace;
use crate::snapshot::Snapshot;

/// A format that a snapshot can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// A gzipped protocol buffer, `profile.proto`, with `inuse_objects` and `inuse_space`.
    Pprof,
    /// An interactive picture of stacks, as SVG.
    Flamegraph,
    /// A stack a line, `main;load;parse 4096`.
    Folded,
    /// DHAT's file, version 2. Live blocks stand for the totals as well, since nothing else is
    /// known; lifetimes are ages.
    Dhat,
    /// speedscope's JSON: one profile of bytes and one of blocks.
    Speedscope,
    /// A row for each distinct stack.
    Csv,
    /// All that is known of the snapshot, without single blocks.
    Json,
    /// A page to explore the snapshot with.
    Html,
}

impl Format {
    /// All there are.
    pub const ALL: [Self; 8] = [
        Self::Pprof,
        Self::Flamegraph,
        Self::Folded,
        Self::Dhat,
        Self::Speedscope,
        Self::Csv,
        Self::Json,
        Self::Html,
    ];

    /// The name that parses to it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pprof => "pprof",
            Self::Flamegraph => "flamegraph",
            Self::Folded => "folded",
            Self::Dhat => "dhat",
            Self::Speedscope => "speedscope",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Html => "html",
        }
    }

    /// How names of such files end.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Pprof => "pb.gz",
            Self::Flamegraph => "svg",
            Self::Folded => "folded",
            Self::Dhat => "dhat.json",
            Self::Speedscope => "speedscope.json",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Html => "html",
        }
    }

    /// The format whose extension a file's name has.
    #[must_use]
    pub fn of_file_name(name: &str) -> Option<Self> {
        let ends = |format: &Self| {
            name.strip_suffix(format.extension())
                .is_some_and(|stem| stem.ends_with('.'))
        };
        // The longest, so that `a.dhat.json` is DHAT's.
        Self::ALL
            .into_iter()
            .filter(ends)
            .max_by_key(|format| format.extension().len())
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no [`Format`]'s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownFormat(String);

impl fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown format '{}'; there are", self.0)?;
        for (i, format) in Format::ALL.iter().enumerate() {
            write!(f, "{} {format}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownFormat {}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == name)
            .ok_or_else(|| UnknownFormat(name.to_owned()))
    }
}

impl Snapshot {
    /// Writes the snapshot in another format; resolves its symbols if nobody has.
    ///
    /// ```
    /// use tracemalloc::{Format, RawSnapshot, Snapshot};
    ///
    /// let snapshot = Snapshot::from(RawSnapshot::default());
    /// let mut page = Vec::new();
    /// snapshot.export(Format::Html, &mut page)?;
    /// assert!(page.starts_with(b"<!doctype html>"));
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn export(&self, format: Format, mut writer: impl Write) -> io::Result<()> {
        let writer: &mut dyn Write = &mut writer;
        match format {
            Format::Pprof => pprof::write(self, writer),
            Format::Flamegraph => flamegraph::write(self, writer),
            Format::Folded => folded::write(self, writer),
            Format::Dhat => dhat::write(self, writer),
            Format::Speedscope => speedscope::write(self, writer),
            Format::Csv => csv::write(self, writer),
            Format::Json => json::write(self, writer),
            Format::Html => html::write(self, writer),
        }
    }

    /// Writes what [`export`](Self::export) writes into a file, which is replaced as
    /// [`dump`](Self::dump) replaces one.
    ///
    /// # Errors
    ///
    /// What the system says of the file, or of a new one in its folder.
    pub fn export_to(&self, format: Format, path: impl AsRef<Path>) -> io::Result<()> {
        replace(path.as_ref(), |file| {
            let mut file = BufWriter::with_capacity(1 << 16, file);
            self.export(format, &mut file)?;
            file.flush()
        })
    }
}
