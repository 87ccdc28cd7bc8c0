//! `tracing-cost [THREADS [ROUNDS]]`: a program that allocates much, traced in each way, in turns.
//!
//! CPU time, the least of all rounds, and its ratio to the time with tracing off. Build it with
//! `RUSTFLAGS="-C force-frame-pointers=yes"` for the rows that walk by frame pointers.
//!
//! `tracing-cost once MODE` runs the program once, for callgrind: `off`, or a value of
//! `PYMALLOC_TRACE`.

use std::collections::{BTreeMap, HashMap};
use std::env;
use std::hint::black_box;
use std::thread;

use pymalloc::PyMalloc;

#[global_allocator]
static GLOBAL: PyMalloc = PyMalloc;

/// What a parser makes of a document.
enum Value {
    Number(f64),
    Text(String),
    List(Vec<Value>),
    Object(BTreeMap<String, Value>),
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

#[inline(never)]
fn build(random: &mut Random, depth: u32) -> Value {
    match random.below(if depth == 0 { 2 } else { 5 }) {
        0 => Value::Number(random.below(1000) as f64),
        1 => Value::Text(format!("text {} of {}", random.below(10_000), depth)),
        2 => Value::List(
            (0..random.below(8))
                .map(|_| build(random, depth - 1))
                .collect(),
        ),
        _ => {
            let mut object = BTreeMap::new();
            for _ in 0..random.below(8) {
                let key = format!("key {}", random.below(300));
                object.insert(key, build(random, depth - 1));
            }
            Value::Object(object)
        }
    }
}

#[inline(never)]
fn count(value: &Value, words: &mut HashMap<String, u64>) {
    match value {
        Value::Number(number) => *words.entry(number.to_string()).or_default() += 1,
        Value::Text(text) => {
            for word in text.split(' ') {
                *words.entry(word.to_owned()).or_default() += 1;
            }
        }
        Value::List(list) => list.iter().for_each(|value| count(value, words)),
        Value::Object(object) => {
            for (key, value) in object {
                *words.entry(key.clone()).or_default() += 1;
                count(value, words);
            }
        }
    }
}

/// Documents come and go; two hundred are kept at a time.
fn work(seed: u64, documents: usize) {
    let mut random = Random(seed | 1);
    let mut kept = Vec::new();
    let mut words = HashMap::new();
    for _ in 0..documents {
        let value = build(&mut random, 8);
        count(&value, &mut words);
        kept.push(value);
        if kept.len() > 200 {
            let place = random.below(200) as usize;
            kept.swap_remove(place);
        }
    }
    black_box((kept, words));
}

fn run(threads: u64, documents: usize) {
    let others: Vec<_> = (1..threads)
        .map(|n| thread::spawn(move || work(n, documents)))
        .collect();
    work(77, documents);
    for other in others {
        other.join().expect("no thread panics");
    }
}

/// Seconds of CPU time that the process has used.
fn cpu_seconds() -> f64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel fills in the structure, which is valid as zeros, too.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

#[cfg(feature = "trace")]
fn modes() -> Vec<(&'static str, Option<tracemalloc::Config>)> {
    use tracemalloc::{Config, Mode, Unwinder};
    let exact = |unwinder, nframe, peak| Config {
        nframe,
        unwinder,
        peak,
        ..Config::default()
    };
    let sampled = Config {
        mode: Mode::Sampled {
            period_bytes: 512 << 10,
        },
        ..Config::default()
    };
    vec![
        ("off", None),
        ("sampled, 512 KiB", Some(sampled)),
        (
            "exact, 32 frames, pointers",
            Some(exact(Unwinder::FramePointers, 32, false)),
        ),
        (
            "exact, 1 frame, pointers",
            Some(exact(Unwinder::FramePointers, 1, false)),
        ),
        (
            "exact, with peak, pointers",
            Some(exact(Unwinder::FramePointers, 32, true)),
        ),
        (
            "exact, 32 frames, tables",
            Some(exact(Unwinder::Tables, 32, false)),
        ),
    ]
}

#[cfg(feature = "trace")]
fn compare(threads: u64, rounds: usize) {
    let modes = modes();
    let mut least = vec![f64::INFINITY; modes.len()];
    let mut blocks = vec![(0, 0); modes.len()];
    for _ in 0..rounds {
        for (place, (_, config)) in modes.iter().enumerate() {
            if let Some(config) = config {
                tracemalloc::start_with(*config).expect("the allocator is hooked");
            }
            let begin = cpu_seconds();
            run(threads, 1500);
            least[place] = least[place].min(cpu_seconds() - begin);
            let kept: Vec<_> = config.iter().map(|_| vec![0_u8; 1000]).collect();
            if config.is_some() {
                let snapshot = tracemalloc::take_snapshot().expect("it was started");
                blocks[place] = (
                    snapshot.traces().len(),
                    tracemalloc::get_tracemalloc_memory(),
                );
            }
            drop(kept);
            tracemalloc::stop();
        }
    }
    println!(
        "{:30}{:>8}{:>8}",
        format!("{threads} thread(s)"),
        "seconds",
        "ratio"
    );
    for ((name, _), seconds) in modes.iter().zip(&least) {
        println!("{name:30}{seconds:8.3}{:8.3}", seconds / least[0]);
    }
}

#[cfg(not(feature = "trace"))]
fn compare(threads: u64, rounds: usize) {
    let mut least = f64::INFINITY;
    for _ in 0..rounds {
        let begin = cpu_seconds();
        run(threads, 1500);
        least = least.min(cpu_seconds() - begin);
    }
    println!("{threads} thread(s), built without the hooks: {least:.3}");
}

fn once(mode: &str) {
    #[cfg(feature = "trace")]
    if mode != "off" {
        let config = mode.parse().expect("a value of PYMALLOC_TRACE");
        tracemalloc::start_with(config).expect("the allocator is hooked");
    }
    assert!(
        cfg!(feature = "trace") || mode == "off",
        "built without the hooks"
    );
    run(1, 300);
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.as_slice() {
        [word, mode] if word == "once" => once(mode),
        other => {
            let number = |place: usize, default| {
                other
                    .get(place)
                    .map_or(default, |text| text.parse().expect("a number"))
            };
            compare(number(0, 1), number(1, 5) as usize);
        }
    }
}
