//! "Get the traceback of a memory block", from the documentation of Python's `tracemalloc`.

#[global_allocator]
static GLOBAL: pymalloc::PyMalloc = pymalloc::PyMalloc;

mod application;

use tracemalloc::KeyType;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Store 25 frames
    tracemalloc::start(25)?;

    let application = application::run();

    let snapshot = tracemalloc::take_snapshot()?;
    let top_stats = snapshot.statistics(KeyType::Traceback, false);

    // pick the biggest memory block
    let stat = &top_stats[0];
    println!(
        "{} memory blocks: {:.1} KiB",
        stat.count,
        stat.size as f64 / 1024.0
    );
    for line in stat.traceback.format(None, false) {
        println!("{line}");
    }
    drop(application);
    Ok(())
}
