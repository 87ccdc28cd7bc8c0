//! "Record the current and peak size of all traced memory blocks", from the documentation of
//! Python's `tracemalloc`.

#[global_allocator]
static GLOBAL: pymalloc::PyMalloc = pymalloc::PyMalloc;

use std::hint::black_box;

fn sum_of_list(n: u64) -> u64 {
    let list: Vec<u64> = black_box((0..n).collect());
    list.iter().sum()
}

fn main() -> Result<(), tracemalloc::StartError> {
    tracemalloc::start(25)?;

    // Example code: compute a sum with a large temporary list
    let large_sum = sum_of_list(100_000);

    let (first_size, first_peak) = tracemalloc::get_traced_memory();

    tracemalloc::reset_peak();

    // Example code: compute a sum with a small temporary list
    let small_sum = sum_of_list(1000);

    let (second_size, second_peak) = tracemalloc::get_traced_memory();

    println!("first_size={first_size}, first_peak={first_peak}");
    println!("second_size={second_size}, second_peak={second_peak}");
    assert!(large_sum > small_sum);
    Ok(())
}
