//! "Display the top 10", from the documentation of Python's `tracemalloc`.

#[global_allocator]
static GLOBAL: pymalloc::PyMalloc = pymalloc::PyMalloc;

mod application;

use tracemalloc::KeyType;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracemalloc::start(25)?;

    let application = application::run();

    let snapshot = tracemalloc::take_snapshot()?;
    let top_stats = snapshot.statistics(KeyType::Lineno, false);

    println!("[ Top 10 ]");
    for stat in top_stats.iter().take(10) {
        println!("{stat}");
    }
    drop(application);
    Ok(())
}
