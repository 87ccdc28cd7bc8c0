//! A flame graph, drawn by `inferno`.

use std::io::{self, Write};

use inferno::flamegraph::{self, Options, color};

use super::folded;
use super::table::program;
use crate::snapshot::Snapshot;

pub(super) fn write(snapshot: &Snapshot, writer: &mut dyn Write) -> io::Result<()> {
    let mut lines = folded::lines(snapshot);
    lines.retain(|line| !line.ends_with(" 0"));
    if lines.is_empty() {
        lines.push("no blocks 1".to_owned());
    }
    let mut options = Options::default();
    options.title = "Memory in use".to_owned();
    options.subtitle = Some(program(snapshot).to_owned()).filter(|path| !path.is_empty());
    options.count_name = "bytes".to_owned();
    options.colors = color::Palette::Basic(color::BasicPalette::Mem);
    options.hash = true;
    flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), writer)
        .map_err(io::Error::other)
}
