//! What other tools open holds what the snapshot holds, and is well-formed whatever names there
//! are. Each format is read here by rules of its own specification.

#[path = "support/sample.rs"]
mod sample;
#[path = "support/wire.rs"]
mod wire;

use std::collections::HashSet;
use std::io::Read;

use proptest::prelude::*;
use serde_json::Value;
use tracemalloc::snapshot::{RawTrace, Weight};
use tracemalloc::{Filter, Format, Frame, KeyType, RawSnapshot, Snapshot};
use wire::Message;

/// Names that end elements, separate fields, or mean something in a format.
const NAMES: [&str; 6] = [
    "</script><script>alert(1)</script>",
    "<[u8; 4] as a::B<&str>>::f",
    "a;b\n\"c\",d",
    "plain::function",
    "<!--",
    "",
];

/// Three stacks and five blocks, with such names.
fn hostile() -> Snapshot {
    let frame = |i: usize| {
        Frame::new(
            format!("src/{}", NAMES[i % 6]),
            i as u32,
            NAMES[(i + 1) % 6],
        )
    };
    let tracebacks = vec![
        vec![frame(0), frame(1), frame(2)],
        vec![frame(0), frame(3), frame(4), frame(0)],
        vec![],
    ];
    let trace = |stack: u32, size: usize| RawTrace {
        domain: 0,
        address: size * 16,
        size,
        weight: Weight::exact(size),
        stack,
        thread: u64::from(stack),
        when_ns: 1_000_000 * size as u64,
    };
    let raw = RawSnapshot {
        stacks: vec![Box::default(); 3],
        traces: vec![
            trace(0, 10),
            trace(0, 20),
            trace(1, 300),
            trace(1, 1),
            trace(2, 4000),
        ],
        elapsed_ns: 5_000_000_000,
        ..RawSnapshot::default()
    };
    Snapshot::from(raw).with_tracebacks(tracebacks)
}

const SIZE: u64 = 10 + 20 + 300 + 1 + 4000;
const COUNT: u64 = 5;

fn text(snapshot: &Snapshot, format: Format) -> String {
    String::from_utf8(bytes(snapshot, format)).unwrap()
}

fn bytes(snapshot: &Snapshot, format: Format) -> Vec<u8> {
    let mut bytes = Vec::new();
    snapshot.export(format, &mut bytes).unwrap();
    bytes
}

fn json(snapshot: &Snapshot, format: Format) -> Value {
    serde_json::from_slice(&bytes(snapshot, format)).unwrap()
}

fn sum<'a>(values: impl IntoIterator<Item = &'a Value>, key: &str) -> u64 {
    values.into_iter().map(|v| v[key].as_u64().unwrap()).sum()
}

#[test]
fn pprof_is_decoded_by_the_numbers_of_profile_proto() {
    let snapshot = hostile();
    let mut decoded = Vec::new();
    flate2::read::GzDecoder::new(&bytes(&snapshot, Format::Pprof)[..])
        .read_to_end(&mut decoded)
        .unwrap();
    let profile = Message::parse(&decoded);
    let strings: Vec<&str> = profile
        .all(6)
        .map(|s| std::str::from_utf8(s).unwrap())
        .collect();
    assert_eq!(strings[0], "");
    let string = |message: &Message<'_>, field| strings[message.number(field) as usize];
    let types: Vec<_> = profile
        .messages(1)
        .map(|t| (string(&t, 1), string(&t, 2)))
        .collect();
    assert_eq!(
        types,
        [("inuse_objects", "count"), ("inuse_space", "bytes")]
    );
    assert_eq!(string(&profile, 14), "inuse_space");

    let functions: Vec<_> = profile.messages(5).collect();
    let locations: Vec<_> = profile.messages(4).collect();
    for (i, location) in locations.iter().enumerate() {
        assert_eq!(location.number(1), i as u64 + 1);
    }
    let mut stacks = Vec::new();
    let mut values = [0, 0];
    for sample in profile.messages(2) {
        let value = sample.packed(2);
        values[0] += value[0];
        values[1] += value[1];
        let names = sample.packed(1).into_iter().map(|id| {
            let line = locations[id as usize - 1].messages(4).next().unwrap();
            let function = &functions[line.number(1) as usize - 1];
            assert_eq!(function.number(1), line.number(1));
            (string(function, 2), string(function, 4), line.number(2))
        });
        stacks.push(names.collect::<Vec<_>>());
    }
    assert_eq!(values, [COUNT, SIZE]);
    assert_eq!(stacks.len(), 3);
    // The most recent call comes first.
    for (stack, names) in stacks.iter().enumerate() {
        let trace = snapshot
            .traces()
            .iter()
            .find(|t| t.thread() == stack as u64);
        let traceback = trace.unwrap().traceback();
        let expected: Vec<_> = traceback.iter().rev().collect();
        assert_eq!(names.len(), expected.len());
        for (name, frame) in names.iter().zip(expected) {
            let file = frame.filename().replace("<unknown>", "");
            assert_eq!((name.1, name.2), (&*file, u64::from(frame.lineno())));
            if !frame.function().is_empty() {
                assert_eq!(name.0, frame.function());
            }
        }
    }
}

#[test]
fn folded_lines_have_a_stack_and_bytes() {
    let folded = text(&hostile(), Format::Folded);
    let lines: Vec<(&str, u64)> = folded
        .lines()
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(stack, bytes)| (stack, bytes.parse().unwrap()))
        .collect();
    assert_eq!(lines.iter().map(|line| line.1).sum::<u64>(), SIZE);
    let depths: Vec<usize> = lines.iter().map(|line| line.0.split(';').count()).collect();
    assert_eq!(depths, [3, 4, 1]);
}

#[test]
fn the_flame_graph_is_well_formed() {
    let svg = text(&hostile(), Format::Flamegraph);
    let mut reader = quick_xml::Reader::from_str(&svg);
    let mut titles = 0;
    loop {
        match reader.read_event().unwrap() {
            quick_xml::events::Event::Eof => break,
            quick_xml::events::Event::Start(tag) if tag.name().as_ref() == b"title" => titles += 1,
            _ => {}
        }
    }
    assert!(titles >= 7, "{titles} frames");
    assert!(!svg.contains("<script>alert"));
    text(&Snapshot::from(RawSnapshot::default()), Format::Flamegraph);
}

#[test]
fn a_flame_graph_has_room_for_any_size_and_any_name() {
    let trace = |stack: u32| RawTrace {
        domain: 0,
        address: 16,
        size: usize::MAX,
        weight: Weight::exact(usize::MAX),
        stack,
        thread: 1,
        when_ns: 0,
    };
    let raw = RawSnapshot {
        stacks: vec![Box::default(); 3],
        traces: vec![trace(0), trace(1), trace(2)],
        ..RawSnapshot::default()
    };
    let frames = |name: &str| vec![Frame::new("a.c", 1, "main"), Frame::new("a.c", 2, name)];
    let names = ["leaf 123", "leaf 4.5", "leaf"];
    let snapshot = Snapshot::from(raw).with_tracebacks(names.map(frames).to_vec());
    let svg = text(&snapshot, Format::Flamegraph);
    // A second column would be a difference.
    for name in ["leaf\u{a0}123", "leaf\u{a0}4.5", "leaf"] {
        let title = format!("<title>{name} (2,305,843,009,213,693,952 times 8 bytes, 33.33%)");
        assert!(svg.contains(&title), "{svg}");
    }
}

#[test]
fn dhat_has_what_its_viewer_checks() {
    let dhat = json(&hostile(), Format::Dhat);
    for field in [
        "mode", "verb", "bklt", "bkacc", "tu", "Mtu", "cmd", "pid", "te", "tg", "tuth",
    ] {
        assert!(!dhat[field].is_null(), "{field}");
    }
    assert_eq!(dhat["dhatFileVersion"], 2);
    let table = dhat["ftbl"].as_array().unwrap();
    assert_eq!(table[0], "[root]");
    let points = dhat["pps"].as_array().unwrap();
    let mut stacks = HashSet::new();
    for point in points {
        let frames = point["fs"].as_array().unwrap();
        assert!(!frames.is_empty());
        assert!(
            frames
                .iter()
                .all(|f| (f.as_u64().unwrap() as usize) < table.len())
        );
        assert!(stacks.insert(frames.clone()), "a point occurs twice");
    }
    for (bytes, blocks) in [("tb", "tbk"), ("eb", "ebk"), ("gb", "gbk"), ("mb", "mbk")] {
        assert_eq!((sum(points, bytes), sum(points, blocks)), (SIZE, COUNT));
    }
    let ages_us = (0..5).map(|_| 5_000_000).sum::<u64>() - SIZE * 1000;
    assert_eq!(sum(points, "tl"), ages_us);
}

#[test]
fn speedscope_has_a_weight_for_each_stack() {
    let document = json(&hostile(), Format::Speedscope);
    let frames = document["shared"]["frames"].as_array().unwrap();
    let profiles = document["profiles"].as_array().unwrap();
    let totals = [SIZE, COUNT];
    for (profile, total) in profiles.iter().zip(totals) {
        let weights = profile["weights"].as_array().unwrap();
        let samples = profile["samples"].as_array().unwrap();
        assert_eq!(samples.len(), weights.len());
        assert_eq!(
            weights.iter().map(|w| w.as_u64().unwrap()).sum::<u64>(),
            total
        );
        assert_eq!(profile["endValue"], total);
        let indices = samples.iter().flat_map(|s| s.as_array().unwrap());
        assert!(indices.clone().count() == 8);
        assert!(
            indices
                .into_iter()
                .all(|i| (i.as_u64().unwrap() as usize) < frames.len())
        );
    }
}

#[test]
fn a_block_without_a_stack_is_somewhere_unknown() {
    let snapshot = hostile();
    for key in [KeyType::Lineno, KeyType::Filename, KeyType::Traceback] {
        let statistics = snapshot.statistics(key, false);
        let unknown = "<unknown>:0: size=4000 B, count=1, average=4000 B";
        assert_eq!(statistics[0].to_string(), unknown);
    }
    let known = snapshot.filter_traces([Filter::new(false, "<unknown>")]);
    assert_eq!(known.traces().len(), 4);
}

#[test]
fn csv_is_read_back() {
    let csv = bytes(&hostile(), Format::Csv);
    let mut reader = csv::Reader::from_reader(&csv[..]);
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let column = |i: usize| rows.iter().map(move |row| row[i].parse::<u64>().unwrap());
    assert_eq!(column(0).sum::<u64>(), SIZE);
    assert_eq!(column(1).sum::<u64>(), COUNT);
    assert_eq!(&rows[0][6], NAMES[3]);
    assert_eq!(&rows[1][4], format!("src/{}", NAMES[0]));
}

/// The sums and the indices of a document.
fn check_json(document: &Value, snapshot: &Snapshot) {
    let array = |key: &str| document[key].as_array().unwrap();
    let traceback = snapshot.statistics(KeyType::Traceback, false);
    let expected: u64 = traceback.iter().map(|s| s.size).sum();
    let stacks = array("stacks");
    // Rounded once a stack, and once a traceback.
    assert!(sum(stacks, "size").abs_diff(expected) <= stacks.len() as u64 + traceback.len() as u64);
    for frame in array("frames") {
        for i in [0, 2, 3] {
            assert!((frame[i].as_u64().unwrap() as usize) < array("names").len());
        }
    }
    for stack in stacks {
        for frame in stack["frames"].as_array().unwrap() {
            assert!((frame.as_u64().unwrap() as usize) < array("frames").len());
        }
        assert_eq!(stack["size_error"].is_null(), snapshot.sampling().is_none());
    }
}

#[test]
fn the_page_holds_the_data_and_no_name_leaves_its_element() {
    let snapshot = hostile();
    let page = text(&snapshot, Format::Html);
    let (_, rest) = page
        .split_once(r#"<script type="application/json" id="data">"#)
        .unwrap();
    let (data, _) = rest.split_once("</script>").unwrap();
    assert!(!data.contains('<'));
    let document: Value = serde_json::from_str(data).unwrap();
    assert_eq!(document, json(&snapshot, Format::Json));
    check_json(&document, &snapshot);
    let names = document["names"].as_array().unwrap();
    let hostile = format!("src/{}", NAMES[0]);
    assert!(names.iter().any(|name| *name == *hostile));
    for fetch in ["src=", "url(", "@import", "<link", "fetch(", "https://"] {
        assert!(!page.replace(data, "").contains(fetch), "{fetch}");
    }
}

#[test]
fn formats_are_known_by_name_and_by_file() {
    for format in Format::ALL {
        assert_eq!(format.name().parse(), Ok(format));
        let file = format!("some.thing.{}", format.extension());
        assert_eq!(Format::of_file_name(&file), Some(format));
    }
    assert_eq!(Format::of_file_name("json"), None);
    let error = "svg2".parse::<Format>().unwrap_err().to_string();
    assert!(error.contains("svg2") && error.contains("flamegraph"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn any_snapshot_can_be_exported(raw in sample::raw()) {
        let tracebacks = sample::tracebacks(raw.stacks.len());
        let snapshot = Snapshot::from(raw).with_tracebacks(tracebacks);
        for format in Format::ALL {
            prop_assert!(!bytes(&snapshot, format).is_empty() || snapshot.traces().is_empty());
        }
        check_json(&json(&snapshot, Format::Json), &snapshot);
    }
}
