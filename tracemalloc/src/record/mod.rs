//! The recorder: notes where each block comes from, while the program runs.
//!
//! ```text
//!  pymalloc ── Tracer ─▶ pymalloc.rs ─┐
//!  any other ── Traced ─▶ traced.rs ──┼─▶ hooks.rs ─▶ walk.rs, unwind.rs   the stack
//!  track ─────────────────────────────┘      │    ─▶ stacks.rs             its number
//!                                            │    ─▶ live.rs, or an entry  the block
//!                                            │    ─▶ counters.rs, peak.rs  its bytes
//!                                       thread.rs: each thread's part, and the guard
//!  start, stop, take_snapshot ─▶ this file ─▶ snapshot.rs ─▶ RawSnapshot
//! ```
//! # Access
//! Above the hooks one lock, [`control`], admits one thread at a time. Below, what threads share
//! is changed by single atomic steps, but for the tables of `live.rs`, whose locks are held for a
//! step of one block.

mod counters;
mod env;
mod error;
mod fork;
mod hooks;
mod live;
mod memory;
mod modules;
mod peak;
mod probe;
#[cfg(feature = "pymalloc")]
mod pymalloc;
#[cfg(not(feature = "pymalloc"))]
#[path = "no_pymalloc.rs"]
mod pymalloc;
mod roll;
mod sampling;
mod settings;
mod snapshot;
mod stacks;
mod thread;
mod traced;
#[cfg(test)]
#[path = "../../../pymalloc/src/unordered.rs"]
mod unordered;
#[cfg(feature = "framehop")]
mod unwind;
mod walk;

#[cfg(all(test, feature = "framehop"))]
#[path = "../../tests/support/c_library.rs"]
mod c_library;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

pub use error::{NotTracing, PeakError, StartError};
pub use settings::{BadConfig, Config, Mode, Unwinder};
pub(crate) use thread::is_forking;
pub use traced::Traced;

use hooks::{BEGAN, Entry, LIVE, STACKS};
use settings::SETTINGS;

use crate::snapshot::{RawTrace, Snapshot, Traceback, Weight};

/// Admits one thread at a time to what changes or copies the whole. Who has it must not wait for
/// the loader: a constructor of a library may fork, or look.
fn control() -> MutexGuard<'static, ()> {
    static CONTROL: Mutex<()> = Mutex::new(());
    CONTROL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls `f` with the lock, which a thread that forks has already: it is told nothing, and changes
/// nothing. What this thread allocates meanwhile is not recorded.
fn in_control<R>(f: impl FnOnce() -> R) -> Option<R> {
    if thread::is_forking() {
        return None;
    }
    untraced(|| {
        let _control = control();
        Some(f())
    })
}

/// Calls `f`; what this thread allocates meanwhile is not recorded.
///
/// What it frees is noted as ever. Names for a snapshot's addresses are resolved so.
///
/// ```
/// # use std::alloc::System;
/// # #[global_allocator]
/// # static GLOBAL: tracemalloc::Traced<System> = tracemalloc::Traced(System);
/// tracemalloc::start(25)?;
/// let block = tracemalloc::untraced(|| Box::new([0_u8; 5000]));
/// assert!(tracemalloc::get_object_traceback(&*block).is_none());
/// # Ok::<(), tracemalloc::StartError>(())
/// ```
pub fn untraced<R>(f: impl FnOnce() -> R) -> R {
    pymalloc::untraced(|| thread::quietly(f))
}

/// Starts to record every block, with the `nframe` most recent calls of its stack; where tracing
/// is on already, does nothing.
///
/// The global allocator must tell of its blocks: `PyMalloc` does, with the feature `pymalloc` of
/// this crate and without `PYMALLOC=debug`, and so does any other in [`Traced`]. Threads that are
/// running take part at once with the latter; with `PyMalloc` from their next slow step on, after
/// 64 KiB at the latest. Blocks that were there before are not recorded.
///
/// (CPython: `tracemalloc.start`, whose default is one frame.)
///
/// # Errors
///
/// See [`StartError`].
///
/// # Examples
///
/// ```
/// # use std::alloc::System;
/// # #[global_allocator]
/// # static GLOBAL: tracemalloc::Traced<System> = tracemalloc::Traced(System);
/// tracemalloc::start(25)?;
/// let kept = vec![0_u8; 1 << 20];
/// let snapshot = tracemalloc::take_snapshot()?;
/// assert!(snapshot.traces().iter().any(|trace| trace.size() == 1 << 20));
/// # drop(kept);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn start(nframe: u16) -> Result<(), StartError> {
    start_with(Config {
        nframe,
        ..Config::default()
    })
}

/// Starts to record as `config` says; where tracing is on already, does nothing.
///
/// # Errors
///
/// See [`StartError`].
pub fn start_with(config: Config) -> Result<(), StartError> {
    if SETTINGS.is_on() {
        return Ok(());
    }
    if thread::is_forking() {
        return Err(StartError::Forking);
    }
    untraced(|| probe::prepare_tables(config.unwinder));
    let _control = control();
    if SETTINGS.is_on() {
        return Ok(());
    }
    if config.nframe == 0 {
        return Err(StartError::NoFrames);
    }
    let by_tables = untraced(|| prepare(config.unwinder))?;
    let is_hooked = probe::find_inner(by_tables)?;
    if !is_hooked && !config.unhooked {
        return Err(StartError::NotHooked);
    }
    forget_all();
    let seed = config.seed.unwrap_or_else(probe::random_seed);
    SETTINGS.set(&config, seed, by_tables);
    pymalloc::start(config.mode == Mode::Exact);
    Ok(())
}

/// Makes room, once; whether to walk by tables.
fn prepare(unwinder: Unwinder) -> Result<bool, StartError> {
    if !STACKS.prepare() {
        return Err(StartError::NoMemory);
    }
    roll::prepare();
    thread::prepare();
    fork::prepare();
    BEGAN.get_or_init(Instant::now);
    probe::choose(unwinder)
}

/// Stops, and forgets everything that was recorded.
///
/// The memory of the recorder's own tables stays for the next start.
///
/// (CPython: `tracemalloc.stop`.)
pub fn stop() {
    in_control(|| {
        SETTINGS.set_off();
        pymalloc::stop();
        forget_all();
    });
}

/// Whether blocks are being recorded.
///
/// (CPython: `tracemalloc.is_tracing`.)
#[must_use]
pub fn is_tracing() -> bool {
    SETTINGS.is_on()
}

/// Forgets all blocks recorded so far; what is allocated from now on is recorded as before.
///
/// What other threads allocate while this goes on, milliseconds for a large heap, is forgotten
/// too. Of a thread that is noting a block at that moment, this block may stay.
///
/// (CPython: `tracemalloc.clear_traces`.)
pub fn clear_traces() {
    in_control(|| SETTINGS.paused(forget_all));
}

/// While nothing is recorded: what were noted between two of the steps would be half forgotten.
fn forget_all() {
    pymalloc::clear();
    thread::apart(|| LIVE.clear());
    counters::clear();
    peak::clear();
}

/// How many calls of each stack are kept; of the last time, where tracing is off.
///
/// (CPython: `tracemalloc.get_traceback_limit`.)
#[must_use]
pub fn get_traceback_limit() -> u16 {
    SETTINGS.nframe().max(1)
}

/// Bytes in blocks that are recorded, and the most there have been: what was asked for, not what
/// it took.
///
/// Costs a look at each thread's counters. With one thread both are exact. With more, the peak may
/// be off by up to 64 KiB for each, and so may the first number for each that is counting at that
/// moment. In sampling mode both are estimates.
///
/// (CPython: `tracemalloc.get_traced_memory`.)
#[must_use]
pub fn get_traced_memory() -> (u64, u64) {
    counters::get()
}

/// Makes the peak what is recorded now.
///
/// (CPython: `tracemalloc.reset_peak`.)
pub fn reset_peak() {
    in_control(|| {
        counters::reset_peak();
        if SETTINGS.peak() {
            peak::reset();
        }
    });
}

/// Bytes that the recorder's own tables take: stacks, entries, threads.
///
/// (CPython: `tracemalloc.get_tracemalloc_memory`.)
#[must_use]
pub fn get_tracemalloc_memory() -> usize {
    memory::used_bytes() + pymalloc::memory_bytes()
}

/// The part of the recorder's own tables that is in blocks of the allocator.
#[cfg(feature = "pymalloc")]
pub(crate) fn own_blocks_bytes() -> usize {
    memory::used_blocks_bytes()
}

/// Bytes that the recorded blocks have beyond what was asked for.
#[cfg(feature = "pymalloc")]
pub(crate) fn rounding_bytes() -> u64 {
    in_control(snapshot::rounding_bytes).unwrap_or(0)
}

/// How long ago tracing first began; `None` if it never did.
pub(crate) fn elapsed() -> Option<std::time::Duration> {
    BEGAN.get().map(Instant::elapsed)
}

/// Where the block was allocated that `object` lies in; `None` if that is not recorded.
///
/// An object anywhere in a block of at most 64 KiB of `PyMalloc`'s is found; else it must be at
/// the block's start. The program's debug information is read for each call: tens of milliseconds.
///
/// (CPython: `tracemalloc.get_object_traceback`.)
///
/// # Examples
///
/// ```
/// # use std::alloc::System;
/// # #[global_allocator]
/// # static GLOBAL: tracemalloc::Traced<System> = tracemalloc::Traced(System);
/// tracemalloc::start(25)?;
/// let boxed = Box::new([0_u64; 10]);
/// let traceback = tracemalloc::get_object_traceback(&*boxed);
/// assert!(traceback.is_some());
/// assert!(tracemalloc::get_object_traceback(&traceback).is_none());
/// # Ok::<(), tracemalloc::StartError>(())
/// ```
#[must_use]
pub fn get_object_traceback<T: ?Sized>(object: &T) -> Option<Traceback> {
    get_address_traceback((&raw const *object).addr())
}

/// The same by an address: no memory is looked at.
#[must_use]
pub fn get_address_traceback(address: usize) -> Option<Traceback> {
    untraced(|| {
        let found = in_control(|| find(address).map(|(trace, id)| snapshot::of_block(trace, id)));
        let snapshot = Snapshot::from(snapshot::with_modules(found??));
        let trace = snapshot.traces().get(0)?;
        Some(trace.traceback())
    })
}

fn find(address: usize) -> Option<(RawTrace, stacks::StackId)> {
    let found = pymalloc::find(std::ptr::without_provenance(address));
    let start = found.map_or(address, |(start, _)| start.addr());
    let entry = found.and_then(|(_, entry)| Entry::unpack(entry));
    let (size, stack) = match entry {
        Some(entry) => (entry.size, entry.stack),
        None => {
            let block = thread::inside(|_| LIVE.get(0, start)).flatten()?;
            (block.size, block.stack)
        }
    };
    let trace = RawTrace {
        domain: 0,
        address: start,
        size,
        weight: Weight::exact(size),
        stack: 0,
        thread: 0,
        when_ns: 0,
    };
    Some((trace, stack))
}

/// Copies out every block that is recorded.
///
/// Other threads go on: what they allocate or free meanwhile may be in it or not. Takes 56 bytes
/// a block, up to three times that while it is made, and about 30 ns; names are resolved later.
///
/// (CPython: `tracemalloc.take_snapshot`.)
///
/// # Errors
///
/// [`NotTracing`] where tracing is off, or seems so: to the program's handlers around a fork, which
/// can neither start nor stop it, nor look.
pub fn take_snapshot() -> Result<Snapshot, NotTracing> {
    untraced(|| {
        let raw = in_control(|| SETTINGS.is_on().then(snapshot::now));
        let raw = snapshot::with_modules(raw.flatten().ok_or(NotTracing)?);
        Ok(Snapshot::from(raw))
    })
}

/// What was live when the most was, by stack: with [`Config::peak`].
///
/// It holds one trace for each stack, which stands for all of its blocks, or two where threads met
/// a stack for the first time together; it knows no addresses and no threads.
///
/// # Errors
///
/// [`PeakError`] where tracing is off, or was started without [`Config::peak`].
pub fn take_peak_snapshot() -> Result<Snapshot, PeakError> {
    untraced(|| {
        let raw = in_control(|| {
            if !SETTINGS.is_on() {
                return Err(PeakError::NotTracing);
            }
            if !SETTINGS.peak() {
                return Err(PeakError::NotKept);
            }
            Ok(snapshot::at_peak())
        });
        let raw = raw.unwrap_or(Err(PeakError::NotTracing))?;
        Ok(Snapshot::from(snapshot::with_modules(raw)))
    })
}

/// Records memory that no allocator told of: of a device, of a C library, or mapped. An address
/// that is recorded already gets the new size and stack.
///
/// `domain` says whose addresses these are; 0 is the allocator's own. Every block is recorded, in
/// sampling mode, too, while there is memory for the recorder's tables.
///
/// (CPython: `PyTraceMalloc_Track`.)
///
/// # Errors
///
/// [`NotTracing`] where tracing is off.
#[inline(never)]
pub fn track(domain: u32, address: usize, size: usize) -> Result<(), NotTracing> {
    if !SETTINGS.is_on() {
        return Err(NotTracing);
    }
    // Else another thread is forgetting everything: this block, too.
    if SETTINGS.is_recording() {
        hooks::allocated(domain, address, size, 1.0);
    }
    Ok(())
}

/// Forgets what [`track`] recorded; nothing happens if that is unknown.
///
/// (CPython: `PyTraceMalloc_Untrack`.)
pub fn untrack(domain: u32, address: usize) {
    hooks::freed(domain, address);
}
