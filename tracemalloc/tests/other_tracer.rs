//! `pymalloc` tells another tracer: the recorder leaves it alone.

use std::hint::black_box;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use pymalloc::PyMalloc;
use pymalloc::trace::{self, Mode, Tracer};
use tracemalloc::StartError;

#[global_allocator]
static GLOBAL: PyMalloc = PyMalloc;

/// A tracer of no size, as the recorder's might be; its entries are no stacks of the recorder's.
struct Other;

static TOLD: AtomicUsize = AtomicUsize::new(0);
const ENTRY: u64 = 0x1234_0000_0000_0001;

impl Tracer for Other {
    fn allocated(&self, _block: *mut u8, _size: usize) -> u64 {
        TOLD.fetch_add(1, Relaxed);
        ENTRY
    }

    fn freed(&self, _block: *mut u8, _entry: u64) {}

    fn allocated_large(&self, _block: *mut u8, _size: usize) {}

    fn freed_large(&self, _block: *mut u8) {}

    fn bytes_to_next_sample(&self) -> u64 {
        1000
    }
}

#[test]
fn another_tracer_keeps_its_blocks_and_goes_on() {
    trace::start(&Other, Mode::Exact).unwrap();
    let kept = black_box(Box::new([1_u8; 300]));
    let entry = || trace::find((&raw const *kept).cast()).map(|(_, entry)| entry);
    assert_eq!(entry(), Some(ENTRY));
    assert_eq!(tracemalloc::start(5), Err(StartError::OtherTracer));
    assert!(!tracemalloc::is_tracing());
    assert!(tracemalloc::get_object_traceback(&*kept).is_none());
    tracemalloc::clear_traces();
    tracemalloc::stop();
    assert_eq!(entry(), Some(ENTRY));
    let told = TOLD.load(Relaxed);
    drop(black_box(Box::new([2_u8; 300])));
    assert!(TOLD.load(Relaxed) > told);
    trace::stop();
}
