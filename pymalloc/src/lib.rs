//! CPython's obmalloc as a thread-safe global allocator.
//!
//! ```
//! use pymalloc::PyMalloc;
//!
//! #[global_allocator]
//! static GLOBAL: PyMalloc = PyMalloc;
//! # fn main() {}
//! ```
//!
//! # The layers
//!
//! ```text
//!  debug, secure, sampled       the modes: each a type of its own
//!    │
//!  global      PyMalloc: the tiers, the statics; by_address: the same without a Layout
//!    │
//!    ├─ heap ── front              one for each thread: no lock, no atomic operation
//!    │    │
//!    │    ├─ remote_free, mailbox  blocks that another thread's pool gets back
//!    │    └─ commons               pools without an owner
//!    │          │
//!    │       pool ── block         a run of blocks of one size class
//!    │          │
//!    │     arena_list ── arena     256 KiB, given back when empty
//!    │          │
//!    │       region                32 MiB of address space
//!    │          │
//!    └─ large ──┴── os             mmap and back
//! ```
//!
//! ```text
//!  arena, 256 KiB
//! ┌──────────┬──────────┬──────────┬───────────────┐
//! │ pool     │ pool     │ pool     │  ... 16 pools │
//! │ 24-byte  │ 512-byte │ 24-byte  │               │
//! │ ▓▓░▓▓▓░▓ │ ▓░░░     │ ▓▓▓▓▓▓▓▓ │     (free)    │
//! └──────────┴──────────┴──────────┴───────────────┘
//!   used       used       full        empty
//! ```
//!
//! # Environment
//!
//! Read when the program is loaded (a shared library: when that is); a bad value gives a
//! line on standard error, and the default.
//!
//! | variable | values | default | does |
//! |---|---|---|---|
//! | `PYMALLOC` | `default`, `debug` | `default` | the hooks of [`PyMallocDebug`] for [`PyMalloc`] |
//! | `PYMALLOC_STACKS` | `0`, `1` | `0` | the debug hooks note where each block was allocated and freed |
//! | `PYMALLOC_SAMPLE` | a number, `0` | `0` | one allocation in so many lies between guard pages, where the global allocator is [`Sampled`] |
//! | `PYMALLOC_STATS` | `0`, `1` | `0` | prints [`stats`] to standard error at exit |
//! | `PYMALLOC_LARGE_CACHE` | bytes; `k`, `m`, `g` | `4m` | how much of freed large blocks stays mapped for reuse |
//!
//! # Platforms
//!
//! Linux on x86-64 and aarch64, with pages of 4, 16 or 64 KiB. Under Miri everything is
//! forwarded to the system's allocator.

#![cfg_attr(
    any(loom, miri),
    allow(dead_code, unused_imports, reason = "the models and Miri use parts")
)]

#[cfg(not(target_os = "linux"))]
compile_error!("pymalloc runs on Linux; on other systems use the default allocator");
#[cfg(not(target_pointer_width = "64"))]
compile_error!("pymalloc needs 64-bit addresses; use the default allocator");

mod arena;
mod arena_list;
mod arena_map;
mod arenas;
mod block;
mod commons;
mod config;
mod front;
mod heap;
mod mailbox;
mod os;
mod pool;
mod pool_list;
mod region;
mod registry;
mod remote_free;
mod shared;
mod size_class;
mod slab;
mod sync;

// Without the feature: what the others ask about tracing, answered with no.
#[cfg(not(all(feature = "trace", not(any(loom, miri)))))]
#[path = "trace/off.rs"]
mod trace;
#[cfg(all(feature = "trace", not(any(loom, miri))))]
pub mod trace;

#[cfg(not(loom))]
mod arena_stats;
#[cfg(not(any(loom, miri)))]
mod by_address;
#[cfg(not(any(loom, miri)))]
mod debug;
#[cfg(not(any(loom, miri)))]
mod exit_key;
#[cfg(not(any(loom, miri)))]
mod fork;
#[cfg(not(any(loom, miri)))]
mod global;
#[cfg(miri)]
#[path = "miri.rs"]
mod global;
#[cfg(not(loom))]
mod large;
#[cfg(not(loom))]
mod large_cache;
#[cfg(not(loom))]
mod large_map;
#[cfg(loom)]
pub mod model;
#[cfg(not(any(loom, miri)))]
mod process;
#[cfg(not(any(loom, miri)))]
mod report;
#[cfg(not(any(loom, miri)))]
mod sampled;
#[cfg(not(any(loom, miri)))]
mod secure;
#[cfg(not(loom))]
mod settings;
#[cfg(not(any(loom, miri)))]
mod stack;
#[cfg(not(loom))]
mod stats;
#[cfg(not(loom))]
mod stderr;
#[cfg(not(any(loom, miri)))]
mod stdio;
#[cfg(not(any(loom, miri)))]
mod thread_heap;
#[cfg(all(test, not(any(loom, miri))))]
mod unordered;
#[cfg(not(loom))]
mod verify;
#[cfg(not(any(loom, miri)))]
mod weak_symbol;

#[cfg(all(not(loom), feature = "fault-injection"))]
pub mod fault;
#[cfg(all(not(loom), not(feature = "fault-injection")))]
mod fault;

#[cfg(not(loom))]
pub use arena_stats::{ArenaStats, PoolStats};
#[cfg(not(any(loom, miri)))]
pub use by_address::{ForeignBlock, dealloc_unsized, dealloc_unsized_or, realloc_unsized};
#[cfg(not(any(loom, miri)))]
pub use debug::PyMallocDebug;
#[cfg(not(any(loom, miri)))]
pub use global::alloc_at_hand;
/// Under Miri all are one.
#[cfg(miri)]
pub use global::{PyMalloc as PyMallocDebug, PyMalloc as PyMallocSecure, Sampled, set_sample_rate};
#[cfg(not(loom))]
pub use global::{PyMalloc, arenas, owns, stats, trim, usable_size, verify_heap};
#[cfg(not(any(loom, miri)))]
pub use sampled::{Sampled, set_sample_rate};
#[cfg(not(any(loom, miri)))]
pub use secure::PyMallocSecure;
#[cfg(not(loom))]
pub use stats::{ClassStats, Stats};
#[cfg(not(loom))]
pub use verify::HeapError;
