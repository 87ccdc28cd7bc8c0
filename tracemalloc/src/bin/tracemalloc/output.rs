//! Where an export goes.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tracemalloc::{Format, PlotError, Snapshot};

use crate::Failure;

/// A format, and where to.
pub(crate) struct Target {
    format: Format,
    place: Place,
}

/// A file; `None` is standard output.
struct Place(Option<PathBuf>);

impl Target {
    /// What is not said follows from the rest: a format from the output's name, and a name from the
    /// input's.
    pub(crate) fn new(
        input: &Path,
        format: Option<Format>,
        output: Option<PathBuf>,
    ) -> Result<Self, Failure> {
        let by_name = |path: &PathBuf| Format::of_file_name(&path.to_string_lossy());
        let format = format.or_else(|| output.as_ref().and_then(by_name)).ok_or(
            "which format? Say --format NAME, or an --output that ends as the format's files do",
        )?;
        let place = Place::new(input, format.extension(), output)?;
        Ok(Self { format, place })
    }

    pub(crate) fn write(&self, snapshot: &Snapshot, out: &mut dyn Write) -> Result<(), Failure> {
        self.place.write(
            out,
            |writer| snapshot.export(self.format, writer),
            |path| snapshot.export_to(self.format, path),
        )
    }
}

/// Draws a snapshot's timeline.
pub(crate) fn plot(
    input: &Path,
    snapshot: &Snapshot,
    output: Option<PathBuf>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let place = Place::new(input, "timeline.svg", output)?;
    let plotted = match &place.0 {
        Some(path) => snapshot.plot_to(path),
        None => snapshot.plot(&mut *out),
    };
    match plotted {
        Ok(()) => place.tell(out),
        Err(PlotError::Write(error)) => Err(place.failure(error)),
        Err(error) => Err(format!("{} has {error}", input.display()).into()),
    }
}

impl Place {
    fn new(input: &Path, extension: &str, output: Option<PathBuf>) -> Result<Self, Failure> {
        let path = match output {
            Some(path) if is_stdout(&path) => None,
            Some(path) => Some(path),
            None => Some(beside(input, extension)),
        };
        let is_input = |path: &PathBuf| path.is_file() && is_same(input, path);
        if path.as_ref().is_some_and(is_input) {
            return Err(format!("{} would be overwritten; say --output", input.display()).into());
        }
        Ok(Self(path))
    }

    fn write(
        &self,
        out: &mut dyn Write,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
        replace: impl FnOnce(&Path) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let written = match &self.0 {
            Some(path) => replace(path),
            None => write(out),
        };
        written.map_err(|error| self.failure(error))?;
        self.tell(out)
    }

    /// Says which file was written.
    fn tell(&self, out: &mut dyn Write) -> Result<(), Failure> {
        if let Some(path) = &self.0 {
            writeln!(out, "wrote {}", path.display())?;
        }
        Ok(())
    }

    /// What could not be written, and why.
    fn failure(&self, error: io::Error) -> Failure {
        match &self.0 {
            Some(path) => format!("{}: {error}", path.display()).into(),
            None => error.into(),
        }
    }
}

/// `run.svg` for `run.tmal`, `run.1.svg` for `run.1`.
fn beside(input: &Path, extension: &str) -> PathBuf {
    if input.extension().is_some_and(|of_input| of_input == "tmal") {
        return input.with_extension(extension);
    }
    let mut name = input.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

/// Whether a path is that of standard output, where nothing else must be printed then: `-`, or a
/// name of what that is.
pub(crate) fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-" || is_same(path, Path::new("/dev/stdout"))
}

/// Whether two names are one file's.
fn is_same(one: &Path, two: &Path) -> bool {
    let (Ok(one), Ok(two)) = (fs::metadata(one), fs::metadata(two)) else {
        return false;
    };
    (one.dev(), one.ino()) == (two.dev(), two.ino())
}
