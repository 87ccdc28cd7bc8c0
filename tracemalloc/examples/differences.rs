//! "Compute differences", from the documentation of Python's `tracemalloc`.

#[global_allocator]
static GLOBAL: pymalloc::PyMalloc = pymalloc::PyMalloc;

mod application;

use tracemalloc::KeyType;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracemalloc::start(25)?;
    let mut application = application::run();

    let snapshot1 = tracemalloc::take_snapshot()?;
    application.leak();
    let snapshot2 = tracemalloc::take_snapshot()?;

    let top_stats = snapshot2.compare_to(&snapshot1, KeyType::Lineno, false);

    println!("[ Top 10 differences ]");
    for stat in top_stats.iter().take(10) {
        println!("{stat}");
    }
    Ok(())
}
