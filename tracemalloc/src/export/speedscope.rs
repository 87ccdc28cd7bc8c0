//! speedscope's file format.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::table::{Table, program, title};
use crate::snapshot::{Frame, Snapshot, Total, UNKNOWN};

pub(super) fn write(snapshot: &Snapshot, writer: &mut dyn Write) -> io::Result<()> {
    let table = Table::of(snapshot);
    let document = json!({
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "exporter": concat!("tracemalloc ", env!("CARGO_PKG_VERSION")),
        "name": program(snapshot),
        "activeProfileIndex": 0,
        "shared": { "frames": table.frames.iter().map(frame).collect::<Vec<_>>() },
        "profiles": [
            profile(&table, "Bytes in use", "bytes", Total::size),
            profile(&table, "Blocks in use", "none", Total::count),
        ],
    });
    serde_json::to_writer(writer, &document).map_err(Into::into)
}

fn frame(frame: &Frame) -> Value {
    let mut value = json!({ "name": title(frame) });
    if frame.filename() != UNKNOWN {
        value["file"] = frame.filename().into();
        value["line"] = frame.lineno().into();
    }
    value
}

fn profile(table: &Table, name: &str, unit: &str, weight: impl Fn(&Total) -> u64) -> Value {
    let weights: Vec<u64> = table.rows.iter().map(|row| weight(&row.total)).collect();
    let sum = weights.iter().fold(0, |sum: u64, &w| sum.saturating_add(w));
    json!({
        "type": "sampled",
        "name": name,
        "unit": unit,
        "startValue": 0,
        "endValue": sum,
        "samples": table.rows.iter().map(|row| &row.frames).collect::<Vec<_>>(),
        "weights": weights,
    })
}
