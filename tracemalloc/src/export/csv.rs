//! A table for spreadsheets.

use std::io::{self, Write};

use super::table::{Table, title};
use crate::snapshot::{Frame, Snapshot, Traceback};
use crate::symbols::crate_of;

pub(super) fn write(snapshot: &Snapshot, writer: &mut dyn Write) -> io::Result<()> {
    let table = Table::of(snapshot);
    let mut csv = csv::Writer::from_writer(writer);
    csv.write_record([
        "size",
        "count",
        "size_error",
        "count_error",
        "file",
        "line",
        "function",
        "crate",
        "stack",
    ])?;
    for row in &table.rows {
        let frames = || row.frames.iter().map(|&frame| &table.frames[frame]);
        let nowhere = Frame::new("", 0, "");
        let place = frames().next_back().unwrap_or(&nowhere);
        let sampled = snapshot.sampling().is_some();
        let total = row.total.statistic(Traceback::new([], None), sampled);
        let error = total.error;
        csv.write_record([
            total.size.to_string(),
            total.count.to_string(),
            error.map_or(String::new(), |e| format!("{:.0}", e.size)),
            error.map_or(String::new(), |e| format!("{:.1}", e.count)),
            place.filename().to_owned(),
            place.lineno().to_string(),
            place.function().to_owned(),
            crate_of(place).to_owned(),
            frames().map(title).collect::<Vec<_>>().join(" > "),
        ])?;
    }
    csv.flush()
}
