//! A snapshot as the recorder hands it over: addresses and numbers, nothing resolved.
//!
//! ```text
//!  traces ── stack: u32 ──▶ stacks ── return addresses ──▶ modules ── build-id, base ──▶ symbols
//!     │                                                                (in the process, later,
//!     └ thread: u64 ──▶ threads                                         or on another machine)
//! ```
//!
//! Plain data with public fields: the recorder writes it, the snapshot reads
//! it, and a file holds exactly this. A recorder fills in what it knows; all else is empty.

use std::ops::Range;
use std::time::SystemTime;

/// Everything a recorder knows at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct RawSnapshot {
    /// The live blocks: in exact mode every one, in sampling mode those that were sampled.
    pub traces: Vec<RawTrace>,
    /// Distinct stacks of return addresses, each with its most recent call first.
    pub stacks: Vec<Box<[usize]>>,
    /// How deep `stacks[i]` really was, where it was cut; empty if the recorder does not count.
    pub stack_depths: Vec<u32>,
    /// What the addresses point into: the executable first, then shared libraries.
    pub modules: Vec<Module>,
    /// Names of the threads that occur in the traces, as far as they have any.
    pub threads: Vec<ThreadName>,
    /// At most this many addresses of a stack were kept (Python's `nframe`).
    pub traceback_limit: u16,
    /// The mean distance between samples, in bytes; `None` if every block was recorded.
    pub sampling: Option<u64>,
    /// When the snapshot was taken.
    pub time: SystemTime,
    /// How long tracing had been on then, in nanoseconds: the end of the scale of `when_ns`.
    pub elapsed_ns: u64,
    /// Bytes requested and not yet freed (Python's `get_traced_memory()[0]`).
    pub current_bytes: u64,
    /// The most that `current_bytes` has been (Python's `get_traced_memory()[1]`).
    pub peak_bytes: u64,
    /// The process's id.
    pub pid: u32,
    /// Memory over time, oldest first; empty if nobody sampled it.
    pub timeline: Vec<TimelinePoint>,
    /// How the allocator's memory is divided, if it says so.
    pub heap: Option<HeapMap>,
}

/// One block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RawTrace {
    /// Whose address space `address` is in; 0 is the allocator's (Python's `domain`).
    pub domain: u32,
    /// Where the block starts.
    pub address: usize,
    /// Bytes that were asked for.
    pub size: usize,
    /// How much the block stands for: itself alone, unless it was sampled.
    pub weight: Weight,
    /// Index in [`RawSnapshot::stacks`].
    pub stack: u32,
    /// Which thread allocated it; a number of the recorder's, never used twice.
    pub thread: u64,
    /// When, in nanoseconds since tracing began; 0 if the recorder does not note it, as
    /// [`Trace::when_ns`](crate::Trace::when_ns) says of this crate's.
    pub when_ns: u64,
}

/// How many blocks, and how many bytes, a recorded block stands for.
///
/// A block sampled with probability `p` stands for `1 / p` blocks of its size. The sums of both
/// over many samples are right on average, however few blocks of a size were seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weight {
    /// `1 / p`; 1 where every block is recorded.
    pub count: f64,
    /// `size / p`.
    pub bytes: f64,
}

impl Weight {
    /// The weight of a block that was not sampled but recorded like all others.
    #[must_use]
    pub const fn exact(size: usize) -> Self {
        Self {
            count: 1.0,
            bytes: size as f64,
        }
    }

    /// The weight of a block of `size` bytes that had the chance `p` to be sampled.
    #[must_use]
    pub fn sampled(size: usize, p: f64) -> Self {
        Self {
            count: 1.0 / p,
            bytes: size as f64 / p,
        }
    }
}

/// A file whose code was mapped in the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Where the file was then.
    pub path: String,
    /// The bytes of its `NT_GNU_BUILD_ID` note; empty if it has none.
    pub build_id: Vec<u8>,
    /// What was added to the addresses in the file to get those in the process (`dlpi_addr`).
    pub base: usize,
    /// The addresses in the process that it covers.
    pub range: Range<usize>,
}

/// A thread that allocated something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadName {
    /// As in [`RawTrace::thread`].
    pub thread: u64,
    /// What it was called.
    pub name: String,
}

/// The process's memory at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimelinePoint {
    /// Nanoseconds since tracing began.
    pub when_ns: u64,
    /// Bytes requested and not yet freed; 0 if unknown.
    pub traced_bytes: u64,
    /// Bytes the allocator has in blocks that are in use; 0 if unknown.
    pub heap_bytes: u64,
    /// Resident bytes of the process (`VmRSS`).
    pub rss_bytes: u64,
}

/// How the allocator's memory is divided.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeapMap {
    /// Size classes, smallest first.
    pub classes: Vec<ClassUse>,
    /// Arenas by address; empty if the allocator does not say.
    pub arenas: Vec<ArenaUse>,
    /// What the resident memory is spent on, in the order to show it: a name and bytes
    /// ([`Waterfall`](crate::Waterfall)).
    pub parts: Vec<(String, u64)>,
}

/// A size class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClassUse {
    /// Bytes of each of its blocks.
    pub block_bytes: u64,
    /// Pools of this class.
    pub pool_count: u64,
    /// Blocks the program has.
    pub used_blocks: u64,
    /// Blocks that are free in its pools.
    pub free_blocks: u64,
}

/// An arena: a run of pools of one size.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ArenaUse {
    /// Where it starts.
    pub address: usize,
    /// How long it is.
    pub bytes: u64,
    /// Its pools, by address.
    pub pools: Vec<PoolUse>,
}

/// A pool in an arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolUse {
    /// Bytes of each of its blocks; 0 if the pool is free.
    pub block_bytes: u32,
    /// Blocks in use.
    pub used_blocks: u32,
    /// Blocks it has room for.
    pub capacity: u32,
}

impl Default for RawSnapshot {
    /// Nothing recorded, every block counted, at the Unix epoch.
    fn default() -> Self {
        Self {
            traces: Vec::new(),
            stacks: Vec::new(),
            stack_depths: Vec::new(),
            modules: Vec::new(),
            threads: Vec::new(),
            traceback_limit: 1,
            sampling: None,
            time: SystemTime::UNIX_EPOCH,
            elapsed_ns: 0,
            current_bytes: 0,
            peak_bytes: 0,
            pid: 0,
            timeline: Vec::new(),
            heap: None,
        }
    }
}
