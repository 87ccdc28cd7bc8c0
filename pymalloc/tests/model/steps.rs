//! The steps: each runs on the subject, and on the model.

use std::alloc::Layout;

use super::block::Block;
use super::crew::Address;
use super::pattern::is_zero;
use super::{Model, Subject};

/// At most this many blocks live: one more allocation frees one first.
const MAX_LIVE: usize = 4096;
/// A drain's blocks lie this many places apart: from one pool, then another.
const DRAIN_STRIDE: usize = 37;
/// At most so many bytes in one burst.
const BURST_BYTES: usize = 1 << 20;

impl<S: Subject> Model<S> {
    pub(super) fn alloc(&mut self, thread: usize, size: usize, align: usize, zeroed: bool) {
        if self.live.len() == MAX_LIVE {
            self.dealloc(thread, self.next_id as usize);
        }
        let layout =
            Layout::from_size_align(size, align).expect("sizes here are far from the limit");
        let subject = self.subject;
        let address = self.on(thread, move || {
            Address(if zeroed {
                // SAFETY: PyMalloc takes every layout, a zero-sized one too.
                unsafe { subject.alloc_zeroed(layout) }
            } else {
                // SAFETY: as above.
                unsafe { subject.alloc(layout) }
            })
        });
        if self.is_null(address, layout) {
            return;
        }
        let block = self.admit(address, layout);
        if zeroed {
            // SAFETY: the block is live and at least `size` bytes long.
            let bytes = unsafe { std::slice::from_raw_parts(address.0, size) };
            assert!(is_zero(bytes), "alloc_zeroed: dirty bytes in {layout:?}");
        }
        block.pattern.fill(address.0, block.usable);
        self.live.push(block);
    }

    pub(super) fn realloc(&mut self, thread: usize, pick: usize, new_size: usize) {
        let Some(mut old) = self.remove(pick) else {
            return;
        };
        let (subject, address, layout) = (self.subject, old.address, old.layout);
        let new_address = self.on(thread, move || {
            let address = address;
            // SAFETY: the block is live under this layout.
            Address(unsafe { subject.realloc(address.0, layout, new_size) })
        });
        let new_layout = Layout::from_size_align(new_size, layout.align())
            .expect("sizes here are far from the limit");
        if self.is_null(new_address, new_layout) {
            old.check("realloc that returned null");
        } else {
            let kept = layout.size().min(new_size);
            assert!(
                old.pattern.is_at(new_address.0, kept),
                "realloc lost the prefix: {layout:?} to {new_size}"
            );
            old = self.admit(new_address, new_layout);
            old.pattern.fill(new_address.0, old.usable);
        }
        self.ranges.insert(old.start(), old.end());
        self.live.push(old);
    }

    pub(super) fn dealloc(&mut self, thread: usize, pick: usize) {
        let Some(block) = self.remove(pick) else {
            return;
        };
        block.check("dealloc");
        let (subject, address, layout) = (self.subject, block.address, block.layout);
        self.on(thread, move || {
            let address = address;
            // SAFETY: the block is live under this layout, and forgotten here.
            unsafe { subject.dealloc(address.0, layout) };
            address
        });
    }

    pub(super) fn burst(&mut self, thread: usize, size: usize, align: usize, count: usize) {
        let room = size.next_multiple_of(align).max(1);
        for _ in 0..count.min(BURST_BYTES / room) {
            self.alloc(thread, size, align, false);
        }
    }

    pub(super) fn drain(&mut self, thread: usize, pick: usize, count: usize) {
        for step in 0..count {
            self.dealloc(thread, pick.wrapping_add(step * DRAIN_STRIDE));
        }
    }

    pub(super) fn trim(&mut self, thread: usize) {
        let subject = self.subject;
        self.on(thread, move || {
            subject.trim();
            Address(std::ptr::null_mut())
        });
    }

    fn remove(&mut self, pick: usize) -> Option<Block> {
        let index = pick.checked_rem(self.live.len())?;
        let block = self.live.swap_remove(index);
        self.ranges.remove(&block.start());
        Some(block)
    }

    fn is_null(&mut self, address: Address, layout: Layout) -> bool {
        let is_null = address.0.is_null();
        self.null_count += usize::from(is_null);
        assert!(!(is_null && self.null_is_a_failure), "null for {layout:?}");
        is_null
    }

    fn on(&mut self, thread: usize, work: impl FnOnce() -> Address + Send + 'static) -> Address {
        self.crew.run(thread, work)
    }
}
