//! From an address to the region it lies in: a radix tree of two levels (CPython's
//! `arena_map_root`), so that any address may be asked about.

use core::ptr::null_mut;
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering::{Acquire, Release};

use super::region::Region;
use crate::config::REGION_SIZE;
use crate::os;

const ADDRESS_BITS: u32 = 48;
const REGION_BITS: u32 = REGION_SIZE.trailing_zeros();
const LEAF_BITS: u32 = 12;
const ROOT_BITS: u32 = ADDRESS_BITS - REGION_BITS - LEAF_BITS;

/// The regions of 128 GiB of addresses.
struct Leaf([AtomicPtr<Region>; 1 << LEAF_BITS]);

static ROOT: [AtomicPtr<Leaf>; 1 << ROOT_BITS] =
    [const { AtomicPtr::new(null_mut()) }; 1 << ROOT_BITS];

/// The region an address lies in.
#[inline(always)]
pub(crate) fn region_at(address: usize) -> Option<&'static Region> {
    let leaf = ROOT.get(address >> (REGION_BITS + LEAF_BITS))?;
    // ORDERING: Acquire receives the leaf's zeros from `insert`.
    let leaf = leaf.load(Acquire);
    if leaf.is_null() {
        return None;
    }
    // SAFETY: leaves are never freed.
    let leaf = unsafe { &*leaf };
    let slot = (address >> REGION_BITS) & ((1 << LEAF_BITS) - 1);
    // ORDERING: Acquire receives the region's record from `insert`.
    let region = leaf.0.get(slot)?.load(Acquire);
    // SAFETY: null, or a record, which is never freed.
    unsafe { region.as_ref() }
}

/// Enters a region; false if memory has run out, or it lies above all ordinary addresses.
pub(crate) fn insert(region: &'static Region) -> bool {
    let address = region.start();
    let Some(root) = ROOT.get(address >> (REGION_BITS + LEAF_BITS)) else {
        return false;
    };
    // ORDERING: Acquire, as in `region_at`.
    let mut leaf = root.load(Acquire);
    if leaf.is_null() {
        let Some(new) = os::map(size_of::<Leaf>().next_multiple_of(os::page_size())) else {
            return false;
        };
        // ORDERING: Release publishes the zeros of the new leaf, Acquire receives those of
        // another thread's; pairs with itself and `region_at`.
        match root.compare_exchange(leaf, new.as_ptr().cast(), Release, Acquire) {
            Ok(_) => leaf = new.as_ptr().cast(),
            Err(other) => {
                // SAFETY: nobody was told of it.
                unsafe { os::unmap(new, size_of::<Leaf>().next_multiple_of(os::page_size())) };
                leaf = other;
            }
        }
    }
    // SAFETY: leaves are zeros, which are null pointers, when made, and never freed.
    let leaf = unsafe { &*leaf };
    let slot = (address >> REGION_BITS) & ((1 << LEAF_BITS) - 1);
    if let Some(place) = leaf.0.get(slot) {
        // ORDERING: Release publishes the record; pairs with `region_at`.
        place.store(core::ptr::from_ref(region).cast_mut(), Release);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::size_class::SizeClass;
    use crate::unordered::in_two_threads;

    fn reserve() -> usize {
        let class = SizeClass::from_index(5).expect("a class");
        Region::reserve(class).expect("there is memory").start()
    }

    #[test]
    fn who_asks_about_an_address_finds_the_leaf_whole() {
        in_two_threads(reserve, |start| {
            // A place in the same leaf, most likely without a region.
            assert!(region_at(start ^ REGION_SIZE).is_none_or(|other| other.start() != start));
        });
    }

    #[test]
    fn who_asks_about_an_address_finds_the_regions_record_whole() {
        // The leaf is there before.
        reserve();
        in_two_threads(reserve, |start| {
            assert!(region_at(start).is_some_and(|region| region.start() == start));
        });
    }

    #[test]
    fn who_enters_a_region_finds_another_threads_leaf_whole() {
        in_two_threads(reserve, |theirs| {
            let ours = reserve();
            assert_ne!(ours, theirs);
            assert!(region_at(ours).is_some_and(|region| region.start() == ours));
        });
    }
}
