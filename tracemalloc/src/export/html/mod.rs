//! The report: one page that holds its data, style and script, and fetches nothing.

use std::io::{self, Write};

use super::json::Document;
use crate::snapshot::Snapshot;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPTS: [&str; 5] = [
    include_str!("data.js"),
    include_str!("icicle.js"),
    include_str!("charts.js"),
    include_str!("table.js"),
    include_str!("main.js"),
];

pub(super) fn write(snapshot: &Snapshot, writer: &mut dyn Write) -> io::Result<()> {
    // No name in the data may end the element it is in, or begin a comment in it.
    let data = serde_json::to_string(&Document::of(snapshot))?.replace('<', "\\u003c");
    let mut rest = PAGE;
    let script = SCRIPTS.concat();
    for (place, text) in [
        ("/*STYLE*/", STYLE),
        ("/*DATA*/", &data),
        ("/*SCRIPT*/", &script),
    ] {
        let (before, after) = rest
            .split_once(place)
            .ok_or_else(|| io::Error::other("the page's template lacks a place"))?;
        writer.write_all(before.as_bytes())?;
        writer.write_all(text.as_bytes())?;
        rest = after;
    }
    writer.write_all(rest.as_bytes())
}
