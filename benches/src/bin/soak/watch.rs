//! What the memory does meanwhile.

use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Instant;

use benches::resident::{peak_bytes, resident_bytes};

use crate::{LOOKS, Tally, signals};

/// Growth from the second quarter to the last that may be chance: of the memory, ...
const GROWTH_PERCENT: usize = 25;
/// ... and beside that. A run of seconds has large blocks in one half that the other has not.
const GROWTH_BYTES: usize = 4 << 20;
/// What may be left when all is freed and trimmed: what this program itself keeps.
const LEFT_BYTES: usize = 256 << 10;

/// Notes resident memory and blocks in use.
#[derive(Debug)]
pub(crate) struct Watch {
    start: Instant,
    resident: Vec<usize>,
}

fn in_use() -> usize {
    let stats = pymalloc::stats();
    stats.bytes_in_use + stats.bytes_large
}

fn mb(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

impl Watch {
    pub(crate) fn new(start: Instant) -> Self {
        Self {
            start,
            resident: Vec::with_capacity(LOOKS as usize),
        }
    }

    /// Prints the heads of the columns.
    pub(crate) fn head(&self) {
        println!(
            "{:>8} {:>9} {:>9} {:>12} {:>9} {:>9} {:>12} {:>9}",
            "seconds", "RSS, MB", "used, MB", "steps", "threads", "graphs", "objects", "signals"
        );
    }

    /// Walks the heap, and prints a row.
    pub(crate) fn look(&mut self, tally: &Tally) {
        assert_eq!(pymalloc::verify_heap(), Ok(()));
        self.resident.push(resident_bytes());
        self.row(tally);
    }

    fn row(&self, tally: &Tally) {
        let count = |counter: &std::sync::atomic::AtomicUsize| counter.load(Ordering::Relaxed);
        println!(
            "{:>8.0} {:>9.1} {:>9.1} {:>12} {:>9} {:>9} {:>12} {:>9}",
            self.start.elapsed().as_secs_f64(),
            mb(resident_bytes()),
            mb(in_use()),
            count(&tally.steps),
            count(&tally.threads),
            count(&tally.graphs),
            count(&tally.objects),
            signals::arrived(),
        );
    }

    /// Judges the whole: flat, and nothing left.
    pub(crate) fn end(self, tally: &Tally) -> ExitCode {
        self.row(tally);
        assert_eq!(pymalloc::verify_heap(), Ok(()));
        let quarter = self.resident.len() / 4;
        let early = median(&self.resident[quarter..2 * quarter]);
        let late = median(&self.resident[3 * quarter..]);
        let left = in_use();
        println!(
            "median RSS: {:.1} MB in the second quarter, {:.1} MB in the last; peak {:.1} MB; \
             {left} bytes in use at the end",
            mb(early),
            mb(late),
            mb(peak_bytes()),
        );
        let is_flat = late <= early + early * GROWTH_PERCENT / 100 + GROWTH_BYTES;
        if is_flat && left <= LEFT_BYTES {
            println!("soak: passed");
            return ExitCode::SUCCESS;
        }
        eprintln!("soak: FAILED: memory grew, or blocks are left");
        ExitCode::FAILURE
    }
}

fn median(bytes: &[usize]) -> usize {
    let mut sorted = bytes.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}
