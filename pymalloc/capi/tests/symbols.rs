//! What the libraries define: the names of C and C++ that they stand for, and no more.

mod support;

use std::process::Command;

use support::{archive, shared_library, succeed};

const NAMES: &str = "
    malloc calloc realloc reallocarray free free_sized free_aligned_sized
    aligned_alloc memalign posix_memalign valloc pvalloc
    malloc_usable_size malloc_trim malloc_stats mallinfo mallinfo2
    __libc_malloc __libc_calloc __libc_realloc __libc_free
    __libc_memalign __libc_valloc __libc_pvalloc __posix_memalign
    pymalloc_owns pymalloc_verify_heap
    _Znwm _Znam _ZnwmRKSt9nothrow_t _ZnamRKSt9nothrow_t
    _ZnwmSt11align_val_t _ZnamSt11align_val_t
    _ZnwmSt11align_val_tRKSt9nothrow_t _ZnamSt11align_val_tRKSt9nothrow_t
    _ZdlPv _ZdaPv _ZdlPvm _ZdaPvm _ZdlPvRKSt9nothrow_t _ZdaPvRKSt9nothrow_t
    _ZdlPvSt11align_val_t _ZdaPvSt11align_val_t
    _ZdlPvmSt11align_val_t _ZdaPvmSt11align_val_t
    _ZdlPvSt11align_val_tRKSt9nothrow_t _ZdaPvSt11align_val_tRKSt9nothrow_t
";

fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = NAMES.split_whitespace().collect();
    names.sort_unstable();
    names
}

/// What `nm` prints, as words line by line.
fn nm(options: &[&str], file: &std::path::Path) -> Vec<Vec<String>> {
    let mut command = Command::new("nm");
    command.args(options).arg(file);
    let output = succeed(&mut command, "these tests need nm, of GNU binutils");
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .map(|line| line.split_whitespace().map(str::to_owned).collect())
        .collect()
}

#[test]
fn the_shared_library_exports_these_names_and_no_others() {
    let mut found: Vec<_> = nm(&["--dynamic", "--defined-only"], &shared_library())
        .into_iter()
        .filter_map(|mut line| line.pop())
        .collect();
    found.sort_unstable();
    assert_eq!(found, names());
}

#[test]
fn the_shared_library_calls_no_malloc() {
    for line in nm(&["--dynamic", "--undefined-only"], &shared_library()) {
        let name = line.last().expect("a line has a name");
        let name = name.split('@').next().unwrap_or_default();
        assert!(!names().contains(&name), "{name} is asked for elsewhere");
    }
}

#[test]
fn the_archive_defines_every_name_in_one_object() {
    let mut holders: Vec<(String, String)> = Vec::new();
    for line in nm(&["--print-file-name", "--defined-only"], &archive()) {
        // ARCHIVE:OBJECT:ADDRESS KIND NAME
        let [place, kind, name] = line.as_slice() else {
            continue;
        };
        if names().contains(&name.as_str()) && kind == "T" {
            let object = place.rsplit_once(':').map_or("", |(object, _)| object);
            holders.push((name.clone(), object.to_owned()));
        }
    }
    holders.sort_unstable();
    let found: Vec<_> = holders.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(found, names());
    let first = &holders[0].1;
    assert!(
        holders.iter().all(|(_, object)| object == first),
        "{holders:#?}"
    );
}
