//! Failures on demand, for tests: with the feature `fault-injection` chosen calls to the
//! system fail, and pages have the size a test wants.
//!
//! Without the feature nothing of this is compiled in.

#[cfg(feature = "fault-injection")]
pub use on_demand::{calls, clear, fail, fail_at, set_page_size};
#[cfg(feature = "fault-injection")]
pub(crate) use on_demand::{page_size, refuses};

/// A system call that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[cfg_attr(
    not(feature = "fault-injection"),
    expect(unreachable_pub, reason = "it is public with the feature")
)]
pub enum Call {
    /// `mmap`: there is no more memory, or no more address space.
    Map = 1,
    /// `mremap`.
    Remap = 2,
    /// `munmap`, which would split a mapping when no more are allowed.
    Unmap = 4,
    /// `madvise(MADV_DONTNEED)`: the pages are locked.
    Discard = 8,
    /// `madvise` about huge pages: there are none, or no more mappings are allowed.
    Advise = 16,
}

#[cfg(feature = "fault-injection")]
mod on_demand {
    use core::sync::atomic::Ordering::Relaxed;
    use core::sync::atomic::{AtomicU8, AtomicUsize};

    use super::Call;

    /// Which calls are counted, and may fail: bits of `Call`.
    static CHOSEN: AtomicU8 = AtomicU8::new(0);
    /// How many of them there were.
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    /// The first of them that fails, and the first after it that does not.
    static FIRST: AtomicUsize = AtomicUsize::new(usize::MAX);
    static END: AtomicUsize = AtomicUsize::new(usize::MAX);
    static PAGE_SIZE: AtomicUsize = AtomicUsize::new(0);

    /// Makes `count` calls of the chosen kinds fail, beginning with the `first`-th from now
    /// (1 is the next), as if the system had refused them. Replaces what was asked for
    /// before. No other thread may be in the allocator meanwhile.
    pub fn fail(chosen: &[Call], first: usize, count: usize) {
        clear();
        SEEN.store(0, Relaxed);
        FIRST.store(first, Relaxed);
        END.store(first.saturating_add(count), Relaxed);
        let bits = chosen.iter().fold(0, |bits, call| bits | *call as u8);
        CHOSEN.store(bits, Relaxed);
    }

    /// Makes the `n`-th request for memory from now (1 is the next), and every later one,
    /// fail as if the system had none left, until [`clear`].
    pub fn fail_at(n: usize) {
        fail(&[Call::Map, Call::Remap], n.max(1), usize::MAX);
    }

    /// Lets calls succeed again.
    pub fn clear() {
        CHOSEN.store(0, Relaxed);
    }

    /// How many calls of the kinds chosen last there were since.
    pub fn calls() -> usize {
        SEEN.load(Relaxed)
    }

    /// Pretends that pages are `bytes` long, a power of two no smaller than they are. To
    /// be called before the first allocation; later it changes nothing.
    pub fn set_page_size(bytes: usize) {
        PAGE_SIZE.store(bytes, Relaxed);
    }

    /// Whether this call is to fail.
    pub(crate) fn refuses(call: Call) -> bool {
        if CHOSEN.load(Relaxed) & call as u8 == 0 {
            return false;
        }
        let number = SEEN.fetch_add(1, Relaxed) + 1;
        number >= FIRST.load(Relaxed) && number < END.load(Relaxed)
    }

    /// The page size to use where the system's is `system`.
    pub(crate) fn page_size(system: usize) -> usize {
        let wanted = PAGE_SIZE.load(Relaxed);
        if wanted.is_power_of_two() && wanted >= system {
            wanted
        } else {
            system
        }
    }
}

#[cfg(not(feature = "fault-injection"))]
pub(crate) const fn refuses(_: Call) -> bool {
    false
}

#[cfg(not(feature = "fault-injection"))]
pub(crate) const fn page_size(system: usize) -> usize {
    system
}
