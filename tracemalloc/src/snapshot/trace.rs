//! The blocks of a snapshot, one by one.

use std::fmt;

use super::Snapshot;
use super::frame::Traceback;
use super::raw::{RawTrace, Weight};
use super::size::Size;

/// The traces of a snapshot (Python's `Snapshot.traces`): a sequence that makes each when asked.
#[derive(Debug, Clone, Copy)]
pub struct Traces<'a> {
    snapshot: &'a Snapshot,
}

impl<'a> Traces<'a> {
    pub(super) const fn new(snapshot: &'a Snapshot) -> Self {
        Self { snapshot }
    }

    /// How many there are: of blocks in exact mode, of samples in sampling mode.
    #[must_use]
    pub fn len(&self) -> usize {
        self.snapshot.raw_traces().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The trace at an index.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Trace<'a>> {
        let raw = self.snapshot.raw_traces().get(index)?;
        Some(Trace {
            snapshot: self.snapshot,
            raw,
        })
    }

    /// One after the other.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Trace<'a>> + use<'a> {
        let snapshot = self.snapshot;
        snapshot
            .raw_traces()
            .iter()
            .map(move |raw| Trace { snapshot, raw })
    }
}

/// One block (CPython: `tracemalloc.Trace`).
#[derive(Debug, Clone, Copy)]
pub struct Trace<'a> {
    snapshot: &'a Snapshot,
    raw: &'a RawTrace,
}

impl Trace<'_> {
    /// Whose address space it is in; 0 is the allocator's.
    #[must_use]
    pub const fn domain(&self) -> u32 {
        self.raw.domain
    }

    /// Bytes that were asked for.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.raw.size
    }

    /// Where it was allocated. Resolves the snapshot's symbols when first asked.
    #[must_use]
    pub fn traceback(&self) -> Traceback {
        self.snapshot.traceback_of(self.raw.stack)
    }

    /// Where it starts.
    #[must_use]
    pub const fn address(&self) -> usize {
        self.raw.address
    }

    /// How many blocks and bytes it stands for.
    #[must_use]
    pub const fn weight(&self) -> Weight {
        self.raw.weight
    }

    /// The recorder's number of the thread that allocated it.
    #[must_use]
    pub const fn thread(&self) -> u64 {
        self.raw.thread
    }

    /// When it was allocated, in nanoseconds since tracing began; 0 if that was not noted.
    ///
    /// It is noted of samples, of blocks larger than 64 KiB, of those that
    /// [`track`](crate::track) was told of, and in [`Traced`](crate::Traced) of all. It is not of
    /// the other blocks of `PyMalloc` in exact mode: what is kept of each is one word, which its
    /// stack, size and thread fill.
    #[must_use]
    pub const fn when_ns(&self) -> u64 {
        self.raw.when_ns
    }
}

impl fmt::Display for Trace<'_> {
    /// The oldest frame and the size, as in Python.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}",
            self.traceback(),
            Size::new(self.raw.size as f64)
        )
    }
}
