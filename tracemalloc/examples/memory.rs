//! What the system says of the process's memory, and where it went.

use std::error::Error;

use pymalloc::PyMalloc;

mod application;

#[global_allocator]
static GLOBAL: PyMalloc = PyMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    tracemalloc::start(25)?;
    let applications: Vec<_> = (0..40).map(|_| application::run()).collect();
    let mut strings: Vec<String> = (0..50_000).map(|n| format!("{n:050}")).collect();
    // The others leave holes between those that stay.
    let mut number = 0;
    strings.retain(|_| {
        number += 1;
        number % 3 == 0
    });

    println!("{}\n", tracemalloc::memory_info()?);
    println!("{}", tracemalloc::waterfall()?);
    drop((applications, strings));
    Ok(())
}
