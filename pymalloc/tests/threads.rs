//! Threads are born and die under load, and hand each other their blocks:
//! no byte of a block changes on the way, the heap is sound at the end, and
//! it is about as large as it was at the start.
//!
//! Counts of operations end every loop; the clock decides nothing.

#[path = "model/queue.rs"]
mod queue;
mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use pymalloc::PyMalloc;
use queue::{Lock, Queue};
use support::{Random, alone, are_all, assert_heap_is_sound, bytes_in_use};

#[global_allocator]
static GLOBAL: PyMalloc = PyMalloc;

/// What the counts may differ by: the harness's own threads and channels,
/// and the bounded fronts of the threads that still run.
const SLACK_BYTES: usize = 1 << 20;
/// A block that knows what it holds.
#[derive(Debug)]
struct Parcel {
    bytes: Vec<u8>,
}

impl Parcel {
    fn new(random: &mut Random) -> Self {
        let len = random.size();
        Self {
            bytes: vec![len as u8; len],
        }
    }

    #[track_caller]
    fn check(&self) {
        let len = self.bytes.len();
        assert!(are_all(&self.bytes, len as u8), "a block of {len}");
    }
}

/// Runs `work` after a rehearsal of it, so that what a process needs once is
/// there at the start, and compares the bytes in use, and those resident for
/// whatever reason.
#[track_caller]
fn assert_leaves_nothing(mut work: impl FnMut()) {
    work();
    pymalloc::trim();
    let (in_use, resident) = (bytes_in_use(), pymalloc::stats().bytes_resident);
    for _ in 0..3 {
        work();
    }
    assert_heap_is_sound();
    pymalloc::trim();
    let (in_use_after, resident_after) = (bytes_in_use(), pymalloc::stats().bytes_resident);
    assert!(
        in_use_after <= in_use + SLACK_BYTES,
        "{in_use} bytes in use before, {in_use_after} after"
    );
    assert!(
        resident_after <= resident + SLACK_BYTES,
        "{resident} bytes resident before, {resident_after} after"
    );
}

#[test]
fn blocks_outlive_the_thread_that_allocated_them() {
    alone(|| {
        assert_leaves_nothing(|| {
            let parcels: Vec<Parcel> = (0..16)
                .flat_map(|seed| {
                    thread::spawn(move || {
                        let mut random = Random::new(seed);
                        let mut parcels: Vec<_> =
                            (0..400).map(|_| Parcel::new(&mut random)).collect();
                        // Some pools go with holes in them.
                        parcels.retain(|_| random.below(3) > 0);
                        parcels
                    })
                    .join()
                    .expect("the thread only allocates")
                })
                .collect();
            assert_heap_is_sound();
            // One thread that was never their owner frees them all.
            thread::spawn(move || parcels.iter().for_each(Parcel::check))
                .join()
                .expect("every block is whole");
        });
    });
}

#[test]
fn a_consumer_frees_what_a_producer_allocates() {
    alone(|| {
        assert_leaves_nothing(|| {
            let belt = Arc::new(Queue::<Parcel>::new(64));
            let sender = Arc::clone(&belt);
            let producer = thread::spawn(move || {
                let mut random = Random::new(7);
                for _ in 0..4_000 {
                    sender.send(Parcel::new(&mut random));
                }
                sender.close();
            });
            let mut consumed = 0;
            while let Some(parcel) = belt.receive() {
                parcel.check();
                consumed += 1;
            }
            assert_eq!(consumed, 4_000);
            producer.join().expect("the producer only allocates");
        });
    });
}

#[test]
fn eight_threads_free_each_others_blocks_at_random() {
    const THREADS: u64 = 8;
    const OPS: usize = 4_000;
    alone(|| {
        assert_leaves_nothing(|| {
            let slots: Arc<Vec<Lock<Option<Parcel>>>> =
                Arc::new((0..256).map(|_| Lock::new(None)).collect());
            let start = Arc::new(Barrier::new(THREADS as usize));
            let threads: Vec<_> = (0..THREADS)
                .map(|seed| {
                    let (slots, start) = (Arc::clone(&slots), Arc::clone(&start));
                    thread::spawn(move || {
                        let mut random = Random::new(seed);
                        start.wait();
                        for _ in 0..OPS {
                            let mut new = Parcel::new(&mut random);
                            if random.below(4) == 0 {
                                let len = random.size();
                                new.bytes.clear();
                                new.bytes.resize(len, len as u8);
                                new.bytes.shrink_to_fit();
                            }
                            let slot = &slots[random.below(slots.len())];
                            let old = slot.with(|slot| slot.replace(new));
                            old.iter().for_each(Parcel::check);
                        }
                    })
                })
                .collect();
            for thread in threads {
                thread.join().expect("every block is whole");
            }
            assert_heap_is_sound();
        });
    });
}

#[test]
fn threads_that_come_and_go_while_others_work_leave_nothing() {
    alone(|| {
        assert_leaves_nothing(|| {
            let parents = [0, 1].map(|seed| thread::spawn(move || bear_and_inherit(seed)));
            for parent in parents {
                parent.join().expect("every block is whole");
            }
        });
    });
}

/// Sixty children in turn: each frees its parent's blocks, and leaves some.
fn bear_and_inherit(seed: u64) {
    let mut random = Random::new(seed);
    let mut kept: Vec<Parcel> = Vec::new();
    for _ in 0..60 {
        let inherited = std::mem::take(&mut kept);
        let child_seed = random.below(1 << 20) as u64;
        let child = thread::spawn(move || {
            inherited.iter().for_each(Parcel::check);
            drop(inherited);
            let mut random = Random::new(child_seed);
            (0..60).map(|_| Parcel::new(&mut random)).collect()
        });
        kept = child.join().expect("every block is whole");
    }
    kept.iter().for_each(Parcel::check);
}

#[test]
fn looking_and_trimming_while_others_work_disturbs_nobody() {
    const WORKERS: usize = 3;
    alone(|| {
        let slots: Arc<Vec<Lock<Option<Parcel>>>> =
            Arc::new((0..256).map(|_| Lock::new(None)).collect());
        let at_work = Arc::new(AtomicUsize::new(WORKERS));
        let workers: Vec<_> = (0..WORKERS as u64)
            .map(|seed| {
                let (slots, at_work) = (Arc::clone(&slots), Arc::clone(&at_work));
                thread::spawn(move || {
                    let mut random = Random::new(seed);
                    for _ in 0..4_000 {
                        let new = Parcel::new(&mut random);
                        let slot = &slots[random.below(slots.len())];
                        let mut old = slot.with(|slot| slot.replace(new));
                        if let Some(parcel) = &mut old {
                            parcel.check();
                            // All grow, to the large ones that move their pages.
                            parcel.bytes.reserve_exact(100_000);
                            parcel.bytes.reserve_exact(200_000);
                        }
                    }
                    at_work.fetch_sub(1, Ordering::Relaxed);
                })
            })
            .collect();
        let mut looks = 0;
        while at_work.load(Ordering::Relaxed) > 0 || looks == 0 {
            assert_heap_is_sound();
            let stats = pymalloc::stats();
            assert!(stats.arenas_current <= stats.arenas_highwater);
            pymalloc::trim();
            looks += 1;
        }
        for worker in workers {
            worker.join().expect("every block is whole");
        }
        assert_heap_is_sound();
    });
}
