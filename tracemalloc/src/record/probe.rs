//! What is found out when tracing starts: how stacks can be walked, and which frames are the
//! allocator's own.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, realloc};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::hint::black_box;

use super::error::StartError;
use super::hooks::{self, Entry, INNER, LIVE, STACKS};
use super::settings::{Config, Mode, SETTINGS, Unwinder};
use super::{pymalloc, thread};

/// A seed that nobody knows, from what std's maps use.
pub(super) fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Makes the tables ready, if they may be needed. Without the lock of those who look: it waits for
/// the loader.
pub(super) fn prepare_tables(unwinder: Unwinder) {
    #[cfg(feature = "framehop")]
    if unwinder != Unwinder::FramePointers {
        super::unwind::refresh(&super::modules::loaded());
    }
    #[cfg(not(feature = "framehop"))]
    let _ = unwinder;
}

/// Whether to walk by tables, which are ready.
pub(super) fn choose(unwinder: Unwinder) -> Result<bool, StartError> {
    match unwinder {
        Unwinder::FramePointers => Ok(false),
        #[cfg(not(feature = "framehop"))]
        Unwinder::Tables => Err(StartError::NoTables),
        #[cfg(not(feature = "framehop"))]
        Unwinder::Auto => Ok(false),
        #[cfg(feature = "framehop")]
        Unwinder::Tables => Ok(true),
        #[cfg(feature = "framehop")]
        Unwinder::Auto => Ok(!frame_pointers_serve()),
    }
}

/// Whether frame pointers find what the tables do, but for the last few frames: those of the C
/// library have none.
#[cfg(feature = "framehop")]
#[inline(never)]
fn frame_pointers_serve() -> bool {
    const OF_THE_C_LIBRARY: usize = 4;
    let (by_pointers, by_tables) = (hooks::stack_here(false), hooks::stack_here(true));
    // Each list begins with the same return.
    by_tables.starts_with(&by_pointers)
        && !by_pointers.is_empty()
        && by_tables.len() - by_pointers.len() <= OF_THE_C_LIBRARY
}

/// Finds the frames between the hook and whoever asks for memory, by asking; whether the global
/// allocator has a hook at all.
pub(super) fn find_inner(by_tables: bool) -> Result<bool, StartError> {
    let config = Config {
        nframe: 64,
        mode: Mode::Exact,
        ..Config::default()
    };
    SETTINGS.set_probing(&config, by_tables);
    let is_free = pymalloc::start(true);
    let mut is_hooked = false;
    if is_free {
        for call in CALLS {
            is_hooked |= probe(call, by_tables);
        }
    }
    SETTINGS.set_off();
    pymalloc::stop();
    if is_free {
        Ok(is_hooked)
    } else {
        Err(StartError::OtherTracer)
    }
}

/// Asks for a block one way; whether that was recorded.
#[inline(never)]
fn probe(call: Call, by_tables: bool) -> bool {
    let own = hooks::stack_here(by_tables);
    let (block, layout) = call();
    if block.is_null() {
        return false;
    }
    let frames = super::untraced(|| stack_of(block));
    // SAFETY: the block of that layout.
    unsafe { dealloc(block, layout) };
    let Some(frames) = frames else {
        return false;
    };
    // Before the return from this function: the one into it, and the one into the call.
    let here = own.first().and_then(|caller| {
        let place = frames.iter().position(|frame| frame == caller)?;
        place.checked_sub(2)
    });
    for &inner in &frames[..here.unwrap_or(0)] {
        INNER.add(inner);
    }
    true
}

fn stack_of(block: *mut u8) -> Option<Vec<usize>> {
    let entry = pymalloc::find(block).and_then(|(_, entry)| Entry::unpack(entry));
    let stack = match entry {
        Some(entry) => entry.stack,
        None => {
            thread::inside(|_| LIVE.get(0, block.addr()))
                .flatten()?
                .stack
        }
    };
    Some(STACKS.frames(stack).to_vec())
}

type Call = fn() -> (*mut u8, Layout);

/// The ways into an allocator: each returns a block and its layout.
const CALLS: [Call; 6] = [
    || plain(40),
    || plain(5000),
    || plain(100_000),
    || zeroed(40),
    || zeroed(100_000),
    || grown(40, 80),
];

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).unwrap_or(Layout::new::<u64>())
}

#[inline(always)]
fn plain(size: usize) -> (*mut u8, Layout) {
    let layout = layout(black_box(size));
    // SAFETY: the layout is not empty.
    (unsafe { alloc(layout) }, layout)
}

#[inline(always)]
fn zeroed(size: usize) -> (*mut u8, Layout) {
    let layout = layout(black_box(size));
    // SAFETY: the layout is not empty.
    (unsafe { alloc_zeroed(layout) }, layout)
}

#[inline(always)]
fn grown(size: usize, new: usize) -> (*mut u8, Layout) {
    let (block, old) = plain(size);
    if block.is_null() {
        return (block, old);
    }
    // SAFETY: the block of that layout, and a size that is not 0.
    (unsafe { realloc(block, old, black_box(new)) }, layout(new))
}
