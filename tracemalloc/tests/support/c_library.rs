//! Libraries of C that tests load and close, and waits that end.

use std::ffi::CString;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

/// Compiles a library; its path, for the test to remove.
pub(crate) fn compile(name: &str, code: &str) -> CString {
    let stem = env::temp_dir().join(format!("tracemalloc-{name}-{}", std::process::id()));
    let (source, object) = (stem.with_extension("c"), stem.with_extension("so"));
    fs::write(&source, code).unwrap();
    let mut compiler = Command::new("cc");
    compiler
        .args(["-shared", "-fPIC", "-o"])
        .arg(&object)
        .arg(&source);
    assert!(compiler.status().unwrap().success());
    fs::remove_file(source).unwrap();
    CString::new(object.into_os_string().into_encoded_bytes()).unwrap()
}

/// Waits until something is so, for a minute at most.
pub(crate) fn wait_until(is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(60), "it never is");
        thread::yield_now();
    }
}
