//! `tracing-cost THREADS DOCUMENTS [MODE OUTPUT]`: a program that allocates much, with the allocator
//! and the tracer that it was built with.
//!
//! With a MODE, which the [tracers] explain, it is traced, and what was found is in OUTPUT when the
//! program ends. Prints the most memory that was resident. `rivals.py` builds and runs them all.

mod tracers;
mod work;

use std::env;
use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::path::Path;

use tracers::Tracer;

/// The kernel's high water mark, in KiB.
fn peak_kib() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|peak| peak.split_whitespace().next());
    Ok(peak.ok_or("the system tells of no VmHWM")?.parse()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (threads, documents, traced) = match arguments.as_slice() {
        [threads, documents] => (threads, documents, None),
        [threads, documents, mode, output] => (threads, documents, Some((mode, Path::new(output)))),
        _ => return Err("Usage: tracing-cost THREADS DOCUMENTS [MODE OUTPUT]".into()),
    };
    let (threads, documents) = (threads.parse()?, documents.parse()?);

    let tracer = traced
        .map(|(mode, output)| Tracer::start(mode, output))
        .transpose()?;
    let kept = work::run(threads, documents);
    if let Some(tracer) = tracer {
        tracer.finish()?;
    }
    black_box(kept);
    println!("peak {} KiB", peak_kib()?);
    Ok(())
}
