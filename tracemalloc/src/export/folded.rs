//! Brendan Gregg's folded stacks.

use std::io::{self, Write};

use super::table::{Table, title};
use crate::snapshot::{Frame, Snapshot};

pub(super) fn write(snapshot: &Snapshot, writer: &mut dyn Write) -> io::Result<()> {
    for (stack, bytes) in stacks(snapshot) {
        writeln!(writer, "{stack} {bytes}")?;
    }
    Ok(())
}

/// `oldest;...;most recent`, and its bytes, for each distinct stack.
pub(super) fn stacks(snapshot: &Snapshot) -> Vec<(String, u64)> {
    let table = Table::of(snapshot);
    let titles: Vec<String> = table.frames.iter().map(plain_title).collect();
    let stack = |row: &super::table::Row| {
        let names: Vec<&str> = row.frames.iter().map(|&frame| &*titles[frame]).collect();
        (names.join(";"), row.total.size())
    };
    table.rows.iter().map(stack).collect()
}

/// A title without what separates frames and lines: `[u8; 4]` has a semicolon.
fn plain_title(frame: &Frame) -> String {
    title(frame).replace("; ", ":").replace([';', '\n'], ":")
}
