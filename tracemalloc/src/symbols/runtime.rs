//! Which frames belong to the program, and which to the standard library and the allocator.
//!
//! Python's frames are Python's alone: a list that grows is put down to the line that appended.
//! For the same in Rust, what lies between the program and the allocator, and what lies between the
//! system and `main`, is left out at both ends of a traceback.
//!
//! ```text
//!  _start, __libc_start_main, std::rt::lang_start       ─ left out
//!  app::main ── app::load ── Iterator::map ── app::parse  ─ kept, the library's in the middle too
//!  Vec::push, RawVec::grow_one, finish_grow, __rust_alloc ─ left out
//! ```

use std::ops::Range;

use crate::snapshot::Frame;

/// The frames to show, of a stack whose oldest frame comes first: all, if none is the program's.
pub(super) fn own_frames(frames: &[Frame]) -> Range<usize> {
    // What is called by Rust's door to the global allocator is the allocator, whoever wrote it.
    let door = frames.iter().position(is_door);
    let before = &frames[..door.unwrap_or(frames.len())];
    let Some(last) = before.iter().rposition(|frame| !is_runtime(frame)) else {
        return 0..frames.len();
    };
    let first = before
        .iter()
        .position(|frame| !is_runtime(frame))
        .unwrap_or(last);
    first..last + 1
}

/// Whether a frame is `alloc::alloc::alloc`, one of its like, or what they call.
fn is_door(frame: &Frame) -> bool {
    let name = frame.function().rsplit("::").next().unwrap_or_default();
    let is_library_alloc = is_library_file(frame.filename())
        && frame.filename().ends_with("/library/alloc/src/alloc.rs");
    is_library_alloc || ["__rust_alloc", "__rust_alloc_zeroed", "__rust_realloc"].contains(&name)
}

/// Whether a frame is the standard library's, the allocator's, the recorder's or the C start-up's.
fn is_runtime(frame: &Frame) -> bool {
    is_library_file(frame.filename())
        || is_start_file(frame.filename())
        || is_runtime_function(frame.function())
}

/// Whether a file is one of glibc's that call `main` or a thread's function: known where its
/// debug information is installed, by names that differ from version to version.
fn is_start_file(filename: &str) -> bool {
    const FILES: [&str; 5] = [
        "libc-start.c",
        "libc_start_call_main.h",
        "pthread_create.c",
        "clone.S",
        "clone3.S",
    ];
    // Its sources are named relative to where it was built.
    let name = filename.rsplit('/').next().unwrap_or_default();
    FILES.contains(&name) && filename.starts_with('.')
}

/// Whether a file is one that Rust's standard library is built from.
fn is_library_file(filename: &str) -> bool {
    let from_rust = filename.starts_with("/rustc/") || filename.contains("/rustlib/src/rust/");
    (from_rust && filename.contains("/library/")) || filename.starts_with("/rust/deps/")
}

fn is_runtime_function(function: &str) -> bool {
    const CRATES: [&str; 7] = [
        "alloc",
        "core",
        "std",
        "__rustc",
        "pymalloc",
        "hashbrown",
        "tracemalloc::record",
    ];
    const FUNCTIONS: [&str; 25] = [
        "_start",
        "main",
        "__libc_start_main",
        "__libc_start_call_main",
        "__libc_start_main_impl",
        "start_thread",
        "clone",
        "clone3",
        "__clone",
        "__clone3",
        "malloc",
        "calloc",
        "realloc",
        "free",
        "posix_memalign",
        "aligned_alloc",
        "operator new(unsigned long)",
        "operator new[](unsigned long)",
        "__rust_alloc",
        "__rust_realloc",
        "__rust_alloc_zeroed",
        "__rust_try",
        "_rjem_malloc",
        "__rdl_alloc",
        "__rg_alloc",
    ];
    // Whatever allocator it is.
    if function.contains(" as core::alloc::global::GlobalAlloc>::") {
        return true;
    }
    let path = path_of(function);
    let in_crate = |name: &str| {
        path.strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    // What glibc calls its own functions by.
    let bare = function.strip_prefix("__GI_").unwrap_or(function);
    FUNCTIONS.contains(&bare) || (path.contains("::") && CRATES.iter().any(|c| in_crate(c)))
}

/// The path that a function's name begins with: of `<&mut a::B as c::D>::e` that of `a::B`; of
/// `<u8 as c::D>::e`, whose type is of no crate, that of `c::D`.
fn path_of(function: &str) -> &str {
    let mut path = function;
    loop {
        let shorter = path.trim_start_matches(['<', '&', '*', '(', '[', ' ']);
        let shorter = ["mut ", "const ", "dyn ", "impl "]
            .iter()
            .find_map(|word| shorter.strip_prefix(word))
            .unwrap_or(shorter);
        if shorter.len() < path.len() {
            path = shorter;
            continue;
        }
        match path.split_once(" as ") {
            Some((of_no_crate, of_trait)) if !of_no_crate.contains("::") => path = of_trait,
            _ => return path,
        }
    }
}

/// The crate that a frame's code is from: by its file where that is in a registry or the standard
/// library, else by the function's path.
pub(crate) fn crate_of(frame: &Frame) -> &str {
    let file = frame.filename();
    if let Some((_, path)) = file.split_once("/registry/src/") {
        // index.crates.io-6f17d22bba15001f/serde_json-1.0.1/src/de.rs
        if let Some(package) = path.split('/').nth(1) {
            return without_version(package);
        }
    }
    if is_library_file(file) {
        if let Some((_, path)) = file.split_once("/library/") {
            return path.split('/').next().unwrap_or("std");
        }
        if let Some(package) = file.strip_prefix("/rust/deps/") {
            return without_version(package.split('/').next().unwrap_or(package));
        }
    }
    match path_of(frame.function()).split_once("::") {
        Some((name, _)) => name,
        None => "<unknown>",
    }
}

/// `serde_json` of `serde_json-1.0.1`, `a-b` of `a-b-0.1.0-rc.1`.
pub(super) fn without_version(package: &str) -> &str {
    let is_version =
        |(i, _): &(usize, &str)| package[i + 1..].starts_with(|c: char| c.is_ascii_digit());
    match package.match_indices('-').find(is_version) {
        Some((i, _)) => &package[..i],
        None => package,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(filename: &str, function: &str) -> Frame {
        Frame::new(filename, 1, function)
    }

    #[test]
    fn the_library_is_left_out_at_both_ends_and_not_in_between() {
        let frames = [
            frame("./csu/../csu/libc-start.c", "__libc_start_main@@GLIBC_2.34"),
            frame("/rustc/1234/library/std/src/rt.rs", "std::rt::lang_start"),
            frame("src/main.rs", "app::main"),
            frame(
                "/rustc/1234/library/core/src/iter/map.rs",
                "core::iter::map",
            ),
            frame("src/main.rs", "app::parse"),
            frame(
                "/rustc/1234/library/alloc/src/vec/mod.rs",
                "alloc::vec::Vec<T>::push",
            ),
            frame("<unknown>", "__rust_alloc"),
            frame(
                "src/global.rs",
                "<app::Counting as core::alloc::global::GlobalAlloc>::alloc",
            ),
        ];
        assert_eq!(own_frames(&frames), 2..5);
        assert_eq!(own_frames(&frames[..2]), 0..2);
        assert_eq!(own_frames(&[]), 0..0);
    }

    #[test]
    fn behind_the_door_all_is_the_allocator() {
        let frames = [
            frame("src/main.rs", "app::main"),
            frame("src/main.rs", "main::__rust_alloc"),
            frame("src/counting.rs", "counting::alloc"),
        ];
        assert_eq!(own_frames(&frames), 0..1);
    }

    #[test]
    fn a_name_that_only_begins_like_a_crate_is_not_of_it() {
        assert!(!is_runtime_function("stdx::f"));
        assert!(!is_runtime_function("core_graph::f"));
        assert!(is_runtime_function(
            "<&mut dyn core::fmt::Write as core::fmt::Write>::write_str"
        ));
    }

    #[test]
    fn crates_are_known_by_file_and_by_name() {
        let registry = "/home/a/.cargo/registry/src/index.crates.io-6f17d22bba15001f";
        let expect = [
            (
                format!("{registry}/serde_json-1.0.1/src/de.rs"),
                "<T as core::F>::f",
                "serde_json",
            ),
            (format!("{registry}/a-b-0.1.0-rc.1/src/lib.rs"), "", "a-b"),
            (
                "/rustc/12/library/alloc/src/vec.rs".to_owned(),
                "alloc::f",
                "alloc",
            ),
            (
                "src/a.rs".to_owned(),
                "<app::Tree as core::clone::Clone>::clone",
                "app",
            ),
            ("<unknown>".to_owned(), "read", "<unknown>"),
            (
                "<unknown>".to_owned(),
                "<u8 as alloc::vec::spec_from_elem::SpecFromElem>::from_elem",
                "alloc",
            ),
            ("src/a.rs".to_owned(), "<[u8] as app::Parse>::parse", "app"),
            ("src/a.rs".to_owned(), "<(app::A, u8) as core::F>::f", "app"),
        ];
        for (file, function, name) in expect {
            assert_eq!(crate_of(&frame(&file, function)), name);
        }
    }
}
