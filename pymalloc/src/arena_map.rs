//! Which addresses lie in arenas (CPython `address_in_range` and its radix tree).
//!
//! A bit for every 32 MiB of a 48-bit address space says whether a region starts
//! there: 1 MiB of zeroed statics, of which a program touches a page or two.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Release};

use crate::config::{ARENA_SIZE, REGION_SIZE};
use crate::region::Region;

const ADDRESS_BITS: u32 = 48;
const WORDS: usize = if cfg!(loom) {
    1
} else {
    (1 << ADDRESS_BITS) / REGION_SIZE / 64
};

/// The bits.
#[derive(Debug)]
pub(crate) struct ArenaMap([AtomicU64; WORDS]);

impl ArenaMap {
    /// No region yet.
    pub(crate) const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; WORDS])
    }

    /// Enters a region.
    pub(crate) fn insert(&self, region: Region) {
        let (word, bit) = place(region.addr());
        // ORDERING: Release publishes the region's header; pairs with `contains`, which
        // may be asked about any address at any time.
        if let Some(word) = self.0.get(word) {
            word.fetch_or(bit, Release);
        }
    }

    /// Whether a region starts at the last multiple of `REGION_SIZE`.
    #[inline]
    pub(crate) fn has_region(&self, address: usize) -> bool {
        let (word, bit) = place(address);
        // The kernel hands out addresses for which there is no word only to those who ask for
        // them, which regions do not.
        // ORDERING: Acquire receives the region's header from `insert`.
        self.0
            .get(word)
            .is_some_and(|word| word.load(Acquire) & bit != 0)
    }

    /// Whether the address lies in an arena of ours, in use or not.
    pub(crate) fn contains(&self, address: usize) -> bool {
        if !self.has_region(address) {
            return false;
        }
        let region = Region::of(address);
        let index = (address - region.addr()) / ARENA_SIZE;
        region.usable().contains(&index)
    }
}

fn place(address: usize) -> (usize, u64) {
    let slot = if cfg!(loom) { 0 } else { address / REGION_SIZE };
    (slot / 64, 1 << (slot % 64))
}

#[cfg(all(test, not(any(loom, miri))))]
mod tests {
    use super::*;
    use crate::unordered::in_two_threads;

    #[test]
    fn who_asks_about_an_address_finds_the_regions_header_whole() {
        static MAP: ArenaMap = ArenaMap::new();
        in_two_threads(
            || {
                let region = Region::reserve(None).expect("there is memory");
                MAP.insert(region);
                region.addr() + region.size() - 1
            },
            |address| assert!(MAP.contains(address)),
        );
    }
}
