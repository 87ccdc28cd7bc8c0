//! A program that goes on for ten minutes, to be looked at meanwhile.
//!
//! ```console
//! $ cargo run -p tracemalloc --example live -- /tmp/memory.tmal
//! $ cargo run -p tracemalloc -- live /tmp/memory.tmal
//! ```
//! The second in another terminal.

#[global_allocator]
static GLOBAL: pymalloc::PyMalloc = pymalloc::PyMalloc;

mod application;

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use tracemalloc::Dumper;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args_os()
        .nth(1)
        .map_or_else(|| PathBuf::from("memory.tmal"), PathBuf::from);
    tracemalloc::start(25)?;
    let _dumper = Dumper::start(&file, Duration::from_secs(1))?;
    println!("writing {} every second", file.display());
    let mut application = application::run();
    for _ in 0..600 {
        application.leak();
        application.forget();
        thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}
