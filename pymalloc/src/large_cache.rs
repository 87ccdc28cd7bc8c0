//! Freed large blocks that stay mapped for reuse: a few spans of pages, cut and joined.
//!
//! ```text
//!          ┌──────────┬─────────┬──────────────┐
//!  a span: │ block    │ block   │ rest         │   cut from the front, best fit first
//!          └──────────┴─────────┴──────────────┘
//!            freed ──▶ joined with its neighbours
//!            growing ─▶ takes from the rest behind it
//! ```
//! The kernel does not mind: any pages may be unmapped, whichever mapping they came
//! with. So what a program freed as one size serves as another, and a block may grow
//! into the span behind it: no system call, and no page fault.
//!
//! # Invariants
//! 1. Spans are whole pages, mapped, used by nobody; no two touch.
//! 2. `bytes` is their sum: at most the limit, but while `take_excess` has something to
//!    give.
//!
//! # Access
//! Under the lock of the large blocks.

use core::ptr::NonNull;

/// Pages: a large block, or what was one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mapping {
    pub(crate) start: NonNull<u8>,
    pub(crate) size: usize,
}

impl Mapping {
    /// `size` bytes at `addr`, where a mapping was made whose provenance is exposed.
    pub(crate) fn at(addr: usize, size: usize) -> Option<Self> {
        let start = NonNull::new(core::ptr::with_exposed_provenance_mut(addr))?;
        Some(Self { start, size })
    }
}

#[derive(Clone, Copy, Debug)]
struct Span {
    addr: usize,
    size: usize,
}

impl Span {
    fn end(self) -> usize {
        self.addr + self.size
    }

    fn mapping(self) -> Option<Mapping> {
        Mapping::at(self.addr, self.size)
    }
}

/// The spans, oldest first.
#[derive(Debug)]
pub(crate) struct Cache {
    spans: [Span; Self::SLOTS],
    len: usize,
    bytes: usize,
}

impl Cache {
    const SLOTS: usize = 32;

    /// A rest no larger than one part in this many of a block stays with it.
    const REST_FRACTION: usize = 8;

    /// No spans.
    pub(crate) const fn new() -> Self {
        Self {
            spans: [Span { addr: 0, size: 0 }; Self::SLOTS],
            len: 0,
            bytes: 0,
        }
    }

    /// Bytes of the spans.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn kept(&self) -> &[Span] {
        self.spans.get(..self.len).unwrap_or_default()
    }

    /// Address and bytes of each.
    pub(crate) fn spans(&self) -> impl Iterator<Item = (usize, usize)> {
        self.kept().iter().map(|span| (span.addr, span.size))
    }

    fn remove(&mut self, index: usize) -> Option<Span> {
        let rest = self.spans.get_mut(index..self.len)?;
        let span = *rest.first()?;
        rest.rotate_left(1);
        self.len -= 1;
        self.bytes -= span.size;
        Some(span)
    }

    /// Takes `size` bytes off the front of span `index`; all of it, if the rest is
    /// no more than `rest_max`.
    fn cut_front(&mut self, index: usize, size: usize, rest_max: usize) -> Option<Mapping> {
        let span = self.spans.get_mut(index)?;
        if span.size - size <= rest_max {
            return self.remove(index)?.mapping();
        }
        let front = Span {
            addr: span.addr,
            size,
        };
        *span = Span {
            addr: span.addr + size,
            size: span.size - size,
        };
        self.bytes -= size;
        front.mapping()
    }

    /// At least `size` bytes, whole pages, of the span that fits best.
    pub(crate) fn take(&mut self, size: usize) -> Option<Mapping> {
        let (index, _) = self
            .kept()
            .iter()
            .enumerate()
            .filter(|(_, span)| span.size >= size)
            .min_by_key(|(_, span)| span.size)?;
        self.cut_front(index, size, size / Self::REST_FRACTION)
    }

    /// Takes exactly `size` bytes, whole pages, that start at `addr`; whether they
    /// were there.
    pub(crate) fn take_at(&mut self, addr: usize, size: usize) -> bool {
        let found = |span: &Span| span.addr == addr && span.size >= size;
        let index = self.kept().iter().position(found);
        index.is_some_and(|index| self.cut_front(index, size, 0).is_some())
    }

    /// Keeps a mapping. Something may have to go then: `take_excess`.
    pub(crate) fn put(&mut self, mapping: Mapping) {
        let mut span = Span {
            addr: mapping.start.expose_provenance().get(),
            size: mapping.size,
        };
        for _ in 0..2 {
            let touches = |other: &Span| other.end() == span.addr || span.end() == other.addr;
            let neighbour = self.kept().iter().position(touches);
            if let Some(other) = neighbour.and_then(|index| self.remove(index)) {
                // INVARIANT 1: joined with what touches it.
                span.addr = span.addr.min(other.addr);
                span.size += other.size;
            }
        }
        if let Some(slot) = self.spans.get_mut(self.len) {
            *slot = span;
            self.len += 1;
            self.bytes += span.size;
        }
    }

    /// What is more than `limit` bytes, in whole pages: the end of the oldest span, or all
    /// of it; what is left is a block's first bytes, which were touched. One more call may
    /// find more. A slot is kept free.
    pub(crate) fn take_excess(&mut self, limit: usize, page: usize) -> Option<Mapping> {
        let excess = self.bytes.saturating_sub(limit).next_multiple_of(page);
        if self.len == Self::SLOTS {
            return self.take_oldest();
        }
        if excess == 0 {
            return None;
        }
        let oldest = self.spans.first_mut()?;
        if oldest.size <= excess {
            return self.take_oldest();
        }
        oldest.size -= excess;
        let cut = Span {
            addr: oldest.end(),
            size: excess,
        };
        self.bytes -= excess;
        cut.mapping()
    }

    /// The span that has been there longest.
    pub(crate) fn take_oldest(&mut self) -> Option<Mapping> {
        self.remove(0)?.mapping()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    const PAGE: usize = 4096;
    const PAGES: usize = 64;
    const BASE: usize = 0x10_0000;

    fn mapping(page: usize, pages: usize) -> Mapping {
        Mapping::at(BASE + page * PAGE, pages * PAGE).expect("not at 0")
    }

    fn pages_of(mapping: Mapping) -> std::ops::Range<usize> {
        let first = (mapping.start.addr().get() - BASE) / PAGE;
        first..first + mapping.size / PAGE
    }

    /// Looks at both invariants, given which pages the cache should have.
    fn check(cache: &Cache, cached: &[bool]) {
        let mut seen = vec![false; PAGES];
        let mut spans: Vec<_> = cache.spans().collect();
        spans.sort_unstable();
        for pair in spans.windows(2) {
            assert!(pair[0].0 + pair[0].1 < pair[1].0, "spans touch");
        }
        for (addr, size) in &spans {
            for page in pages_of(mapping((addr - BASE) / PAGE, size / PAGE)) {
                seen[page] = true;
            }
        }
        assert_eq!(seen, cached);
        let pages = cached.iter().filter(|cached| **cached).count();
        assert_eq!(cache.bytes(), pages * PAGE);
    }

    #[derive(Clone, Copy, Debug)]
    enum Op {
        Put(usize, usize),
        Take(usize),
        TakeAt(usize, usize),
        Excess(usize),
        Oldest,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => (0..PAGES, 1..16_usize).prop_map(|(page, pages)| Op::Put(page, pages)),
            2 => (1..24_usize).prop_map(Op::Take),
            2 => (0..PAGES, 1..16_usize).prop_map(|(page, pages)| Op::TakeAt(page, pages)),
            1 => (0..PAGES).prop_map(Op::Excess),
            1 => Just(Op::Oldest),
        ]
    }

    proptest! {
        #[test]
        fn every_page_put_in_comes_out_once(ops in prop::collection::vec(op(), 1..100)) {
            let mut cache = Cache::new();
            let mut cached = [false; PAGES];
            for op in ops {
                let taken = match op {
                    Op::Put(page, pages) => {
                        let range = page..PAGES.min(page + pages);
                        if !cached[range.clone()].contains(&true) {
                            cache.put(mapping(page, range.len()));
                            cached[range].fill(true);
                        }
                        None
                    }
                    Op::Take(pages) => {
                        let longest = cached.split(|cached| !cached).map(<[bool]>::len).max();
                        let taken = cache.take(pages * PAGE);
                        prop_assert_eq!(taken.is_some(), longest >= Some(pages));
                        let (size, least) = (taken.map(|taken| taken.size), pages * PAGE);
                        prop_assert!(size.is_none_or(|size| (least..=least + least / 8).contains(&size)));
                        taken
                    }
                    Op::TakeAt(page, pages) => {
                        let starts = page == 0 || !cached[page - 1];
                        let fits = cached[page..].iter().take_while(|cached| **cached).count() >= pages;
                        let taken = cache.take_at(BASE + page * PAGE, pages * PAGE);
                        prop_assert_eq!(taken, starts && fits);
                        taken.then(|| mapping(page, pages))
                    }
                    Op::Excess(limit) => {
                        let bytes = cache.bytes();
                        let taken = cache.take_excess(limit * PAGE, PAGE);
                        prop_assert_eq!(taken.is_some(), bytes > limit * PAGE);
                        taken
                    }
                    Op::Oldest => cache.take_oldest(),
                };
                for page in taken.map_or(0..0, pages_of) {
                    prop_assert!(cached[page], "page {} came from nowhere", page);
                    cached[page] = false;
                }
                check(&cache, &cached);
            }
        }
    }

    #[test]
    fn the_oldest_gives_its_end_up_first() {
        let mut cache = Cache::new();
        cache.put(mapping(0, 8));
        cache.put(mapping(10, 4));
        let cut = cache.take_excess(9 * PAGE, PAGE).map(pages_of);
        assert_eq!(cut, Some(5..8));
        assert!(cache.take_excess(9 * PAGE, PAGE).is_none());
    }

    #[test]
    fn a_slot_stays_free_whatever_the_limit() {
        let mut cache = Cache::new();
        for n in 0..Cache::SLOTS * 2 {
            cache.put(mapping(2 * n, 1));
            while cache.take_excess(usize::MAX, PAGE).is_some() {}
        }
        assert_eq!(cache.spans().count(), Cache::SLOTS - 1);
        assert_eq!(cache.bytes(), (Cache::SLOTS - 1) * PAGE);
    }
}
