//! The sizes everything else is built from, and what they owe each other.
//!
//! | | bytes | holds |
//! |---|---|---|
//! | region | 32 MiB | 127 arenas behind one header; the unit of `mmap` |
//! | chunk | 2 MiB | 8 arenas, which may share a huge page |
//! | arena | 256 KiB | 16, 4 or 1 pools of one size |
//! | pool | 16, 64 or 256 KiB | blocks of one size class; the unit given back |
//!
//! An arena is CPython's up to 3.9 (`ARENA_SIZE` in `obmalloc.c`). The pool is
//! CPython's since 3.10 (`POOL_SIZE`, 16 KiB) for blocks of up to 2 KiB.
//!
//! Under loom everything shrinks, so that what is rare becomes common.

use static_assertions::const_assert;

/// Requests of up to this many bytes are small (CPython `SMALL_REQUEST_THRESHOLD`).
pub(crate) const SMALL_MAX: usize = 512;

/// Requests of up to this many bytes, alignment included, live in pools; larger
/// ones get their own mapping.
pub(crate) const MEDIUM_MAX: usize = 64 << 10;

/// The smallest pool, bytes; larger pools are 4 and 16 of it.
pub(crate) const POOL_SIZE: usize = if cfg!(loom) { 512 } else { 16 << 10 };

/// Bytes of an arena.
pub(crate) const ARENA_SIZE: usize = if cfg!(loom) { 2 * POOL_SIZE } else { 256 << 10 };

/// Bytes and alignment of a region, the unit in which address space is reserved.
pub(crate) const REGION_SIZE: usize = if cfg!(loom) { 16 << 10 } else { 32 << 20 };

/// Smallest pools in an arena.
pub(crate) const POOLS_PER_ARENA: usize = ARENA_SIZE / POOL_SIZE;

/// Arenas in a region, those under the header included.
pub(crate) const ARENAS_PER_REGION: usize = REGION_SIZE / ARENA_SIZE;

/// Pool descriptors in a region, one for each `POOL_SIZE` bytes.
pub(crate) const POOLS_PER_REGION: usize = REGION_SIZE / POOL_SIZE;

/// Bytes and alignment of a huge page, and of a chunk: the arenas that share one.
pub(crate) const HUGE_PAGE: usize = if cfg!(loom) { REGION_SIZE } else { 2 << 20 };

/// Once pools of this many bytes are in use, new chunks may have huge pages: the part of one
/// that is not made yet is an eighth of that at most. As C's malloc a sixteenth: interpreters
/// have heaps of this size, and gain no time.
pub(crate) const HUGE_FROM: usize = if cfg!(feature = "initial-exec") {
    16
} else {
    8
} * HUGE_PAGE;

/// Free memory that stays resident for reuse: this many bytes and ...
pub(crate) const RETAIN_BYTES: usize = if cfg!(loom) { 0 } else { 2 << 20 };

/// ... one part in this many of what the pools in use occupy.
pub(crate) const RETAIN_FRACTION: usize = 8;

/// What may be retained besides, at most, by a heap that asks again for what it gave
/// back: as many bytes as it asked for, ...
pub(crate) const RETAIN_MORE_MAX: usize = if cfg!(loom) { 0 } else { 8 << 20 };

/// ... no more than this many if it asks for arenas of one pool alone, ...
pub(crate) const RETAIN_MORE_WHOLE_MAX: usize = if cfg!(loom) { 0 } else { 3 << 19 };

/// ... less one part in this many of the arenas that it gives back.
pub(crate) const RETAIN_MORE_DECAY: usize = 16;

/// Pages of freed large blocks that stay resident for reuse, bytes in all.
pub(crate) const LARGE_CACHE_BYTES: usize = 4 << 20;

const_assert!(POOLS_PER_ARENA <= 16); // an arena's pools are the bits of a u16
const_assert!(ARENA_SIZE.is_power_of_two());
const_assert!(REGION_SIZE.is_power_of_two());
const_assert!(REGION_SIZE.is_multiple_of(ARENA_SIZE));
const_assert!(HUGE_PAGE.is_multiple_of(ARENA_SIZE));
const_assert!(REGION_SIZE / HUGE_PAGE <= 16); // a region's chunks are the bits of a u16
