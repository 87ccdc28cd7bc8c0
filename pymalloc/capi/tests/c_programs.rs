//! Runs the C and C++ programs of `tests/c` on the library: linked to the archive, on the
//! shared library, and on the C library's own malloc, which must do what they ask for too.

mod support;

use std::os::unix::process::ExitStatusExt;

use support::{Malloc, Program, module, shared_library};

const EVERY: [Malloc; 4] = [
    Malloc::System,
    Malloc::DebugArchive,
    Malloc::Archive,
    Malloc::Preloaded,
];
const OURS: [Malloc; 3] = [Malloc::DebugArchive, Malloc::Archive, Malloc::Preloaded];

fn on_every_malloc(file: &str) {
    for malloc in EVERY {
        Program::of(file, malloc).succeeds();
    }
}

#[test]
fn malloc_calloc_realloc_and_free_do_what_the_standards_say() {
    on_every_malloc("malloc.c");
}

#[test]
fn aligned_blocks_are_aligned_and_bad_alignments_refused() {
    on_every_malloc("aligned.c");
}

#[test]
fn sizes_and_statistics_are_the_heaps() {
    on_every_malloc("inspect.c");
}

#[test]
fn what_the_c_library_allocates_is_ours() {
    on_every_malloc("library_strings.c");
}

#[test]
fn one_name_of_the_archive_brings_all() {
    on_every_malloc("one_function.c");
}

#[test]
fn constructors_destructors_handlers_and_keys_may_allocate() {
    on_every_malloc("early_and_late.c");
}

#[test]
fn threads_pass_blocks_on_and_forks_survive() {
    on_every_malloc("threads.c");
}

#[test]
fn forks_pass_threads_that_are_inside_stdio() {
    for malloc in EVERY {
        let program = Program::of("fork_stdio.c", malloc);
        program.succeeds();
        program.arg("cookie").succeeds();
    }
}

/// Where the archive is linked, such handlers run with everything locked: README, Limits.
#[test]
fn handlers_for_forks_of_a_linked_library_may_allocate() {
    let library = module("handlers.c");
    for malloc in [Malloc::System, Malloc::Preloaded] {
        Program::linked("fork_handlers.c", malloc, std::slice::from_ref(&library)).succeeds();
    }
}

#[test]
fn detached_threads_leave_nothing_behind() {
    on_every_malloc("detached.c");
}

#[test]
fn a_thread_exits_after_dlclose() {
    Program::of("unload.c", Malloc::System)
        .arg(shared_library())
        .env("GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=16384")
        .succeeds();
}

#[test]
fn operators_new_and_delete_in_every_form() {
    on_every_malloc("operators.cpp");
}

#[test]
fn a_handler_that_throws_from_a_nothrow_new_ends_the_process() {
    for malloc in OURS {
        let output = Program::of("throwing_handler.cpp", malloc).run();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(6), "{malloc:?}: {said}");
        assert!(
            said.starts_with("pymalloc: operator new: a new-handler has thrown"),
            "{malloc:?}: {said}"
        );
    }
}

#[test]
fn modules_with_thread_local_memory_come_and_go() {
    let module = module("module.c");
    for malloc in EVERY {
        Program::of("load.c", malloc).arg(&module).succeeds();
    }
}

#[test]
fn a_cxx_library_that_comes_later_can_catch_bad_alloc() {
    let module = module("late_library.cpp");
    for malloc in EVERY {
        Program::of("late_cxx.c", malloc).arg(&module).succeeds();
    }
}

#[test]
fn thread_local_memory_is_found_without_a_call() {
    for malloc in OURS {
        Program::of("initial_exec.c", malloc).succeeds();
    }
}

/// Those but the one that asks that a block stays where it is: a resized one always moves.
#[test]
fn sound_programs_run_under_the_debug_hooks() {
    for file in [
        "malloc.c",
        "aligned.c",
        "library_strings.c",
        "early_and_late.c",
        "operators.cpp",
    ] {
        // As released: the hooks look at every byte, which a debug build does slowly.
        let program = Program::of(file, Malloc::Preloaded).env("PYMALLOC", "debug");
        let output = program.succeeds();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("pymalloc:"), "{file}: {said}");
    }
}

/// Its first block is wanted before the C library knows the environment.
#[test]
fn the_debug_hooks_are_on_from_the_very_first_block() {
    for malloc in OURS {
        let program = Program::of("early_and_late.c", malloc).env("PYMALLOC", "debug");
        let output = program.arg("overflow").run();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(6), "{malloc:?}: {said}");
        assert!(said.contains("overflow"), "{malloc:?}: {said}");
    }
}

#[test]
fn a_variable_that_was_read_too_late_is_said_to_have_no_effect() {
    on_every_malloc("early_variable.c");
    // The shared library is initialised before anything wants a block.
    for malloc in [Malloc::DebugArchive, Malloc::Archive] {
        for (value, lines) in [("debug", 1), ("default", 0)] {
            let program = Program::of("early_variable.c", malloc).env("PYMALLOC", value);
            let output = program.succeeds();
            let said = String::from_utf8_lossy(&output.stderr);
            let found = said.matches("pymalloc: PYMALLOC has no effect").count();
            assert_eq!(
                [found, said.lines().count()],
                [lines; 2],
                "{malloc:?}: {said}"
            );
        }
    }
}

/// The write of a report is where a thread would be cancelled.
#[test]
fn a_thread_that_was_cancelled_reports_all_the_same() {
    for malloc in OURS {
        let program = Program::of("cancel.c", malloc);
        let with_hooks = program.clone().env("PYMALLOC", "debug");
        for (program, way, expected) in [
            (&program, "foreign", "pymalloc: free(0x"),
            (&with_hooks, "double free", "pymalloc: double free"),
        ] {
            let output = program.clone().arg(way).run();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.signal(), Some(6), "{malloc:?}, {way}: {said}");
            assert!(said.contains(expected), "{malloc:?}, {way}: {said}");
        }
        with_hooks.arg("second").succeeds();
        let output = program.arg("stats").succeeds();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("# bytes resident, estimated"), "{said}");
        assert!(output.stdout.starts_with(b"went on\n"), "{malloc:?}");
    }
}

#[test]
fn a_free_of_what_is_no_block_is_reported_and_ends_the_process() {
    let ways = [
        ("stack", "free"),
        ("data", "free"),
        ("mapping", "free"),
        ("unaligned", "free"),
        ("inside-large", "free"),
        ("header", "free"),
        ("region", "free"),
        ("wild", "free"),
        ("twice-large", "free"),
        ("realloc", "realloc"),
        ("realloc-unaligned", "realloc"),
    ];
    for malloc in OURS {
        let program = Program::of("misuse.c", malloc);
        for (way, function) in ways {
            let output = program.clone().arg(way).run();
            let said = String::from_utf8_lossy(&output.stderr);
            let line = format!("pymalloc: {function}(0x");
            assert_eq!(output.status.signal(), Some(6), "{malloc:?}, {way}: {said}");
            assert!(
                said.starts_with(&line) && said.contains("not a block of this allocator"),
                "{malloc:?}, {way}: {said}"
            );
        }
        let output = program.arg("no way").run();
        assert_eq!(output.stdout, b"went on\n");
    }
}

#[test]
fn variables_of_the_environment_are_read() {
    for malloc in OURS {
        let program = Program::of("one_function.c", malloc).env("PYMALLOC_STATS", "1");
        let output = program.succeeds();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains("# arenas allocated current"),
            "{malloc:?}: {said}"
        );
    }
}
