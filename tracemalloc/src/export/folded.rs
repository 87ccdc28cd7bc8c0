//! Brendan Gregg's folded stacks.

use std::io::{self, Write};

use super::table::{Table, title};
use crate::snapshot::{Frame, Snapshot};

pub(super) fn write(snapshot: &Snapshot, writer: &mut dyn Write) -> io::Result<()> {
    for line in lines(snapshot) {
        writeln!(writer, "{line}")?;
    }
    Ok(())
}

/// `oldest;...;most recent BYTES`, a line for each distinct stack.
pub(super) fn lines(snapshot: &Snapshot) -> Vec<String> {
    let table = Table::of(snapshot);
    let titles: Vec<String> = table.frames.iter().map(plain_title).collect();
    let line = |row: &super::table::Row| {
        let names: Vec<&str> = row.frames.iter().map(|&frame| &*titles[frame]).collect();
        format!("{} {}", names.join(";"), row.total.size())
    };
    table.rows.iter().map(line).collect()
}

/// A title without what separates frames and lines: `[u8; 4]` has a semicolon.
fn plain_title(frame: &Frame) -> String {
    title(frame).replace("; ", ":").replace([';', '\n'], ":")
}
