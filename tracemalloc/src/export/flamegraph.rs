//! A flame graph, drawn by `inferno`.

use std::borrow::Cow;
use std::io::{self, Write};

use inferno::flamegraph::{self, Options, color};

use super::folded;
use super::table::program;
use crate::snapshot::Snapshot;

pub(super) fn write(snapshot: &Snapshot, writer: &mut dyn Write) -> io::Result<()> {
    let stacks = folded::stacks(snapshot);
    // `inferno` adds up in 64 bits, which the sizes in a file need not fit into.
    let sum: u128 = stacks.iter().map(|stack| u128::from(stack.1)).sum();
    let shift = (u128::BITS - sum.leading_zeros()).saturating_sub(u64::BITS - 1);
    let mut lines: Vec<String> = stacks
        .iter()
        .map(|(stack, bytes)| (stack, bytes >> shift))
        .filter(|(_, count)| *count > 0)
        .map(|(stack, count)| format!("{} {count}", without_number(stack)))
        .collect();
    if lines.is_empty() {
        lines.push("no blocks 1".to_owned());
    }
    let mut options = Options::default();
    options.title = "Memory in use".to_owned();
    options.subtitle = Some(program(snapshot).to_owned()).filter(|path| !path.is_empty());
    options.count_name = match shift {
        0 => "bytes".to_owned(),
        _ => format!("times {} bytes", 1_u64 << shift),
    };
    options.colors = color::Palette::Basic(color::BasicPalette::Mem);
    options.hash = true;
    flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), writer)
        .map_err(io::Error::other)
}

/// A stack that ends in no word of digits, which `inferno` would take for another column: with a
/// space before it that is none.
fn without_number(stack: &str) -> Cow<'_, str> {
    let is_number = |word: &str| word.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    match stack.rsplit_once(' ') {
        Some((before, word)) if is_number(word) => format!("{before}\u{a0}{word}").into(),
        _ => stack.into(),
    }
}
