//! cyclegc beside `Rc` and other crates, in one interleaved run.
//!
//! `cargo run --release` prints the best of several rounds, in nanoseconds for
//! an operation or object, and the ratio to cyclegc; `-` where a crate cannot, or
//! overflows its stack. Each measurement has a process of its own. `cargo run --release
//! -- ROUNDS WORKLOAD` runs some.

mod arena;
mod heap;

use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use heap::Heap;

/// What one measurement found.
#[derive(Clone, Copy)]
struct Sample {
    ns: f64,
    worst_pause: Duration,
}

fn per(started: Instant, count: usize) -> Sample {
    Sample {
        ns: started.elapsed().as_nanos() as f64 / count as f64,
        worst_pause: Duration::ZERO,
    }
}

fn new_drop<H: Heap>() -> Option<Sample> {
    const N: usize = 1_000_000;
    for v in 0..1000 {
        drop(black_box(H::new(v)));
    }
    let started = Instant::now();
    for v in 0..N {
        drop(black_box(H::new(v as u64)));
    }
    Some(per(started, N))
}

fn clone_drop<H: Heap>() -> Option<Sample> {
    const N: usize = 5_000_000;
    let handle = H::new(1);
    drop(handle.clone());
    let started = Instant::now();
    for _ in 0..N {
        drop(black_box(black_box(&handle).clone()));
    }
    Some(per(started, N))
}

fn deref<H: Heap>() -> Option<Sample> {
    const N: usize = 10_000_000;
    let handle = H::new(1);
    let started = Instant::now();
    let mut sum = 0;
    for _ in 0..N {
        sum += H::value(black_box(&handle));
    }
    black_box(sum);
    Some(per(started, N))
}

const DEPTH: u32 = 16;
const TREE: usize = (2 << DEPTH) - 1;

fn tree<H: Heap>(depth: u32, parent: Option<&H::Handle>) -> H::Handle {
    let node = H::new(u64::from(depth));
    if let Some(parent) = parent {
        H::link(&node, parent.clone());
    }
    if depth > 0 {
        for _ in 0..2 {
            H::link(&node, tree::<H>(depth - 1, parent.map(|_| &node)));
        }
    }
    node
}

fn acyclic_tree<H: Heap>() -> Option<Sample> {
    let started = Instant::now();
    drop(black_box(tree::<H>(DEPTH, None)));
    if !H::COUNTS {
        H::collect();
    }
    Some(per(started, TREE))
}

fn parent_tree<H: Heap>() -> Option<Sample> {
    if !H::COLLECTS {
        return None;
    }
    let started = Instant::now();
    let root = H::new(0);
    for _ in 0..2 {
        let child = tree::<H>(DEPTH - 1, Some(&root));
        H::link(&root, child);
    }
    drop(black_box(root));
    H::collect();
    Some(per(started, TREE))
}

fn two_cycles<H: Heap>() -> Option<Sample> {
    const N: usize = 1_000_000;
    if !H::COLLECTS {
        return None;
    }
    let started = Instant::now();
    for index in 0..N {
        let a = H::new(1);
        let b = H::new(2);
        H::link(&a, b.clone());
        H::link(&b, a.clone());
        drop((a, b));
        if !H::AUTOMATIC && index % 1000 == 999 {
            H::collect();
        }
    }
    H::collect();
    Some(per(started, N))
}

/// A graph of nodes that are all reached from the first: each refers to the
/// next and to two others.
fn graph<H: Heap>(count: usize) -> H::Handle {
    let nodes: Vec<H::Handle> = (0..count).map(|v| H::new(v as u64)).collect();
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % count as u64) as usize
    };
    for index in 0..count {
        H::link(&nodes[index], nodes[(index + 1) % count].clone());
        for _ in 0..2 {
            H::link(&nodes[index], nodes[random()].clone());
        }
    }
    nodes[0].clone()
}

const GRAPH: usize = 300_000;

fn live_graph<H: Heap>() -> Option<Sample> {
    if !H::COLLECTS {
        return None;
    }
    let root = graph::<H>(GRAPH);
    let started = Instant::now();
    H::collect();
    let sample = per(started, GRAPH);
    black_box(H::value(&root));
    std::mem::forget(root);
    Some(sample)
}

fn dead_graph<H: Heap>() -> Option<Sample> {
    if !H::COLLECTS {
        return None;
    }
    drop(graph::<H>(GRAPH));
    let started = Instant::now();
    H::collect();
    Some(per(started, GRAPH))
}

fn churn<H: Heap>() -> Option<Sample> {
    const N: usize = 200_000;
    if !H::COLLECTS {
        return None;
    }
    let root = graph::<H>(200_000);
    H::collect();
    let mut worst_pause = Duration::ZERO;
    let started = Instant::now();
    for index in 0..N {
        let before = Instant::now();
        let nodes = [H::new(1), H::new(2), H::new(3)];
        for n in 0..3 {
            H::link(&nodes[n], nodes[(n + 1) % 3].clone());
        }
        drop(nodes);
        if !H::AUTOMATIC && index % 1000 == 999 {
            H::collect();
        }
        worst_pause = worst_pause.max(before.elapsed());
    }
    let sample = Sample {
        worst_pause,
        ..per(started, N)
    };
    black_box(H::value(&root));
    std::mem::forget(root);
    Some(sample)
}

type Run = fn() -> Option<Sample>;

/// The same workload on each crate.
macro_rules! on_all {
    ($workload:ident) => {
        [
            (<heap::rc::H as Heap>::NAME, $workload::<heap::rc::H> as Run),
            (
                <heap::cyclegc::H as Heap>::NAME,
                $workload::<heap::cyclegc::H>,
            ),
            (
                <heap::rust_cc::H as Heap>::NAME,
                $workload::<heap::rust_cc::H>,
            ),
            (
                <heap::gcmodule::H as Heap>::NAME,
                $workload::<heap::gcmodule::H>,
            ),
            (
                <heap::bacon_rajan::H as Heap>::NAME,
                $workload::<heap::bacon_rajan::H>,
            ),
            (
                <heap::dumpster::H as Heap>::NAME,
                $workload::<heap::dumpster::H>,
            ),
            (<heap::gc::H as Heap>::NAME, $workload::<heap::gc::H>),
            (<heap::boa::H as Heap>::NAME, $workload::<heap::boa::H>),
        ]
        .to_vec()
    };
}

fn arena_tree() -> Option<Sample> {
    Some(Sample {
        ns: arena::parent_tree(DEPTH),
        worst_pause: Duration::ZERO,
    })
}

/// Runs one measurement in a process of its own: allocators keep the memory of
/// those before, and some crates overflow their stacks.
fn alone(workload: &str, name: &str) -> Option<Sample> {
    let this = std::env::current_exe().ok()?;
    let output = Command::new(this)
        .args([ONE, workload, name])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut numbers = text.split_whitespace().map_while(|n| n.parse::<f64>().ok());
    Some(Sample {
        ns: numbers.next()?,
        worst_pause: Duration::from_secs_f64(numbers.next()?),
    })
}

const ONE: &str = "--one";

fn main() {
    let mut parent = on_all!(parent_tree);
    parent.push(("gc-arena", arena_tree));
    let workloads: Vec<(&str, Vec<(&str, Run)>)> = vec![
        ("new+drop", on_all!(new_drop)),
        ("clone+drop", on_all!(clone_drop)),
        ("deref", on_all!(deref)),
        ("tree, acyclic", on_all!(acyclic_tree)),
        ("tree with parents", parent),
        ("two-node cycles", on_all!(two_cycles)),
        ("live graph", on_all!(live_graph)),
        ("dead graph", on_all!(dead_graph)),
        ("churn", on_all!(churn)),
    ];
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [one, workload, name] = &arguments[..]
        && one == ONE
    {
        let runs = workloads.into_iter().filter(|(w, _)| w == workload);
        for (_, run) in runs.flat_map(|(_, runs)| runs).filter(|(n, _)| n == name) {
            if let Some(sample) = run() {
                println!("{} {}", sample.ns, sample.worst_pause.as_secs_f64());
            }
        }
        return;
    }
    let rounds = arguments.first().and_then(|n| n.parse().ok()).unwrap_or(5);
    for (workload, runs) in workloads {
        if arguments
            .get(1)
            .is_some_and(|only| !workload.contains(only))
        {
            continue;
        }
        let mut best: Vec<Option<Sample>> = vec![None; runs.len()];
        for _ in 0..rounds {
            for (best, (name, _)) in best.iter_mut().zip(&runs) {
                *best = match (*best, alone(workload, name)) {
                    (Some(a), Some(b)) => Some(Sample {
                        ns: a.ns.min(b.ns),
                        worst_pause: a.worst_pause.min(b.worst_pause),
                    }),
                    (a, b) => a.or(b),
                };
            }
        }
        let ours = best[1].map_or(f64::NAN, |sample| sample.ns);
        println!("{workload}");
        for (sample, (name, _)) in best.iter().zip(&runs) {
            let Some(sample) = sample else {
                println!("  {name:16} -");
                continue;
            };
            print!("  {name:16}{:9.2} ns {:7.2} x", sample.ns, sample.ns / ours);
            if sample.worst_pause > Duration::ZERO {
                print!(
                    "   worst pause {:.2} ms",
                    sample.worst_pause.as_secs_f64() * 1e3
                );
            }
            println!();
        }
    }
}
