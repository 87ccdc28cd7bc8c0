//! Where no allocator counts for a thread, a table is of traced blocks, or of resident memory.

use std::alloc::System;
use std::hint::black_box;
use std::sync::Mutex;

use tracemalloc::{Traced, profile};

#[global_allocator]
static GLOBAL: Traced<System> = Traced(System);

static TABLES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

const BYTES: usize = 64 << 20;

#[profile(stream = TABLES.lock().unwrap())]
fn fills() -> usize {
    let filled = black_box(vec![1_u8; BYTES]);
    filled.len()
} // fills

/// What it prints, and the increment in MiB of the line that ends so.
fn table(end: &str) -> (String, f64) {
    TABLES.lock().unwrap().clear();
    assert_eq!(fills(), BYTES);
    let text = String::from_utf8(TABLES.lock().unwrap().clone()).unwrap();
    let line = text.lines().find(|line| line.ends_with(end)).unwrap();
    let size = line[20..32].trim().strip_suffix(" MiB");
    let size = size.unwrap_or_else(|| panic!("{text}"));
    (text.clone(), size.parse().unwrap())
}

#[test]
fn memory_is_resident_until_blocks_are_traced() {
    let (text, size) = table("vec![1_u8; BYTES]);");
    assert!(text.contains("\nMemory: resident (rss)\n"), "{text}");
    // The system's sums lag behind a little.
    assert!((60.0..68.0).contains(&size), "{text}");

    tracemalloc::start(1).unwrap();
    let (text, size) = table("vec![1_u8; BYTES]);");
    assert!(text.contains("\nMemory: traced blocks of the process\n"));
    assert!((64.0..65.0).contains(&size), "{text}");
    let (text, size) = table("} // fills");
    assert!((-65.0..=-63.9).contains(&size), "{text}");
    tracemalloc::stop();
}
