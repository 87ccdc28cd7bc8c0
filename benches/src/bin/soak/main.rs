//! A long mixed day: threads are born and die, free each other's blocks of all sizes,
//! build and drop graphs of `Gc`, are interrupted by signals, and the process forks.
//!
//! ```text
//!  lane 0 ─ thread ─ thread ─ thread ...  ┐             ┌ watch: RSS, every block in
//!  lane 1 ─ thread ─ thread ...           ├─ exchange ──┤        use, the heap walked
//!  lane 2 ─ thread ─ thread ─ thread ...  ┘             └ forks: children that go on
//! ```
//! Ends with an error if a byte of a block changes, the heap is unsound, a child fails,
//! blocks are left when all is freed, or memory grows: from the second quarter of the time
//! to the last, by the medians.
//!
//! ```console
//! $ cargo run --release -p benches --bin soak -- --seconds 1800
//! ```

#[path = "../../../../pymalloc/tests/model/exchange.rs"]
#[expect(dead_code, reason = "here the lanes are what runs programs")]
mod exchange;
mod forks;
mod graph;
mod lane;
mod options;
#[path = "../../../../pymalloc/tests/model/pattern.rs"]
mod pattern;
mod signals;
mod watch;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use exchange::Exchange;
use options::Options;
use pymalloc::PyMalloc;
use watch::Watch;

#[global_allocator]
static GLOBAL: PyMalloc = PyMalloc;

/// Places where blocks change hands.
const SLOTS: usize = 4096;
/// How often the heap is walked and the memory noted.
const LOOKS: u32 = 20;

/// What the lanes did.
#[derive(Debug, Default)]
struct Tally {
    steps: AtomicUsize,
    threads: AtomicUsize,
    graphs: AtomicUsize,
    objects: AtomicUsize,
}

impl Tally {
    fn add(counter: &AtomicUsize, count: usize) {
        // ORDERING: Relaxed; a count for people.
        counter.fetch_add(count, Ordering::Relaxed);
    }
}

/// Ends the lanes, also where a claim is broken.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("soak: {error}\n{}", Options::USAGE);
            return ExitCode::from(2);
        }
    };
    signals::start();
    let exchange = Exchange::new(SLOTS);
    let tally = Tally::default();
    let is_over = AtomicBool::new(false);
    let start = Instant::now();
    let tick = Duration::from_secs(options.seconds) / LOOKS;
    let mut watch = Watch::new(start);
    watch.head();
    std::thread::scope(|scope| {
        let over = Over(&is_over);
        let mut lanes: Vec<_> = (0..options.threads)
            .map(|number| {
                let (exchange, tally, is_over) = (&exchange, &tally, &is_over);
                scope.spawn(move || lane::run(number, exchange, tally, is_over))
            })
            .collect();
        for look in 1..=LOOKS {
            while start.elapsed() < tick * look {
                forks::fork_and_wait(&exchange);
                std::thread::sleep(Duration::from_millis(200).min(tick));
                if lanes.iter().any(|lane| lane.is_finished()) {
                    // It panicked, and said why: `join` below ends the program.
                    break;
                }
            }
            watch.look(&tally);
        }
        drop(over);
        for lane in lanes.drain(..) {
            lane.join().expect("every claim held");
        }
    });
    drop(exchange);
    signals::stop();
    pymalloc::trim();
    watch.end(&tally)
}
