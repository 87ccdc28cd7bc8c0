//! DHAT's file, as valgrind's `dh_view.html` and Firefox Profiler read it.

use std::collections::HashMap;
use std::io::{self, Write};

use serde_json::{Value, json};

use super::table::{Numbers, Table, program, title};
use crate::snapshot::{Frame, Snapshot};

pub(super) fn write(snapshot: &Snapshot, writer: &mut dyn Write) -> io::Result<()> {
    let table = Table::of(snapshot);
    let ages = ages_us(snapshot);
    let elapsed_us = snapshot.raw().elapsed_ns / 1000;
    // The viewer refuses a second point with the frames of another: points are put together by
    // what their frames are called.
    let mut texts = vec!["[root]".to_owned()];
    let mut numbers = Numbers::default();
    let number: Vec<usize> = table
        .frames
        .iter()
        .map(|frame| {
            let text = entry(frame);
            let number = numbers.of(text.clone()) + 1;
            if number == texts.len() {
                texts.push(text);
            }
            number
        })
        .collect();
    let mut points: HashMap<Vec<usize>, Point> = HashMap::new();
    for row in &table.rows {
        let frames: Vec<usize> = row.frames.iter().rev().map(|&f| number[f]).collect();
        let point = points.entry(frames).or_default();
        let age_us = ages.get(&row.stack).copied().unwrap_or(0);
        point.bytes = point.bytes.saturating_add(row.total.size());
        point.blocks = point.blocks.saturating_add(row.total.count());
        point.age_us = point.age_us.saturating_add(age_us);
    }
    let mut points: Vec<(Vec<usize>, Point)> = points.into_iter().collect();
    points.sort_unstable_by(|a, b| b.1.bytes.cmp(&a.1.bytes).then_with(|| a.0.cmp(&b.0)));
    let document = json!({
        "dhatFileVersion": 2,
        "mode": "rust-heap",
        "verb": "Live",
        "bklt": true,
        "bkacc": false,
        "tu": "µs",
        "Mtu": "s",
        "tuth": 10,
        "cmd": program(snapshot),
        "pid": snapshot.raw().pid,
        "tg": elapsed_us,
        "te": elapsed_us,
        "pps": points.iter().map(|(frames, point)| point.json(frames)).collect::<Vec<_>>(),
        "ftbl": texts,
    });
    serde_json::to_writer(writer, &document).map_err(Into::into)
}

#[derive(Default)]
struct Point {
    bytes: u64,
    blocks: u64,
    age_us: u64,
}

impl Point {
    fn json(&self, frames: &[usize]) -> Value {
        let (bytes, blocks) = (self.bytes, self.blocks);
        json!({
            "tb": bytes, "tbk": blocks, "tl": self.age_us,
            "mb": bytes, "mbk": blocks,
            "gb": bytes, "gbk": blocks,
            "eb": bytes, "ebk": blocks,
            "fs": frames,
        })
    }
}

/// How old the blocks of each stack are, added up, in microseconds; those whose age is not known
/// count as new.
fn ages_us(snapshot: &Snapshot) -> HashMap<u32, u64> {
    let now = snapshot.raw().elapsed_ns;
    let mut ages: HashMap<u32, f64> = HashMap::new();
    for trace in snapshot
        .raw_traces()
        .iter()
        .filter(|trace| trace.when_ns > 0)
    {
        let age = now.saturating_sub(trace.when_ns) as f64 / 1000.0;
        *ages.entry(trace.stack).or_default() += age * trace.weight.count;
    }
    ages.into_iter()
        .map(|(stack, age)| (stack, age as u64))
        .collect()
}

/// `0x0: function (file:line)`: the address is what DHAT writes first, and is not known here.
fn entry(frame: &Frame) -> String {
    if frame.has_no_file() {
        format!("0x0: {}", title(frame))
    } else {
        format!(
            "0x0: {} ({}:{})",
            title(frame),
            frame.filename(),
            frame.lineno()
        )
    }
}
