//! What each stack had live at the peak.
//!
//! Each stack's sums are counted beside its frames. They are copied when the peak has grown by a
//! hundredth, or 64 KiB: while memory grows a thousandfold that is 700 times, and each time as
//! many steps as there are stacks. So the sums are those of a moment at which no less was
//! traced than 99 % of the peak, less what `counters.rs` says, and give or take what other
//! threads allocate and free while they are copied.

use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::counters;
use super::hooks::STACKS;
use super::stacks::{StackId, Sum};

/// Bytes at the time of the last copy.
static COPIED: AtomicI64 = AtomicI64::new(0);

/// Held while sums are copied, or read; before any lock of `live.rs`, and after [`control`].
///
/// [`control`]: super::control
static COPYING: Mutex<()> = Mutex::new(());

/// Counts blocks and bytes of a stack.
pub(super) fn count(stack: StackId, blocks: i64, bytes: i64, is_peak: bool) {
    let live = &STACKS.record(stack).live;
    live.blocks.fetch_add(blocks, Relaxed);
    live.bytes.fetch_add(bytes, Relaxed);
    if is_peak {
        copy_if_due();
    }
}

#[cold]
fn copy_if_due() {
    let current = counters::current();
    let copied = COPIED.load(Relaxed);
    if current < copied.saturating_add((copied / 100).max(64 << 10)) {
        return;
    }
    // Whoever is copying already does it for this thread, too.
    if let Ok(_copying) = COPYING.try_lock() {
        copy(current);
    }
}

fn copy(current: i64) {
    COPIED.store(current, Relaxed);
    STACKS.each(|_, record| {
        record.at_peak.set(&record.live);
    });
}

/// Keeps others from copying, and from reading what was copied.
pub(super) fn lock() -> MutexGuard<'static, ()> {
    COPYING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes this moment the peak.
pub(super) fn reset() {
    let _copying = lock();
    copy(counters::current());
}

/// Forgets all sums.
pub(super) fn clear() {
    let _copying = lock();
    COPIED.store(0, Relaxed);
    let zero = Sum::default();
    STACKS.each(|_, record| {
        record.live.set(&zero);
        record.at_peak.set(&zero);
    });
}

/// Calls `f` with each stack's blocks and bytes at the peak, where there were any.
pub(super) fn each(mut f: impl FnMut(StackId, i64, i64)) {
    let _copying = lock();
    // A peak since the last copy is not far above it; now may be.
    let current = counters::current();
    if current > COPIED.load(Relaxed) {
        copy(current);
    }
    STACKS.each(|id, record| {
        let blocks = record.at_peak.blocks.load(Relaxed);
        let bytes = record.at_peak.bytes.load(Relaxed);
        if blocks > 0 && bytes >= 0 {
            f(id, blocks, bytes);
        }
    });
}

impl Sum {
    fn set(&self, from: &Self) {
        self.blocks.store(from.blocks.load(Relaxed), Relaxed);
        self.bytes.store(from.bytes.load(Relaxed), Relaxed);
    }
}
