//! Memory that is free goes back to the system: at once beyond a budget, with
//! no further call into the allocator, and all of it on `trim`.
//!
//! Each test is a child process, whose resident memory is its own.

mod support;

use pymalloc::PyMalloc;
use support::{Child, alone, assert_heap_is_sound, in_child, resident_bytes};

#[global_allocator]
static GLOBAL: PyMalloc = PyMalloc;

const MIB: usize = 1 << 20;
/// What an idle process may keep.
const IDLE_BYTES: usize = 15 * MIB;
/// The large tier's cache may be full besides.
const IDLE_AND_CACHE_BYTES: usize = IDLE_BYTES + 16 * MIB;

#[track_caller]
fn as_child(test: &str, story: fn()) {
    if in_child(test).is_some() {
        story();
    } else {
        alone(|| {
            Child::of(test, "measured").stderr();
        });
    }
}

/// Blocks of one size, all touched, `bytes` in total.
fn blocks(size: usize, bytes: usize) -> Vec<Box<[u8]>> {
    let count = bytes / size;
    let mut blocks = Vec::with_capacity(count);
    blocks.extend((0..count).map(|_| vec![1_u8; size].into_boxed_slice()));
    blocks
}

#[track_caller]
fn assert_resident_is_below(limit: usize) {
    let resident = resident_bytes();
    assert!(resident < limit, "{} MiB resident", resident / MIB);
}

/// Fills the heap and frees it; only then looks, without another call.
#[track_caller]
fn fill_and_free(size: usize, limit: usize) {
    let all = blocks(size, 300 * MIB);
    assert!(resident_bytes() > 300 * MIB, "the blocks are not there");
    drop(all);
    assert_resident_is_below(limit);
    assert_heap_is_sound();
}

#[test]
fn three_hundred_megabytes_of_small_blocks_go_back() {
    as_child("three_hundred_megabytes_of_small_blocks_go_back", || {
        fill_and_free(96, IDLE_BYTES);
    });
}

#[test]
fn three_hundred_megabytes_of_medium_blocks_go_back() {
    as_child("three_hundred_megabytes_of_medium_blocks_go_back", || {
        fill_and_free(9_000, IDLE_BYTES);
    });
}

#[test]
fn three_hundred_megabytes_of_large_blocks_go_back() {
    as_child("three_hundred_megabytes_of_large_blocks_go_back", || {
        fill_and_free(1_000_000, IDLE_AND_CACHE_BYTES);
    });
}

#[test]
fn blocks_freed_by_another_thread_go_back() {
    as_child("blocks_freed_by_another_thread_go_back", || {
        let all = blocks(96, 100 * MIB);
        std::thread::spawn(move || drop(all))
            .join()
            .expect("it only frees");
        pymalloc::trim();
        assert_resident_is_below(IDLE_BYTES);
        assert_heap_is_sound();
    });
}

#[test]
fn blocks_of_a_dead_thread_go_back() {
    as_child("blocks_of_a_dead_thread_go_back", || {
        let all = std::thread::spawn(|| blocks(96, 100 * MIB))
            .join()
            .expect("it only allocates");
        drop(all);
        pymalloc::trim();
        assert_resident_is_below(IDLE_BYTES);
        assert_heap_is_sound();
    });
}

/// Bytes of mappings for which huge pages were asked, whether there were any or not.
fn bytes_for_huge_pages() -> usize {
    let smaps = std::fs::read_to_string("/proc/self/smaps").expect("Linux has /proc");
    let mut size = 0;
    let mut bytes = 0;
    for line in smaps.lines() {
        if let Some(kib) = line.strip_prefix("Size:") {
            let kib = kib.trim().strip_suffix(" kB").expect("a size");
            size = kib.parse::<usize>().expect("a number") * 1024;
        } else if line.starts_with("VmFlags:") && line.contains(" hg") {
            bytes += size;
        }
    }
    bytes
}

#[test]
fn a_heap_that_grows_large_has_huge_pages_until_it_gives_back() {
    if !std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
        support::skip("this kernel has no huge pages");
        return;
    }
    as_child(
        "a_heap_that_grows_large_has_huge_pages_until_it_gives_back",
        || {
            let first = blocks(96, 8 * MIB);
            assert_eq!(bytes_for_huge_pages(), 0, "a small heap has huge pages");
            let rest = blocks(96, 56 * MIB);
            let huge = bytes_for_huge_pages();
            assert!(huge >= 32 * MIB, "{} MiB of huge pages", huge / MIB);
            drop(rest);
            pymalloc::trim();
            assert_eq!(
                bytes_for_huge_pages(),
                0,
                "a part that is used again is whole"
            );
            assert_resident_is_below(IDLE_BYTES + 8 * MIB);
            drop(blocks(96, 56 * MIB));
            assert!(first.iter().all(|block| block[95] == 1));
            assert_heap_is_sound();
        },
    );
}

#[test]
fn a_heap_that_breathes_stops_giving_back() {
    as_child("a_heap_that_breathes_stops_giving_back", || {
        let breathe = |times: usize| {
            for _ in 0..times {
                drop(blocks(96, 3 * MIB));
            }
            pymalloc::stats().arenas_reclaimed
        };
        let learning = breathe(10);
        assert!(learning > 0, "nothing went back: a breath is too small");
        assert_eq!(breathe(20), learning);
        // What it learned is forgotten when much goes back.
        fill_and_free(96, IDLE_BYTES);
        assert!(breathe(1) > learning);
    });
}

#[test]
fn the_front_of_a_huge_block_stays_where_pages_are_wanted_again() {
    as_child(
        "the_front_of_a_huge_block_stays_where_pages_are_wanted_again",
        || {
            let cached_of_one_more = || {
                drop(vec![1_u8; 20 * MIB]);
                pymalloc::stats().bytes_large_cached
            };
            assert_eq!(cached_of_one_more(), 0);
            assert_eq!(cached_of_one_more(), 4 * MIB);
            assert_eq!(cached_of_one_more(), 4 * MIB);
            assert_heap_is_sound();
        },
    );
}

#[test]
fn trim_says_what_it_gives_back_and_a_second_finds_nothing() {
    as_child(
        "trim_says_what_it_gives_back_and_a_second_finds_nothing",
        || {
            // Small enough that a budget may keep all of it.
            drop(blocks(96, 4 * MIB));
            drop(blocks(100_000, 4 * MIB));
            let cached = pymalloc::stats().bytes_large_cached;
            assert!(cached > 0, "nothing to give back");
            let before = resident_bytes();
            let given = pymalloc::trim();
            // At once: to look at the process takes memory, too.
            let left = pymalloc::trim();
            let after = resident_bytes();
            assert!(given >= cached, "{given} bytes of {cached} given back");
            assert_eq!(pymalloc::stats().bytes_large_cached, 0);
            assert_eq!(left, 0, "the first left something");
            // The process itself may take a little in between.
            let gone = before.saturating_sub(after);
            assert!(gone + MIB >= cached, "{gone} bytes of {cached} are gone");
            assert!(given + MIB >= gone, "{given} bytes account for {gone}");
            assert_heap_is_sound();
            // What was given back serves again.
            let again = blocks(96, 4 * MIB);
            assert!(again.iter().all(|block| block[95] == 1));
        },
    );
}

#[test]
fn trim_keeps_every_live_byte() {
    as_child("trim_keeps_every_live_byte", || {
        let mut all = blocks(96, 30 * MIB);
        // One block in fifty lives: most pools have one, some have none.
        let mut index = 0;
        all.retain_mut(|block| {
            index += 1;
            block.fill(index as u8);
            index % 50 == 0
        });
        pymalloc::trim();
        assert_heap_is_sound();
        for (i, block) in all.iter().enumerate() {
            let expected = ((i + 1) * 50) as u8;
            assert!(block.iter().all(|byte| *byte == expected), "block {i}");
        }
    });
}
