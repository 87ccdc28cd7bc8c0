//! Programs of several threads.

use std::hint::black_box;
use std::sync::mpsc;
use std::thread;

use benches::random::Random;
use benches::report::{Clock, Report, Scale, fold};

/// Boxes made by one thread are freed by another, 256 at a time.
#[must_use]
pub fn cross_thread(scale: Scale) -> Report {
    const BATCH: usize = 256;
    let rounds = scale.of(100_000);
    let clock = Clock::start();
    let (full_in, full_out) = mpsc::sync_channel::<Vec<Box<[u64; 5]>>>(8);
    let (empty_in, empty_out) = mpsc::sync_channel(16);
    let freer = thread::spawn(move || {
        let mut sum = 1;
        for mut boxes in full_out {
            for block in boxes.drain(..) {
                sum = fold(sum, block[4]);
            }
            // The maker may have finished.
            let _ = empty_in.try_send(boxes);
        }
        sum
    });
    for round in 0..rounds as u64 {
        let mut boxes = empty_out.try_recv().unwrap_or_default();
        boxes.extend((0..BATCH as u64).map(|n| Box::new([round ^ n; 5])));
        full_in.send(black_box(boxes)).expect("the freer waits");
    }
    drop(full_in);
    let sum = freer.join().expect("it only reads and frees");
    clock.stop(rounds * BATCH, sum)
}

/// Larson's server, 2 threads.
#[must_use]
pub fn larson_2(scale: Scale) -> Report {
    larson(scale.of(20_000_000), 2)
}

/// Larson's server, 8 threads.
#[must_use]
pub fn larson_8(scale: Scale) -> Report {
    larson(scale.of(20_000_000), 8)
}

/// Each thread replaces random ones of its 1000 blocks of 10 to 500 bytes. When it
/// has done its share it ends, and a new thread goes on with the same blocks.
fn larson(count: usize, threads: usize) -> Report {
    const GENERATIONS: usize = 10;
    const SLOTS: usize = 1000;
    let share = (count / threads / GENERATIONS).max(1);
    let fill = |random: &mut Random| {
        let mut block: Vec<u8> = Vec::with_capacity(10 + random.below(491));
        block.push(random.below(256) as u8);
        block
    };
    let clock = Clock::start();
    let life = |n: usize| {
        move || {
            let mut random = Random::nth(n);
            let mut slots: Vec<Vec<u8>> = (0..SLOTS).map(|_| fill(&mut random)).collect();
            let mut sum = 1;
            for _ in 0..GENERATIONS {
                let generation = thread::spawn(move || {
                    for _ in 0..share {
                        let block = black_box(fill(&mut random));
                        let slot = &mut slots[random.below(SLOTS)];
                        sum = fold(sum, std::mem::replace(slot, block)[0].into());
                    }
                    (random, slots, sum)
                });
                (random, slots, sum) = generation.join().expect("it only replaces blocks");
            }
            sum
        }
    };
    let lives: Vec<_> = (0..threads).map(|n| thread::spawn(life(n))).collect();
    let sums = lives.into_iter().map(|life| life.join().expect("as above"));
    let sum = sums.fold(1, fold);
    clock.stop(share * threads * GENERATIONS, sum)
}

/// One thread makes messages of 16 to 400 bytes; another reads and frees them.
#[must_use]
pub fn producer(scale: Scale) -> Report {
    let count = scale.of(2_000_000);
    let clock = Clock::start();
    let (messages_in, messages_out) = mpsc::sync_channel::<Vec<u8>>(1024);
    let consumer = thread::spawn(move || {
        let read = |sum, message: Vec<u8>| {
            let last = message[message.len() - 1];
            fold(sum, u64::from(last) + message.len() as u64)
        };
        messages_out.into_iter().fold(1, read)
    });
    let mut random = Random::new();
    for n in 0..count {
        let message = vec![n as u8; 16 + random.below(385)];
        messages_in.send(message).expect("the consumer waits");
    }
    drop(messages_in);
    let sum = consumer.join().expect("it only reads");
    clock.stop(count, sum)
}

/// Threads of a short life, one after the other: each frees the blocks of the one
/// before and leaves 200 of its own.
#[must_use]
pub fn thread_churn(scale: Scale) -> Report {
    let count = scale.of(10_000);
    let clock = Clock::start();
    let mut left: Vec<Vec<u8>> = Vec::new();
    let mut sum = 1;
    for n in 0..count {
        let before = left;
        let thread = thread::spawn(move || {
            let sum = before
                .iter()
                .fold(1, |sum, block| fold(sum, block[0].into()));
            drop(before);
            let mut random = Random::nth(n);
            let mut make = |n| {
                let mut block: Vec<u8> = Vec::with_capacity(8 + random.below(1000));
                block.push(n);
                block
            };
            ((0..200).map(&mut make).collect(), sum)
        });
        let (blocks, part) = thread.join().expect("it only allocates and frees");
        left = blocks;
        sum = fold(sum, part);
    }
    clock.stop(count, sum)
}
