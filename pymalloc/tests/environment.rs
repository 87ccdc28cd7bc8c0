//! The environment's word counts, and a bad word is answered once and
//! clearly: each test runs this binary again under `PyMalloc` with variables
//! set, and reads its stderr.

mod support;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use pymalloc::PyMalloc;
use support::{Child, in_child};

#[global_allocator]
static GLOBAL: PyMalloc = PyMalloc;

/// Whether a freed large block stays mapped.
fn keeps_large_blocks() -> bool {
    drop(vec![1_u8; 1 << 20]);
    pymalloc::stats().bytes_large_cached > 0
}

/// What a child does: a little of everything, on two threads.
fn live() {
    let words: Vec<String> = (0..1_000).map(|i| i.to_string()).collect();
    let large = std::thread::spawn(|| vec![1_u8; 1 << 20])
        .join()
        .expect("it only allocates");
    assert_eq!(words.len() + large.len(), 1_000 + (1 << 20));
}

/// What a child with this variable says on stderr.
#[track_caller]
fn stderr_with(test: &str, key: &str, value: impl AsRef<OsStr>) -> String {
    Child::of(test, "child").env(key, value).stderr()
}

/// Runs `parent`, or, in the child that the parent runs, `live`.
fn as_parent(test: &str, parent: impl FnOnce(&str)) {
    if in_child(test).is_some() {
        live();
    } else {
        parent(test);
    }
}

#[track_caller]
fn assert_one_line_names(said: &str, key: &str, value: &str) {
    assert_eq!(said.lines().count(), 1, "not one line: {said:?}");
    assert!(said.ends_with('\n'), "half a line: {said:?}");
    for part in ["pymalloc", key, value] {
        assert!(said.contains(part), "{part:?} is not in {said:?}");
    }
}

#[test]
fn nothing_is_said_unasked() {
    as_parent("nothing_is_said_unasked", |test| {
        assert_eq!(Child::of(test, "child").stderr(), "");
    });
}

#[test]
fn stats_1_prints_the_table_at_exit() {
    as_parent("stats_1_prints_the_table_at_exit", |test| {
        let said = stderr_with(test, "PYMALLOC_STATS", "1");
        for line in [
            "class   size   num pools   blocks in use  avail blocks",
            "# arenas allocated total           =",
            "# arenas allocated current         =",
            "# bytes in allocated blocks        =",
        ] {
            assert_eq!(said.matches(line).count(), 1, "{line:?} in {said}");
        }
    });
}

#[test]
fn stats_0_and_empty_print_nothing() {
    as_parent("stats_0_and_empty_print_nothing", |test| {
        assert_eq!(stderr_with(test, "PYMALLOC_STATS", "0"), "");
        assert_eq!(stderr_with(test, "PYMALLOC_STATS", ""), "");
    });
}

#[test]
fn a_bad_value_of_stats_is_one_clear_line() {
    as_parent("a_bad_value_of_stats_is_one_clear_line", |test| {
        for bad in [
            "bogus",
            "-1",
            "11",
            " 1",
            "1 ",
            "99999999999999999999999",
            "1x",
        ] {
            let said = stderr_with(test, "PYMALLOC_STATS", bad);
            assert_one_line_names(&said, "PYMALLOC_STATS", bad);
        }
    });
}

#[test]
fn a_value_that_is_no_text_is_one_line_too() {
    as_parent("a_value_that_is_no_text_is_one_line_too", |test| {
        for bad in [&b"\xff\xfe"[..], b"1\n2", b"\x1b[31m"] {
            let said = stderr_with(test, "PYMALLOC_STATS", OsStr::from_bytes(bad));
            assert_one_line_names(&said, "PYMALLOC_STATS", "");
            assert!(!said.contains('\x1b'), "an escape gets through: {said:?}");
        }
    });
}

#[test]
fn a_very_long_value_is_one_line() {
    as_parent("a_very_long_value_is_one_line", |test| {
        let said = stderr_with(test, "PYMALLOC_STATS", "y".repeat(60_000));
        assert_one_line_names(&said, "PYMALLOC_STATS", "yyyy");
    });
}

#[test]
fn a_bad_large_cache_is_one_line_and_the_default() {
    const TEST: &str = "a_bad_large_cache_is_one_line_and_the_default";
    const KEY: &str = "PYMALLOC_LARGE_CACHE";
    if in_child(TEST).is_some() {
        assert!(keeps_large_blocks());
        return;
    }
    for bad in [
        "",
        "many",
        "-1",
        "1t",
        "16mm",
        "0x10",
        "99999999999999999999g",
    ] {
        let said = stderr_with(TEST, KEY, bad);
        assert_one_line_names(&said, KEY, bad);
    }
    for good in ["16m", "2097152", "2048K", "1g"] {
        assert_eq!(stderr_with(TEST, KEY, good), "", "{good:?} is a good value");
    }
}

#[test]
fn a_large_cache_of_0_keeps_nothing() {
    const TEST: &str = "a_large_cache_of_0_keeps_nothing";
    if in_child(TEST).is_some() {
        assert!(!keeps_large_blocks());
        return;
    }
    assert_eq!(stderr_with(TEST, "PYMALLOC_LARGE_CACHE", "0"), "");
}

#[test]
fn the_table_comes_also_while_threads_still_run() {
    const TEST: &str = "the_table_comes_also_while_threads_still_run";
    if in_child(TEST).is_some() {
        let (started, has_started) = std::sync::mpsc::channel();
        for _ in 0..2 {
            let started = started.clone();
            std::thread::spawn(move || {
                for len in (1..70_000).cycle() {
                    let block = vec![1_u8; len];
                    // The process goes before this thread does.
                    let _ = started.send(block[0]);
                }
            });
        }
        let first: Vec<u8> = has_started.iter().take(1_000).collect();
        assert_eq!(first, [1; 1_000]);
        return;
    }
    for _ in 0..10 {
        let said = stderr_with(TEST, "PYMALLOC_STATS", "1");
        assert_eq!(
            said.matches("# arenas allocated total").count(),
            1,
            "{said}"
        );
    }
}
