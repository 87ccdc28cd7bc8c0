//! What may go wrong when tracing starts, or is asked for what it has not got.

use std::error::Error;
use std::fmt;

/// Tracing could not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartError {
    /// `nframe` is 0.
    NoFrames,
    /// There is no address space for the recorder's tables.
    NoMemory,
    /// The global allocator tells of no blocks.
    NotHooked,
    /// `pymalloc` tells another tracer.
    OtherTracer,
    /// [`Unwinder::Tables`](crate::Unwinder::Tables) without the feature `framehop`.
    NoTables,
    /// The thread is in a handler around a fork.
    Forking,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoFrames => "the number of frames must be from 1 to 65535",
            Self::NoMemory => "no address space for a table of stacks; raise `ulimit -v`",
            Self::NotHooked => {
                "the global allocator tells of no blocks: make it `pymalloc::PyMalloc` and turn \
                 on the feature `pymalloc` of tracemalloc, or wrap it: `Traced(System)`"
            }
            Self::OtherTracer => "pymalloc tells its blocks to another tracer of this process",
            Self::NoTables => "built without the feature `framehop`: use frame pointers",
            Self::Forking => "the thread is in a handler around a fork: start before, or after",
        })
    }
}

impl Error for StartError {}

/// Tracing is off: [`start`](crate::start) it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotTracing;

impl fmt::Display for NotTracing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tracemalloc is not tracing: call start first")
    }
}

impl Error for NotTracing {}

/// There is no snapshot of the peak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeakError {
    /// Tracing is off.
    NotTracing,
    /// It was started without [`Config::peak`](crate::Config::peak).
    NotKept,
}

impl fmt::Display for PeakError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTracing => NotTracing.fmt(f),
            Self::NotKept => f.write_str("start with `peak: true` for a snapshot of the peak"),
        }
    }
}

impl Error for PeakError {}
