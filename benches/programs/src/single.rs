//! Programs of one thread.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::hint::black_box;

use benches::random::Random;
use benches::report::{Clock, Report, Scale, fold};

/// Binary trees are built, walked and dropped, as in the Benchmarks Game.
#[must_use]
pub fn trees(scale: Scale) -> Report {
    struct Tree {
        left: Option<Box<Tree>>,
        right: Option<Box<Tree>>,
    }
    fn build(depth: u32) -> Tree {
        let child = || (depth > 0).then(|| Box::new(build(depth - 1)));
        Tree {
            left: child(),
            right: child(),
        }
    }
    fn count(tree: &Tree) -> u64 {
        let below = |child: &Option<Box<Tree>>| child.as_deref().map_or(0, count);
        1 + below(&tree.left) + below(&tree.right)
    }
    const DEPTH: u32 = 14;
    let rounds = scale.of(1500);
    let lasting = build(DEPTH);
    let clock = Clock::start();
    let mut sum = 1;
    for round in 0..rounds {
        // Few deep trees and many shallow ones, of about as many nodes.
        let shrink = 2 * (round as u32 % 5);
        for _ in 0..1 << shrink {
            sum = fold(sum, count(black_box(&build(DEPTH - shrink))));
        }
    }
    sum = fold(sum, count(&lasting));
    clock.stop(rounds * ((2 << DEPTH) - 1), sum)
}

/// Random lifetimes, 16 to 256 bytes, 50 000 blocks alive.
#[must_use]
pub fn lifetimes_small(scale: Scale) -> Report {
    lifetimes(scale.of(25_000_000), 50_000, 256)
}

/// Random lifetimes, 16 bytes to 8 KiB, 20 000 blocks alive.
#[must_use]
pub fn lifetimes_mixed(scale: Scale) -> Report {
    lifetimes(scale.of(4_000_000), 20_000, 8192)
}

/// Replaces random slots by blocks whose first byte is written.
fn lifetimes(count: usize, alive: usize, most_bytes: usize) -> Report {
    let mut random = Random::new();
    let mut slots: Vec<Vec<u8>> = vec![Vec::new(); alive];
    let clock = Clock::start();
    let mut sum = 1;
    for n in 0..count {
        // Small sizes are likelier, as in programs: the product of two draws.
        let size = 16 + (random.below(most_bytes - 15) * random.below(1024)) / 1024;
        let mut block: Vec<u8> = Vec::with_capacity(size);
        block.push(n as u8);
        let dead = std::mem::replace(&mut slots[random.below(alive)], black_box(block));
        sum = fold(sum, dead.first().copied().unwrap_or(0).into());
    }
    clock.stop(count, sum)
}

/// Bursts of 400 blocks of 16 to 512 bytes, freed last first.
#[must_use]
pub fn lifo(scale: Scale) -> Report {
    const BURST: usize = 400;
    let rounds = scale.of(120_000);
    let mut random = Random::new();
    let sizes: Vec<usize> = (0..4096).map(|_| 16 + random.below(497)).collect();
    let mut stack: Vec<Vec<u8>> = Vec::with_capacity(BURST);
    let clock = Clock::start();
    let mut sum = 1;
    for round in 0..rounds {
        for n in 0..BURST {
            let mut block = Vec::with_capacity(sizes[(round * 31 + n) % sizes.len()]);
            block.push(n as u8);
            stack.push(black_box(block));
        }
        while let Some(block) = stack.pop() {
            sum = fold(sum, block[0].into());
        }
    }
    clock.stop(rounds * BURST, sum)
}

/// A hasher without a random seed: every run has the same collisions.
type Hasher = BuildHasherDefault<DefaultHasher>;

/// `HashMap<String, Vec<String>>` grows by words and shrinks by whole entries.
#[must_use]
pub fn hash(scale: Scale) -> Report {
    let words = scale.of(2_500_000);
    let mut random = Random::new();
    let mut map: HashMap<String, Vec<String>, Hasher> = HashMap::default();
    let clock = Clock::start();
    let mut sum = 1;
    for n in 0..words {
        let key = format!("key-{}", random.below(60_000));
        map.entry(key).or_default().push(format!("value {n}"));
        if n % 4 == 3 {
            let dead = map.remove(&format!("key-{}", random.below(60_000)));
            sum = fold(sum, dead.map_or(0, |words| words.len() as u64));
        }
    }
    sum = fold(sum, map.len() as u64);
    drop(black_box(map));
    clock.stop(words, sum)
}

/// `BTreeMap<String, Box<u64>>` with twice as many insertions as removals.
#[must_use]
pub fn btree(scale: Scale) -> Report {
    let count = scale.of(1_500_000);
    let mut random = Random::new();
    let mut map = BTreeMap::new();
    let clock = Clock::start();
    let mut sum = 1;
    for n in 0..count {
        let number = random.below(200_000);
        if n % 3 < 2 {
            map.insert(format!("{number:08}"), Box::new(n as u64));
        } else if let Some(value) = map.remove(&format!("{number:08}")) {
            sum = fold(sum, *value);
        }
    }
    sum = map.values().fold(sum, |sum, value| fold(sum, **value));
    drop(black_box(map));
    clock.stop(count, sum)
}

/// Vectors grow to 24 MB by pushes, two at a time.
#[must_use]
pub fn growth(scale: Scale) -> Report {
    const NUMBERS: u64 = 3_000_000;
    let count = scale.of(30);
    let clock = Clock::start();
    let mut sum = 1;
    for n in 0..count as u64 {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for number in 0..NUMBERS / 2 {
            a.push(number ^ n);
            b.push(number);
            b.push(n);
        }
        sum = fold(sum, black_box(&a)[a.len() - 1]);
        sum = fold(sum, black_box(&b)[b.len() - 2]);
    }
    clock.stop(count, sum)
}
