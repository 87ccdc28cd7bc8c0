//! What was allocated at one moment: a snapshot, taken, loaded, compared and shown.

mod raw;

pub use raw::{
    ArenaUse, ClassUse, HeapMap, Module, PoolUse, RawSnapshot, RawTrace, ThreadName, TimelinePoint,
    Weight,
};
