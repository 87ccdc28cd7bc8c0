//! `cyclegc::sync` where threads meet: handles that two threads count at once, beside `Arc`;
//! and how long a thread is held up at worst while another collects.
//!
//! `cargo bench --features cyclegc-sync --bench gc_threads`
//!
//! Runs of the two are interleaved; the table gives the least and the median of them. A pause
//! is the longest of a thread's steps, each of which makes a ring of two objects, reads one of
//! the live ones through its lock and links it anew. The same steps without a collector beside
//! them show what the system's scheduler does to such a thread.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use cyclegc::Trace;
use cyclegc::sync::{self, Gc};

const RUNS: usize = 9;
const OPERATIONS: u32 = 2_000_000;
const LIVE: usize = 200_000;
const PAUSES_OF: Duration = Duration::from_secs(3);

fn main() {
    println!("clone and drop of one object's handle, ns an operation");
    println!("{:<28}{:>16}{:>16}{:>8}", "", "Arc", "sync::Gc", "ratio");
    for threads in [1, 2] {
        let (mut counted, mut collected) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let handle = Arc::new(1_u64);
            counted.push(operation(threads, || drop(black_box(handle.clone()))));
            let handle = Gc::new(1_u64);
            collected.push(operation(threads, || drop(black_box(handle.clone()))));
        }
        row(&format!("{threads} threads"), counted, collected);
    }

    println!("\nreading through one handle, ns an operation");
    let (mut counted, mut collected) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let handle = Arc::new(1_u64);
        counted.push(operation(2, || _ = black_box(**black_box(&handle))));
        let handle = Gc::new(1_u64);
        collected.push(operation(2, || _ = black_box(**black_box(&handle))));
    }
    row("2 threads", counted, collected);

    println!("\na thread's steps beside {LIVE} live objects, us");
    println!(
        "{:<28}{:>10}{:>10}{:>10}{:>13}",
        "", "median", "99.9 %", "worst", "collections"
    );
    steps("nobody collects", false);
    steps("another thread collects", true);
}

/// Least and median, and the ratio of the least.
fn row(name: &str, mut counted: Vec<f64>, mut collected: Vec<f64>) {
    counted.sort_by(f64::total_cmp);
    collected.sort_by(f64::total_cmp);
    let both = |times: &[f64]| format!("{:.2} {:.2}", times[0], times[times.len() / 2]);
    let ratio = collected[0] / counted[0];
    println!(
        "{name:<28}{:>16}{:>16}{ratio:>8.2}",
        both(&counted),
        both(&collected)
    );
}

/// What one of many operations costs a thread when `threads` do the same.
fn operation(threads: u32, operation: impl Fn() + Sync) -> f64 {
    let start = Barrier::new(threads as usize);
    let run = || {
        start.wait();
        let started = Instant::now();
        (0..OPERATIONS).for_each(|_| operation());
        started.elapsed()
    };
    let longest = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        running
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .max()
    });
    longest.unwrap_or_default().as_secs_f64() * 1e9 / f64::from(OPERATIONS)
}

#[derive(Trace)]
struct Node {
    links: Mutex<[Option<Gc<Node>>; 2]>,
}

fn node(links: [Option<Gc<Node>>; 2]) -> Gc<Node> {
    let links = Mutex::new(links);
    Gc::new(Node { links })
}

/// Numbers as random as this needs (Marsaglia's xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 32).unwrap_or(0) % end
    }
}

/// Prints how long the steps of a thread take, with or without a collecting thread beside.
fn steps(name: &str, beside: bool) {
    sync::disable();
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let live: Vec<Gc<Node>> = (0..LIVE).map(|_| node([None, None])).collect();
    for one in &live {
        let to = [(); 2].map(|()| Some(live[random.below(LIVE)].clone()));
        *one.links.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }
    sync::collect();

    let done = AtomicBool::new(false);
    let collections = AtomicUsize::new(0);
    let mut times = thread::scope(|scope| {
        if beside {
            scope.spawn(|| {
                // ORDERING: Relaxed: it only ends the thread.
                while !done.load(Relaxed) {
                    sync::collect();
                    collections.fetch_add(1, Relaxed);
                }
            });
        }
        let mut times = Vec::with_capacity(4 << 20);
        let started = Instant::now();
        while started.elapsed() < PAUSES_OF && times.len() < times.capacity() {
            let began = Instant::now();
            step(&live, &mut random);
            times.push(began.elapsed());
        }
        // ORDERING: Relaxed: as above.
        done.store(true, Relaxed);
        times
    });
    times.sort();
    let at = |part: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place in the list"
        )]
        let place = (part * (times.len() - 1) as f64) as usize;
        times[place].as_secs_f64() * 1e6
    };
    let (median, most, worst) = (at(0.5), at(0.999), at(1.0));
    let collections = collections.into_inner();
    println!("{name:<28}{median:>10.2}{most:>10.2}{worst:>10.1}{collections:>13}");
    drop(live);
    sync::collect();
}

fn step(live: &[Gc<Node>], random: &mut Random) {
    let one = node([None, None]);
    let other = node([Some(one.clone()), None]);
    *one.links.lock().unwrap_or_else(PoisonError::into_inner) = [Some(other), None];
    let (from, to) = (random.below(live.len()), random.below(live.len()));
    let mut links = live[from]
        .links
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let before = links[1].replace(live[to].clone());
    drop(links);
    black_box(before);
}
