//! Where an export goes.

use std::fs::File;
use std::io::{BufWriter, Write};
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
        self.place
            .write(out, |writer| snapshot.export(self.format, writer))
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
    let mut picture = Vec::new();
    snapshot.plot(&mut picture).map_err(|error| match error {
        PlotError::TooFewPoints => format!("{} has {error}", input.display()),
        error => error.to_string(),
    })?;
    place.write(out, |writer| writer.write_all(&picture))
}

impl Place {
    fn new(input: &Path, extension: &str, output: Option<PathBuf>) -> Result<Self, Failure> {
        let path = match output {
            Some(path) if path.as_os_str() == "-" => None,
            Some(path) => Some(path),
            None => Some(input.with_extension(extension)),
        };
        if path.as_deref() == Some(input) {
            return Err(format!("{} would be overwritten; say --output", input.display()).into());
        }
        Ok(Self(path))
    }

    fn write(
        &self,
        out: &mut dyn Write,
        write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<(), Failure> {
        let Some(path) = &self.0 else {
            return Ok(write(out)?);
        };
        let write = || {
            let mut file = BufWriter::new(File::create(path)?);
            write(&mut file)?;
            file.flush()
        };
        write().map_err(|error: std::io::Error| format!("{}: {error}", path.display()))?;
        writeln!(out, "wrote {}", path.display())?;
        Ok(())
    }
}
