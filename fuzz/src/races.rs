//! Programs of threads that work at the same time.

use arbitrary::{Result, Unstructured};

use crate::allocs::{align, size};
use crate::model::{Exchange, Step};

const THREADS: usize = 3;
/// Few, so that the threads meet; a `Fill` goes round.
const SLOTS: usize = 300;
const MOST_STEPS: usize = 200;

/// Deals a program out to three threads; when they have ended and all is freed, nothing
/// is in use, and the heap is sound.
pub fn alloc_races(program: &[u8]) {
    let mut bytes = Unstructured::new(program);
    let mut programs = vec![Vec::new(); THREADS];
    for _ in 0..MOST_STEPS {
        let Ok((thread, step)) = step(&mut bytes) else {
            break;
        };
        programs[thread].push(step);
    }
    let in_use = bytes_in_use();
    let exchange = Exchange::new(SLOTS);
    exchange.run(&programs);
    exchange.apply(Step::Look);
    drop(exchange);
    assert_eq!(bytes_in_use(), in_use, "bytes in use");
    pymalloc::trim();
}

fn bytes_in_use() -> usize {
    let stats = pymalloc::stats();
    stats.bytes_in_use + stats.bytes_large
}

fn step(bytes: &mut Unstructured<'_>) -> Result<(usize, Step)> {
    if bytes.is_empty() {
        return Err(arbitrary::Error::NotEnoughData);
    }
    let choice = bytes.int_in_range(0..=31_u8)?;
    let thread = bytes.int_in_range(0..=THREADS - 1)?;
    let slot = bytes.int_in_range(0..=SLOTS - 1)?;
    let step = match choice {
        0..=9 => Step::Put {
            slot,
            size: size(bytes)?,
            align: align(bytes)?,
            zeroed: bytes.arbitrary()?,
        },
        10..=13 => Step::Fill {
            slot,
            size: bytes.int_in_range(1..=2_000)?,
            count: bytes.int_in_range(1..=SLOTS)?,
        },
        14..=19 => Step::Take { slot },
        20..=22 => Step::Clear {
            slot,
            count: bytes.int_in_range(1..=SLOTS)?,
        },
        23..=26 => Step::Resize {
            slot,
            new_size: size(bytes)?,
        },
        27 => Step::Trim,
        28 => Step::Look,
        _ => Step::Exit,
    };
    Ok((thread, step))
}
