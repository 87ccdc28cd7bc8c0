//! Where an export goes.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use tracemalloc::{Format, Snapshot};

use crate::Failure;

/// A format, and a file or standard output.
pub(crate) struct Target {
    format: Format,
    /// `None` is standard output.
    path: Option<PathBuf>,
}

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
        let path = match output {
            Some(path) if path.as_os_str() == "-" => None,
            Some(path) => Some(path),
            None => Some(input.with_extension(format.extension())),
        };
        if path.as_deref() == Some(input) {
            return Err(format!("{} would be overwritten; say --output", input.display()).into());
        }
        Ok(Self { format, path })
    }

    pub(crate) fn write(&self, snapshot: &Snapshot, out: &mut dyn Write) -> Result<(), Failure> {
        let Some(path) = &self.path else {
            return Ok(snapshot.export(self.format, out)?);
        };
        let write = || {
            let mut file = BufWriter::new(File::create(path)?);
            snapshot.export(self.format, &mut file)?;
            file.flush()
        };
        write().map_err(|error: std::io::Error| format!("{}: {error}", path.display()))?;
        writeln!(out, "wrote {}", path.display())?;
        Ok(())
    }
}
