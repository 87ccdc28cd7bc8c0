//! Records a program for a second, threads included, and writes two files: `memory.tmal`, for the
//! command-line tool, and `memory.html`, to look at.

#[global_allocator]
static GLOBAL: pymalloc::PyMalloc = pymalloc::PyMalloc;

mod application;

use std::thread;
use std::time::Duration;

use tracemalloc::{Format, Timeline};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracemalloc::start(64)?;
    let timeline = Timeline::start(Duration::from_millis(5))?;

    let loader = thread::Builder::new().name("loader".to_owned());
    let loader = loader.spawn(application::run)?;
    let mut application = application::run();
    for _ in 0..40 {
        application.leak();
        application.forget();
        thread::sleep(Duration::from_millis(25));
    }
    let loaded = loader.join().expect("loading does not panic");

    // Before the snapshot, which takes memory itself.
    let points = timeline.stop();
    let snapshot = tracemalloc::take_snapshot()?.with_timeline(points);
    snapshot.dump("memory.tmal")?;
    snapshot.export(Format::Html, std::fs::File::create("memory.html")?)?;
    println!("wrote memory.tmal and memory.html");
    drop((application, loaded));
    Ok(())
}
