//! `profile.proto`, gzipped, as Go's heap profiles are.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::SystemTime;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use super::table::{Table, title};
use crate::snapshot::{Frame, Module, Snapshot, Total, UNKNOWN};

pub(super) fn write(snapshot: &Snapshot, writer: &mut dyn Write) -> io::Result<()> {
    let bytes = profile(snapshot).encode_to_vec();
    let mut gzip = GzEncoder::new(writer, Compression::default());
    gzip.write_all(&bytes)?;
    gzip.finish().map(drop)
}

fn profile(snapshot: &Snapshot) -> Profile {
    let table = Table::of(snapshot);
    let raw = snapshot.raw();
    let mut strings = Strings::default();
    strings.index("");
    let count = (strings.index("count"), strings.index("bytes"));
    let objects = ValueType {
        r#type: strings.index("inuse_objects"),
        unit: count.0,
    };
    let space = ValueType {
        r#type: strings.index("inuse_space"),
        unit: count.1,
    };
    let period_type = ValueType {
        r#type: strings.index("space"),
        unit: count.1,
    };
    let default_sample_type = space.r#type;

    let mut functions = HashMap::new();
    let mut function = Vec::new();
    let mut location = Vec::with_capacity(table.frames.len());
    for (i, frame) in table.frames.iter().enumerate() {
        let name = title(frame);
        let key = (name.clone(), frame.filename().to_owned());
        let id = *functions.entry(key).or_insert_with(|| {
            function.push(function_of(frame, &name, function.len(), &mut strings));
            function.len() as u64
        });
        location.push(Location {
            id: i as u64 + 1,
            line: vec![Line {
                function_id: id,
                line: i64::from(frame.lineno()),
            }],
        });
    }
    let stacks: HashMap<u32, &Vec<usize>> = table
        .rows
        .iter()
        .map(|row| (row.stack, &row.frames))
        .collect();
    let thread_key = strings.index("thread");
    let thread_name = snapshot.thread_names();
    let sample = by_thread(snapshot)
        .into_iter()
        .map(|((stack, thread), total)| Sample {
            location_id: stacks[&stack].iter().rev().map(|&f| f as u64 + 1).collect(),
            value: vec![clamp(total.count()), clamp(total.size())],
            label: vec![Label {
                key: thread_key,
                str: strings.index(&thread_name(thread)),
            }],
        })
        .collect();
    let since_epoch = raw.time.duration_since(SystemTime::UNIX_EPOCH);
    Profile {
        sample_type: vec![objects, space],
        sample,
        mapping: mappings(&raw.modules, &mut strings),
        location,
        function,
        time_nanos: since_epoch.map_or(0, |t| i64::try_from(t.as_nanos()).unwrap_or(0)),
        duration_nanos: clamp(raw.elapsed_ns),
        period_type: Some(period_type),
        period: clamp(raw.sampling.unwrap_or(1)),
        default_sample_type,
        string_table: strings.list,
    }
}

/// The sums by stack and thread, in a fixed order.
fn by_thread(snapshot: &Snapshot) -> Vec<((u32, u64), Total)> {
    let mut totals: HashMap<(u32, u64), Total> = HashMap::new();
    for trace in snapshot.raw_traces() {
        totals
            .entry((trace.stack, trace.thread))
            .or_default()
            .add(trace);
    }
    let mut totals: Vec<_> = totals.into_iter().collect();
    totals.sort_unstable_by_key(|(key, _)| *key);
    totals
}

fn function_of(frame: &Frame, name: &str, index: usize, strings: &mut Strings) -> Function {
    let file = if frame.has_no_file() {
        ""
    } else {
        frame.filename()
    };
    debug_assert_ne!(file, UNKNOWN);
    let name = strings.index(name);
    Function {
        id: index as u64 + 1,
        name,
        system_name: name,
        filename: strings.index(file),
    }
}

fn mappings(modules: &[Module], strings: &mut Strings) -> Vec<Mapping> {
    let mapping = |(i, module): (usize, &Module)| Mapping {
        id: i as u64 + 1,
        memory_start: module.range.start as u64,
        memory_limit: module.range.end as u64,
        filename: strings.index(&module.path),
        build_id: strings.index(&hex(&module.build_id)),
        has_functions: true,
        has_filenames: true,
        has_line_numbers: true,
        has_inline_frames: true,
    };
    modules.iter().enumerate().map(mapping).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn clamp(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The table of strings, of which the first is empty.
#[derive(Default)]
struct Strings {
    list: Vec<String>,
    indices: HashMap<String, i64>,
}

impl Strings {
    fn index(&mut self, text: &str) -> i64 {
        if let Some(&index) = self.indices.get(text) {
            return index;
        }
        let index = self.list.len() as i64;
        self.list.push(text.to_owned());
        self.indices.insert(text.to_owned(), index);
        index
    }
}

// The parts of profile.proto that a heap profile uses, with the numbers it gives them.

#[derive(Clone, PartialEq, Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    mapping: Vec<Mapping>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    time_nanos: i64,
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    period: i64,
    #[prost(int64, tag = "14")]
    default_sample_type: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    r#type: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    label: Vec<Label>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(int64, tag = "1")]
    key: i64,
    #[prost(int64, tag = "2")]
    str: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Mapping {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    memory_start: u64,
    #[prost(uint64, tag = "3")]
    memory_limit: u64,
    #[prost(int64, tag = "5")]
    filename: i64,
    #[prost(int64, tag = "6")]
    build_id: i64,
    #[prost(bool, tag = "7")]
    has_functions: bool,
    #[prost(bool, tag = "8")]
    has_filenames: bool,
    #[prost(bool, tag = "9")]
    has_line_numbers: bool,
    #[prost(bool, tag = "10")]
    has_inline_frames: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
    #[prost(int64, tag = "2")]
    line: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "3")]
    system_name: i64,
    #[prost(int64, tag = "4")]
    filename: i64,
}
