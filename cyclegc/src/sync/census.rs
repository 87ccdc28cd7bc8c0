//! How many tracked objects there are, in which epoch new ones are born, and when to
//! collect.
//!
//! # Orderings
//!
//! All Relaxed: what is decided by these numbers is when to look, and at what first; never
//! what is garbage. std's atomics, under loom too.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::generation::Thresholds;

#[derive(Debug)]
pub(crate) struct Census {
    /// Tracked objects, less what threads have not told yet.
    alive: AtomicI64,
    /// Made minus ended since the last collection (CPython `generations[0].count`).
    young: AtomicI64,
    /// The birth epoch of new objects.
    epoch: AtomicU32,
    /// Objects born before are frozen.
    frozen_before: AtomicU32,
    frozen: AtomicI64,
    /// Young, then middle and old.
    young_threshold: AtomicU32,
    older_thresholds: AtomicU64,
    enabled: AtomicBool,
}

impl Census {
    pub(crate) const fn new() -> Self {
        let thresholds = Thresholds::new(700, 10, 10);
        Census {
            alive: AtomicI64::new(0),
            young: AtomicI64::new(0),
            epoch: AtomicU32::new(1),
            frozen_before: AtomicU32::new(0),
            frozen: AtomicI64::new(0),
            young_threshold: AtomicU32::new(thresholds.young),
            older_thresholds: AtomicU64::new(older(thresholds)),
            enabled: AtomicBool::new(!cfg!(loom)),
        }
    }

    /// Adds what a thread made and ended; true if it may be time to collect.
    pub(crate) fn add(&self, balance: i64) -> bool {
        self.alive.fetch_add(balance, Relaxed);
        let young = self.young.fetch_add(balance, Relaxed) + balance;
        if young < 0 {
            // As CPython's, the count does not go below 0.
            self.young.fetch_max(0, Relaxed);
        }
        self.is_due()
    }

    /// Whether there are more young objects than the threshold.
    pub(crate) fn is_due(&self) -> bool {
        let threshold = self.young_threshold.load(Relaxed);
        self.is_enabled() && threshold != 0 && self.young.load(Relaxed) > i64::from(threshold)
    }

    pub(crate) fn alive(&self) -> usize {
        usize::try_from(self.alive.load(Relaxed)).unwrap_or(0)
    }

    pub(crate) fn young(&self) -> u32 {
        let young = self.young.load(Relaxed).max(0);
        u32::try_from(young).unwrap_or(u32::MAX)
    }

    pub(crate) fn reset_young(&self) {
        self.young.store(0, Relaxed);
    }

    #[inline(always)]
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch.load(Relaxed)
    }

    pub(crate) fn set_epoch(&self, epoch: u32) {
        self.epoch.store(epoch, Relaxed);
    }

    /// Objects born before this epoch are frozen.
    pub(crate) fn freeze_before(&self, epoch: u32) {
        self.frozen_before.store(epoch, Relaxed);
        let frozen = if epoch == 0 {
            0
        } else {
            self.alive.load(Relaxed)
        };
        self.frozen.store(frozen, Relaxed);
    }

    /// An object ends that was born in this epoch.
    #[inline(always)]
    pub(crate) fn ended(&self, birth: u32) {
        if birth < self.frozen_before.load(Relaxed) {
            self.frozen.fetch_sub(1, Relaxed);
        }
    }

    pub(crate) fn frozen(&self) -> usize {
        usize::try_from(self.frozen.load(Relaxed)).unwrap_or(0)
    }

    pub(crate) fn threshold(&self) -> Thresholds {
        let older = self.older_thresholds.load(Relaxed);
        #[allow(clippy::cast_possible_truncation, reason = "the low and the high half")]
        let (middle, old) = (older as u32, (older >> 32) as u32);
        Thresholds::new(self.young_threshold.load(Relaxed), middle, old)
    }

    pub(crate) fn set_threshold(&self, thresholds: Thresholds) {
        self.young_threshold.store(thresholds.young, Relaxed);
        self.older_thresholds.store(older(thresholds), Relaxed);
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled.load(Relaxed)
    }

    pub(crate) fn set_enabled(&self, enabled: bool) {
        self.enabled.store(enabled, Relaxed);
    }
}

#[allow(clippy::cast_lossless, reason = "`From` is not const")]
const fn older(thresholds: Thresholds) -> u64 {
    thresholds.middle as u64 | (thresholds.old as u64) << 32
}
