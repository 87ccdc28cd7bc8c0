//! Counts what pieces of code allocate, as a test would.

use pymalloc::PyMalloc;
use tracemalloc::{Counted, NotCounted, Region, measure};

#[global_allocator]
static GLOBAL: Counted<PyMalloc> = Counted(PyMalloc);

fn main() -> Result<(), NotCounted> {
    let words = ["a", "few", "words"];
    let (joined, usage) = measure(|| words.join(" "))?;
    println!("join: {usage}");
    assert_eq!((joined.len(), usage.allocations), (11, 1));

    let (text, usage) = measure(|| {
        let mut text = String::new();
        for number in 0..1000 {
            text += &format!("{number},");
        }
        text
    })?;
    println!("format: {usage}");
    assert_eq!(usage.live_bytes(), text.capacity() as i64);

    let region = Region::new()?;
    let mut buffer = Vec::with_capacity(1000);
    let ((), usage) = measure(|| buffer.extend(0..1000_u64))?;
    println!("extend: {usage}");
    assert!(usage.is_empty());
    println!("both: {}", region.usage());
    Ok(())
}
