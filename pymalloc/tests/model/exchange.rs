//! Threads at work at the same time: what one allocates another checks, resizes and
//! frees.
//!
//! ```text
//!  program 0: put ─┐        ┌──── take: check the pattern, free
//!  program 1:      ├▶ slots ┤
//!  program 2: put ─┘        └──── resize: check, realloc, put back
//! ```
//! A program is a list of steps, run by one thread after another: each `Exit` ends the
//! thread, and what it owned is orphaned. Nothing here knows where programs come from.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use pymalloc::PyMalloc;

use super::pattern::{Pattern, is_zero};

/// What a thread does next. Slots are numbers modulo how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Allocates a block, and frees the one whose place it takes.
    Put {
        slot: usize,
        size: usize,
        align: usize,
        zeroed: bool,
    },
    /// The same for many of one size, in neighbouring slots.
    Fill {
        slot: usize,
        size: usize,
        count: usize,
    },
    /// Frees a block.
    Take { slot: usize },
    /// The same for many, in neighbouring slots.
    Clear { slot: usize, count: usize },
    /// Resizes a block.
    Resize { slot: usize, new_size: usize },
    /// Gives back what is empty.
    Trim,
    /// Walks the heap.
    Look,
    /// The thread ends.
    Exit,
}

/// A block that knows what it holds.
#[derive(Debug)]
struct Parcel {
    block: *mut u8,
    layout: Layout,
    usable: usize,
    pattern: Pattern,
}

impl Parcel {
    fn new(layout: Layout, zeroed: bool) -> Self {
        let block = if zeroed {
            // SAFETY: PyMalloc takes every layout.
            unsafe { PyMalloc.alloc_zeroed(layout) }
        } else {
            // SAFETY: as above.
            unsafe { PyMalloc.alloc(layout) }
        };
        assert!(!block.is_null(), "null for {layout:?}");
        if zeroed {
            // SAFETY: the block is new, and at least that long.
            let bytes = unsafe { std::slice::from_raw_parts(block, layout.size()) };
            assert!(is_zero(bytes), "alloc_zeroed: dirty bytes in {layout:?}");
        }
        Self::filled(block, layout)
    }

    fn filled(block: *mut u8, layout: Layout) -> Self {
        assert!(block.addr().is_multiple_of(layout.align()), "{layout:?}");
        // SAFETY: the block is live.
        let usable = unsafe { pymalloc::usable_size(block) };
        assert!(usable >= layout.size(), "{usable} bytes for {layout:?}");
        // Two live blocks have two addresses: their patterns differ.
        let pattern = Pattern::of(block.addr() as u64);
        pattern.fill(block, usable);
        Self {
            block,
            layout,
            usable,
            pattern,
        }
    }

    #[track_caller]
    fn check(&self) {
        assert!(
            self.pattern.is_at(self.block, self.usable),
            "the bytes of a live block changed: {:?}",
            self.layout
        );
    }

    fn resize(&mut self, new_size: usize) {
        self.check();
        let layout = Layout::from_size_align(new_size, self.layout.align()).expect("a small size");
        // SAFETY: the block is live under its layout.
        let moved = unsafe { PyMalloc.realloc(self.block, self.layout, new_size) };
        assert!(!moved.is_null(), "null for {layout:?}");
        let kept = self.layout.size().min(new_size);
        assert!(self.pattern.is_at(moved, kept), "realloc lost the prefix");
        *self = Self::filled(moved, layout);
    }

    fn free(self) {
        self.check();
        // SAFETY: the block is live, and consumed here.
        unsafe { PyMalloc.dealloc(self.block, self.layout) };
    }
}

/// The places where blocks change hands.
#[derive(Debug)]
pub(crate) struct Exchange {
    slots: Vec<AtomicPtr<Parcel>>,
}

impl Exchange {
    /// Empty slots.
    pub(crate) fn new(slots: usize) -> Self {
        let empty = || AtomicPtr::new(null_mut());
        Self {
            slots: std::iter::repeat_with(empty).take(slots).collect(),
        }
    }

    /// Runs the programs at once, and waits for all.
    pub(crate) fn run(&self, programs: &[Vec<Step>]) {
        std::thread::scope(|scope| {
            let threads: Vec<_> = programs
                .iter()
                .map(|program| scope.spawn(|| self.run_one(program)))
                .collect();
            // The scope alone would not wait for the ends of the threads.
            for thread in threads {
                thread.join().expect("every claim held");
            }
        });
    }

    fn run_one(&self, program: &[Step]) {
        for life in program.split(|step| *step == Step::Exit) {
            std::thread::scope(|scope| {
                let thread = scope.spawn(|| life.iter().for_each(|step| self.apply(*step)));
                thread.join().expect("every claim held");
            });
        }
    }

    /// Takes one step.
    pub(crate) fn apply(&self, step: Step) {
        match step {
            Step::Put {
                slot,
                size,
                align,
                zeroed,
            } => {
                let layout = Layout::from_size_align(size, align).expect("a small size");
                self.put(slot, Parcel::new(layout, zeroed));
            }
            Step::Fill { slot, size, count } => {
                let layout = Layout::from_size_align(size, 1).expect("a small size");
                (slot..slot + count).for_each(|slot| self.put(slot, Parcel::new(layout, false)));
            }
            Step::Take { slot } => self.clear(slot),
            Step::Clear { slot, count } => (slot..slot + count).for_each(|slot| self.clear(slot)),
            Step::Resize { slot, new_size } => {
                if let Some(mut parcel) = self.swap(slot, null_mut()) {
                    parcel.resize(new_size);
                    self.put(slot, parcel);
                }
            }
            Step::Trim => {
                pymalloc::trim();
            }
            Step::Look => {
                if let Err(error) = pymalloc::verify_heap() {
                    panic!("verify_heap: {error:?}");
                }
                let stats = pymalloc::stats();
                assert!(stats.arenas_current <= stats.arenas_highwater);
            }
            Step::Exit => {}
        }
    }

    fn put(&self, slot: usize, parcel: Parcel) {
        if let Some(old) = self.swap(slot, Box::into_raw(Box::new(parcel))) {
            old.free();
        }
    }

    fn clear(&self, slot: usize) {
        if let Some(old) = self.swap(slot, null_mut()) {
            old.free();
        }
    }

    fn swap(&self, slot: usize, new: *mut Parcel) -> Option<Parcel> {
        // ORDERING: AcqRel hands a parcel and its block's bytes on; pairs with itself.
        let old = self.slots[slot % self.slots.len()].swap(new, Ordering::AcqRel);
        // SAFETY: a pointer in a slot came from a box, and whoever swaps it out has it.
        (!old.is_null()).then(|| *unsafe { Box::from_raw(old) })
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // A failed check has said what there is to say.
        if !std::thread::panicking() {
            (0..self.slots.len()).for_each(|slot| self.clear(slot));
        }
    }
}
