//! The model is no rubber stamp: each broken allocator here breaks one claim
//! of `model`, and the model says which.
//!
//! Every broken allocator wraps `PyMalloc`, so that nothing else is wrong.

mod model;
mod support;

use std::alloc::{GlobalAlloc, Layout};
use std::panic::catch_unwind;
use std::sync::{Mutex, MutexGuard};

use model::{Model, Op, Subject};
use pymalloc::PyMalloc;
use support::Random;

/// The one thing that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    /// `alloc_zeroed` is `alloc`.
    LeavesDirt,
    /// `realloc` copies the first half.
    CopiesHalf,
    /// `realloc` frees the old block though it returns null.
    LosesOldOnNull,
    /// `alloc` ignores alignments above a word.
    Misaligns,
    /// Two allocations get one block.
    HandsOutTwice,
    /// A block starts inside the one before it.
    Overlaps,
    /// `dealloc` scribbles over a block that is still live.
    ScribblesOverNeighbour,
    /// `usable_size` is below the request.
    UnderstatesUsable,
    /// `owns` knows first bytes only.
    DisownsInterior,
    /// `dealloc` does not free.
    Leaks,
    /// The walker finds something.
    IsUnsound,
    /// A request comes back null.
    RunsOut,
}

#[derive(Debug)]
struct Broken {
    defect: Defect,
    /// Addresses of the live blocks.
    live: Mutex<Vec<usize>>,
}

impl Broken {
    fn new(defect: Defect) -> &'static Self {
        Box::leak(Box::new(Self {
            defect,
            live: Mutex::new(Vec::new()),
        }))
    }

    fn is(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    fn live(&self) -> MutexGuard<'_, Vec<usize>> {
        self.live.lock().expect("no holder panics")
    }

    fn record(&self, ptr: *mut u8) -> *mut u8 {
        let mut live = self.live();
        let last = live.last().copied();
        live.push(ptr.expose_provenance());
        let other = match self.defect {
            Defect::HandsOutTwice => last,
            Defect::Overlaps => last.map(|start| start + 16),
            _ => None,
        };
        other.map_or(ptr, std::ptr::with_exposed_provenance_mut)
    }

    fn forget(&self, ptr: *mut u8) {
        self.live().retain(|start| *start != ptr.addr());
    }
}

// SAFETY: it is not one; each test ends at the first broken promise, and the
// broken ones touch only memory that PyMalloc has handed to this wrapper.
unsafe impl GlobalAlloc for Broken {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.is(Defect::RunsOut) {
            return std::ptr::null_mut();
        }
        let skewed = self.is(Defect::Misaligns) && layout.align() > 8;
        let asked = if skewed {
            Layout::from_size_align(layout.size() + layout.align(), layout.align()).expect("small")
        } else {
            layout
        };
        // SAFETY: the caller's contract is the same.
        let ptr = unsafe { PyMalloc.alloc(asked) };
        self.record(ptr.wrapping_add(if skewed { 8 } else { 0 }))
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        self.forget(ptr);
        let neighbour = self.live().last().copied();
        if let Some(neighbour) = neighbour.filter(|_| self.is(Defect::ScribblesOverNeighbour)) {
            let neighbour = std::ptr::with_exposed_provenance_mut::<u8>(neighbour);
            // SAFETY: the block is live: it was recorded and not forgotten.
            unsafe { neighbour.write(neighbour.addr() as u8) };
        }
        if !self.is(Defect::Leaks) {
            // SAFETY: the caller's contract is the same.
            unsafe { PyMalloc.dealloc(ptr, layout) };
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if self.is(Defect::LeavesDirt) {
            // SAFETY: the caller's contract is the same.
            return unsafe { self.alloc(layout) };
        }
        // SAFETY: the caller's contract is the same.
        let ptr = unsafe { PyMalloc.alloc_zeroed(layout) };
        self.record(ptr)
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let new_layout = Layout::from_size_align(new_size, layout.align()).expect("small");
        if self.is(Defect::LosesOldOnNull) {
            // SAFETY: the block is live, so one byte of it can be written.
            unsafe { ptr.write_bytes(0xdd, 1) };
            return std::ptr::null_mut();
        }
        self.forget(ptr);
        if !self.is(Defect::CopiesHalf) {
            // SAFETY: the caller's contract is the same.
            let new = unsafe { PyMalloc.realloc(ptr, layout, new_size) };
            return self.record(new);
        }
        // SAFETY: the caller's contract is the same.
        let new = unsafe { PyMalloc.alloc_zeroed(new_layout) };
        let half = layout.size().min(new_size) / 2;
        // SAFETY: both blocks have that many bytes, and both are live.
        unsafe { new.copy_from_nonoverlapping(ptr, half) };
        // SAFETY: the caller gives the old block up.
        unsafe { PyMalloc.dealloc(ptr, layout) };
        self.record(new)
    }
}

impl Subject for Broken {
    unsafe fn usable_size(&self, ptr: *const u8) -> usize {
        if matches!(self.defect, Defect::HandsOutTwice | Defect::Overlaps) {
            return 100;
        }
        // SAFETY: the caller's promise; a skewed block starts 8 bytes early.
        let usable = unsafe { pymalloc::usable_size(ptr.map_addr(|addr| addr & !15)) };
        match self.defect {
            Defect::UnderstatesUsable => 99,
            Defect::Misaligns => 100,
            _ => usable,
        }
    }

    fn owns(&self, ptr: *const u8) -> bool {
        pymalloc::owns(ptr)
            && (!self.is(Defect::DisownsInterior) || self.live().contains(&ptr.addr()))
    }

    fn verify(&self) -> Result<(), String> {
        if self.is(Defect::IsUnsound) {
            return Err("a pool is on two lists".to_owned());
        }
        pymalloc::verify_heap().map_err(|error| format!("{error:?}"))
    }
}

/// Fifty blocks; a third resized, a third freed, the freed replaced.
fn sequence() -> Vec<Op> {
    let alloc = |zeroed| Op::Alloc {
        thread: 0,
        size: 100,
        align: 16,
        zeroed,
    };
    let mut random = Random::new(1);
    let mut ops: Vec<Op> = (0..50).map(|_| alloc(false)).collect();
    for _ in 0..16 {
        let (pick, new_size) = (random.below(50), 100 + random.below(100_000));
        ops.push(Op::Realloc {
            thread: 0,
            pick,
            new_size,
        });
        ops.push(Op::Dealloc {
            thread: 0,
            pick: random.below(32),
        });
    }
    ops.extend((0..16).map(|_| alloc(true)));
    ops.push(Op::Check);
    ops
}

/// The claim that the model says is broken.
fn verdict(defect: Defect, tolerates_null: bool) -> String {
    let subject = Broken::new(defect);
    let outcome = catch_unwind(move || {
        let mut model = if tolerates_null {
            Model::tolerating_null(subject)
        } else {
            Model::new(subject)
        };
        for op in sequence() {
            model.apply(op);
        }
        model.finish();
    });
    let panic = outcome.expect_err("a broken allocator passed");
    support::panic_text(&*panic).to_owned()
}

#[test]
fn every_defect_is_named() {
    support::alone(|| {
        for (defect, claim) in [
            (Defect::LeavesDirt, "alloc_zeroed: dirty bytes"),
            (Defect::CopiesHalf, "realloc lost the prefix"),
            (Defect::LosesOldOnNull, "null for"),
            (Defect::Misaligns, "misaligned"),
            (Defect::HandsOutTwice, "overlap"),
            (Defect::Overlaps, "overlap"),
            (
                Defect::ScribblesOverNeighbour,
                "the bytes of a live block changed",
            ),
            (Defect::UnderstatesUsable, "usable_size 99 is below"),
            (Defect::DisownsInterior, "owns is false at 49"),
            (Defect::Leaks, "bytes_in_use grew"),
            (Defect::IsUnsound, "verify_heap: a pool is on two lists"),
            (Defect::RunsOut, "null for"),
        ] {
            let said = verdict(defect, false);
            assert!(said.contains(claim), "{defect:?} was called: {said}");
        }
    });
}

#[test]
fn a_failed_realloc_that_touches_the_old_block_is_named() {
    support::alone(|| {
        let said = verdict(Defect::LosesOldOnNull, true);
        assert!(said.contains("realloc that returned null"), "{said}");
    });
}
