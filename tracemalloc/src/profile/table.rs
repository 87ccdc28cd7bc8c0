//! How a sheet is printed: as memory_profiler prints it.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use super::{Line, Meter, Sheet, Site};
use crate::snapshot::Size;

impl fmt::Display for Sheet {
    /// With an empty line at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory = match self.meter {
            Meter::Thread { .. } => "this thread's since the call",
            Meter::Traced => "traced blocks of the process",
            Meter::Resident => "resident (rss)",
        };
        let site = self.site;
        writeln!(f, "Filename: {}", site.file)?;
        writeln!(f, "Function: {}", site.function)?;
        writeln!(f, "Memory: {memory}\n")?;
        let title = row(
            "Line #",
            "Mem usage",
            "Increment",
            "Occurrences",
            "Line Contents",
        );
        writeln!(f, "{title}\n{}", "=".repeat(title.len()))?;
        let mut source = source(site).into_iter();
        for (number, line) in (site.first..).zip(&self.lines) {
            let text = source.next().unwrap_or_default();
            writeln!(f, "{}", line.get().row(number, &text))?;
        }
        writeln!(f)
    }
}

impl Line {
    fn row(self, number: u32, text: &str) -> String {
        let number = number.to_string();
        let Some(usage) = self.usage else {
            return row(&number, "", "", "", text);
        };
        let size = |bytes: i64| Size::new(bytes as f64).to_string();
        let occurrences = self.occurrences.to_string();
        row(
            &number,
            &size(usage),
            &size(self.increment),
            &occurrences,
            text,
        )
    }
}

fn row(number: &str, usage: &str, increment: &str, occurrences: &str, text: &str) -> String {
    let row = format!("{number:>6} {usage:>12} {increment:>12}  {occurrences:>11}   {text}");
    row.trim_end().to_owned()
}

/// The function's lines, or as many as can be read.
fn source(site: &Site) -> Vec<String> {
    let Some(file) = open(site) else {
        return Vec::new();
    };
    let before = site.first.saturating_sub(1) as usize;
    let count = site.last.saturating_sub(site.first) as usize + 1;
    let lines = BufReader::new(file).lines().skip(before).take(count);
    lines.map_while(Result::ok).collect()
}

/// The source. The compiler was told its name from a folder that is the package's, or around it;
/// it may have been moved to where the program runs.
fn open(site: &Site) -> Option<File> {
    let folders = Path::new(site.folder.unwrap_or("")).ancestors();
    let mut folders = folders.chain([Path::new("")]);
    folders.find_map(|folder| File::open(folder.join(site.file)).ok())
}
