//! `pymalloc` as what is traced: its hooks, filled in.

use pymalloc::trace::{self, Tracer};

use super::hooks::{self, SAMPLE};
use super::sampling;
use super::settings::SETTINGS;

/// What `pymalloc` tells.
#[derive(Debug)]
struct Recorder;

impl Tracer for Recorder {
    #[inline(never)]
    fn allocated(&self, block: *mut u8, size: usize) -> u64 {
        if !SETTINGS.is_on() {
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
        if SETTINGS.is_on() {
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
    trace::start(&Recorder, mode).is_ok()
}

pub(super) use trace::{clear, each, find, memory_bytes, stop, untraced};
