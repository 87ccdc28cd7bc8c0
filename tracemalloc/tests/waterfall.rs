//! Resident memory goes where it is known to have gone.

use std::hint::black_box;

use pymalloc::PyMalloc;
use tracemalloc::Waterfall;

#[global_allocator]
static GLOBAL: PyMalloc = PyMalloc;

const MIB: u64 = 1 << 20;

fn part(waterfall: &Waterfall, name: &str) -> u64 {
    waterfall.bytes_of(name).unwrap_or(0)
}

/// One after the other, in one test: they look at the whole process.
#[test]
fn each_part_grows_with_what_it_is_of() {
    tracemalloc::start(3).unwrap();
    let before = tracemalloc::waterfall().unwrap();
    // 100 bytes are a block of 104: of 60,000 these are 5.7 MiB and 234 KiB.
    let mut kept: Vec<Box<[u8; 100]>> =
        (0..60_000).map(|_| black_box(Box::new([1; 100]))).collect();
    let full = tracemalloc::waterfall().unwrap();
    let grown = |name| part(&full, name).saturating_sub(part(&before, name));
    let list = (kept.capacity() * 8) as u64;
    // What the system says lags behind, and the harness allocates now and then.
    let live = grown("live").saturating_sub(list);
    assert!((4 * MIB..8 * MIB).contains(&live), "{full}");
    let rounding = grown("rounding");
    assert!((MIB / 5..MIB / 2).contains(&rounding), "{full}");
    assert!(
        grown("tracer") > MIB / 4 && part(&full, "metadata") > 0,
        "{full}"
    );
    assert!(part(&full, "files") > MIB, "{full}");
    let rss = tracemalloc::memory_info().unwrap().rss_bytes;
    assert!(full.rss_bytes().abs_diff(rss) < 32 * MIB, "{full}");

    // A snapshot says the same.
    let snapshot = tracemalloc::take_snapshot().unwrap();
    let taken = snapshot.waterfall().unwrap();
    assert!(
        part(&taken, "rounding").abs_diff(part(&full, "rounding")) < MIB / 16,
        "{taken}"
    );
    assert!(
        part(&taken, "live").abs_diff(part(&full, "live")) < 2 * MIB,
        "{taken}"
    );
    let filters: [tracemalloc::TraceFilter; 1] = [tracemalloc::DomainFilter::new(true, 9).into()];
    assert_eq!(snapshot.filter_traces(filters).waterfall(), Some(taken));
    drop(snapshot);

    // Every second block is free, in pools that stay.
    let mut number = 0;
    kept.retain(|_| {
        number += 1;
        number % 2 == 0
    });
    let holes = tracemalloc::waterfall().unwrap();
    assert!(
        part(&holes, "free blocks") > part(&full, "free blocks") + 2 * MIB,
        "{holes}"
    );
    assert!(
        part(&holes, "live") + 2 * MIB < part(&full, "live"),
        "{holes}"
    );
    assert!(part(&holes, "rounding") < rounding, "{holes}");

    // Addresses that were never written are not resident, and not live.
    let never_written: Vec<u8> = black_box(Vec::with_capacity(2 << 30));
    let much = tracemalloc::waterfall().unwrap();
    assert!(much.rss_bytes() < 1 << 30, "{much}");
    assert!(part(&much, "live") < 1 << 30, "{much}");
    drop((kept, never_written));
    tracemalloc::stop();

    // Without tracing, too, but for rounding and the tables of stacks.
    let off = tracemalloc::waterfall().unwrap();
    assert_eq!(off.bytes_of("rounding"), None);
    assert!(
        part(&off, "live") > 0 && part(&off, "rest") + part(&off, "files") > 0,
        "{off}"
    );
}
