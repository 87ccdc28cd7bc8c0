//! Names of real addresses: lines, inlined calls, debug information elsewhere.

mod support;

use std::process::Command;

use support::{Recorder, record};
use tracemalloc::snapshot::Module;
use tracemalloc::symbols::Resolver;
use tracemalloc::{FunctionFilter, KeyType, RawSnapshot, Snapshot};

#[global_allocator]
static GLOBAL: Recorder = Recorder;

const LINE: u32 = line!() + 5;

#[inline(never)]
fn outer(n: usize) -> Vec<Vec<u8>> {
    // Not the last thing done, so that it is a call and the frame stays.
    std::hint::black_box((0..n).map(inner).collect())
}

#[inline(always)]
fn inner(i: usize) -> Vec<u8> {
    std::hint::black_box(Vec::with_capacity(100 + i))
}

fn recorded() -> RawSnapshot {
    let (_kept, raw) = record(|| outer(10));
    assert!(raw.traces.len() >= 11, "{} blocks", raw.traces.len());
    raw
}

/// Without what other tests allocate at the same time.
fn own(snapshot: Snapshot) -> Snapshot {
    snapshot.filter_traces([FunctionFilter::new(true, "symbols::outer*")])
}

#[test]
fn a_block_is_put_down_to_its_line_with_inlined_calls_expanded() {
    let snapshot = own(Snapshot::from(recorded()));
    let file = file!().rsplit('/').next().unwrap();
    let statistics = snapshot.statistics(KeyType::Lineno, false);
    let top = statistics
        .iter()
        .find(|s| s.count == 10)
        .unwrap_or_else(|| panic!("{statistics:#?}"));
    let frame = &top.traceback[0];
    assert!(frame.filename().ends_with(file), "{frame:?}");
    assert_eq!(frame.lineno(), LINE + 5);
    assert_eq!(top.size, (100..110).sum::<u64>());
    let traces = snapshot.traces();
    let trace = traces.iter().find(|t| t.size() == 105).unwrap();
    let names: Vec<String> = trace
        .traceback()
        .iter()
        .map(|f| f.function().to_owned())
        .collect();
    let place = |name: &str| names.iter().position(|n| n.ends_with(name));
    let outer = place("symbols::outer").unwrap_or_else(|| panic!("{names:#?}"));
    let inner = place("symbols::inner").unwrap_or_else(|| panic!("{names:#?}"));
    assert!(outer < inner && inner + 1 == names.len(), "{names:#?}");
}

#[test]
fn the_crate_and_the_function_are_known() {
    let snapshot = own(Snapshot::from(recorded()));
    let names = |key| -> Vec<String> {
        let statistics = snapshot.statistics(key, true);
        statistics.iter().map(|s| s.traceback.to_string()).collect()
    };
    assert!(names(KeyType::Crate).contains(&"symbols".to_owned()));
    assert!(names(KeyType::Function).contains(&"symbols::outer".to_owned()));
}

/// With the debug information cut off into a file of its own, found by build-id.
#[test]
fn debug_information_apart_is_found_by_build_id() {
    let dir = std::env::temp_dir().join(format!("tracemalloc-symbols-{}", std::process::id()));
    let executable = std::env::current_exe().unwrap();
    let id: String = support::build_id(executable.to_str().unwrap())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert!(id.len() > 8, "the test has no build-id");
    let id_dir = dir.join(".build-id").join(&id[..2]);
    std::fs::create_dir_all(&id_dir).unwrap();
    let debug = id_dir.join(format!("{}.debug", &id[2..]));
    let objcopy = |arguments: &[&str], to: &std::path::Path| {
        let status = Command::new("objcopy")
            .args(arguments)
            .arg(&executable)
            .arg(to)
            .status()
            .expect("binutils is installed");
        assert!(status.success());
    };
    objcopy(&["--only-keep-debug"], &debug);
    let stripped = dir.join("stripped");
    objcopy(&["--strip-all"], &stripped);

    let mut raw = recorded();
    raw.modules[0].path = stripped.to_str().unwrap().to_owned();
    let line = |resolver: &Resolver| {
        let snapshot = Snapshot::from(raw.clone());
        let missing = snapshot.resolve(resolver, &mut ());
        let snapshot = own(snapshot);
        let statistics = snapshot.statistics(KeyType::Lineno, false);
        let found = statistics
            .iter()
            .find(|s| s.count == 10)
            .map(|s| s.traceback[0].lineno());
        (found, missing)
    };
    let (found, missing) = line(&Resolver::new().search(&dir));
    assert_eq!((found, &*missing), (Some(LINE + 5), &[][..]));
    let (found, missing) = line(&Resolver::new());
    assert_ne!(found, Some(LINE + 5));
    assert!(missing[0].contains("no debug information"), "{missing:?}");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn an_address_in_no_module_is_itself() {
    let raw = RawSnapshot {
        stacks: vec![Box::new([0x1234])],
        modules: vec![Module {
            path: "/nowhere/program".to_owned(),
            build_id: vec![1],
            base: 0x10000,
            range: 0x10000..0x20000,
        }],
        traces: vec![tracemalloc::snapshot::RawTrace {
            domain: 0,
            address: 8,
            size: 1,
            weight: tracemalloc::snapshot::Weight::exact(1),
            stack: 0,
            thread: 1,
            when_ns: 0,
        }],
        ..RawSnapshot::default()
    };
    let snapshot = Snapshot::from(raw);
    let statistics = snapshot.statistics(KeyType::Lineno, false);
    assert_eq!(
        statistics[0].to_string(),
        "0x1234: size=1 B, count=1, average=1 B"
    );
}
