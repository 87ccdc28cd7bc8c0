//! `pymalloc` as what is traced: its hooks, filled in. Where it tells another tracer, all here
//! leaves that one's entries alone.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use pymalloc::trace::{self, Tracer};

use super::hooks::{self, SAMPLE};
use super::sampling;
use super::settings::SETTINGS;

/// What `pymalloc` tells. It has a size, and so an address of its own, by which it is known.
#[derive(Debug)]
struct Recorder(#[expect(dead_code, reason = "for its size")] u8);

static RECORDER: Recorder = Recorder(0);

/// Whether `pymalloc` tells the recorder: from the first start on, for good.
static IS_OURS: AtomicBool = AtomicBool::new(false);

fn is_ours() -> bool {
    // ORDERING: Relaxed; it is set and read with the lock of those who start, stop and look.
    IS_OURS.load(Relaxed)
}

impl Tracer for Recorder {
    #[inline(never)]
    fn allocated(&self, block: *mut u8, size: usize) -> u64 {
        if !SETTINGS.is_recording() {
            return 0;
        }
        let Some(period) = SETTINGS.sampling() else {
            return hooks::allocated_in_pool(size);
        };
        let chance = sampling::chance(size.max(1), period);
        if hooks::allocated(0, block.addr(), size, chance) {
            SAMPLE
        } else {
            0
        }
    }

    fn freed(&self, block: *mut u8, entry: u64) {
        hooks::freed_in_pool(block.addr(), entry);
    }

    #[inline(never)]
    fn allocated_large(&self, block: *mut u8, size: usize) {
        if SETTINGS.is_recording() {
            let chance = SETTINGS
                .sampling()
                .map_or(1.0, |period| sampling::chance(size, period));
            hooks::allocated(0, block.addr(), size, chance);
        }
    }

    fn freed_large(&self, block: *mut u8) {
        hooks::freed(0, block.addr());
    }

    fn bytes_to_next_sample(&self) -> u64 {
        hooks::bytes_to_next_sample()
    }
}

/// Has `pymalloc` tell of its blocks; false if it tells another tracer.
pub(super) fn start(is_exact: bool) -> bool {
    let mode = if is_exact {
        trace::Mode::Exact
    } else {
        trace::Mode::Sampled
    };
    let started = trace::start(&RECORDER, mode).is_ok();
    if started {
        IS_OURS.store(true, Relaxed);
    }
    started
}

pub(super) fn stop() {
    if is_ours() {
        trace::stop();
    }
}

pub(super) fn clear() {
    if is_ours() {
        trace::clear();
    }
}

pub(super) fn each(f: impl FnMut(*const u8, u64)) {
    if is_ours() {
        trace::each(f);
    }
}

pub(super) fn find(address: *const u8) -> Option<(*const u8, u64)> {
    is_ours().then(|| trace::find(address))?
}

pub(super) use trace::{memory_bytes, untraced};
