//! What the hardened allocator says before it ends the process.

use core::alloc::Layout;

use super::large;
use super::map;
use super::region::{NoBlock, Region};
use crate::report::{Misuse, Report};
use crate::size_class::SizeClass;

/// What is wrong with a free block, until no lock is held any more.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found {
    /// It is in use.
    InUse(*mut u8, SizeClass),
    /// It was written to since it was freed.
    Written(*mut u8, SizeClass),
}

impl Found {
    /// Says it, and ends the process. No lock is held.
    #[cold]
    pub(crate) fn end(self) -> ! {
        match self {
            Self::InUse(block, class) => in_use_twice(block, class),
            Self::Written(block, class) => not_zero(block, class),
        }
    }
}

/// A block of the pools that is none, or not of that class.
#[cold]
#[inline(never)]
pub(crate) fn no_block(block: *mut u8, layout: Layout) -> ! {
    let address = block.addr();
    let region = map::region_at(address);
    let mut report = match region.map(|region| (region, region.slot_at(block))) {
        Some((region, Ok(_))) => Report::new(
            Misuse::WrongLayout,
            address,
            format_args!(
                "freed as {} bytes, align {}; blocks there have {} bytes, canary included",
                layout.size(),
                layout.align(),
                region.class().block_size()
            ),
        ),
        Some((region, Err(NoBlock::Inside(inside)))) => Report::new(
            Misuse::InvalidFree,
            address,
            format_args!(
                "{inside} bytes inside a block of {}",
                region.class().block_size()
            ),
        ),
        _ if large::state().size_from(address).is_some() => Report::new(
            Misuse::WrongLayout,
            address,
            format_args!("freed as {} bytes; a large block is there", layout.size()),
        ),
        _ => Report::new(
            Misuse::InvalidFree,
            address,
            format_args!("no block of this allocator's lies there"),
        ),
    };
    report.bytes_around(address);
    report.abort()
}

/// A block that is not in use, or was allocated with another size of its class.
#[cold]
#[inline(never)]
pub(crate) fn bad_state(block: *mut u8, state: u8, layout: Layout) -> ! {
    let address = block.addr();
    let mut report = if state & super::region::state::USED == 0 {
        let what = if state == super::region::state::FRESH {
            "nothing was ever allocated there"
        } else {
            "the block has been freed before"
        };
        Report::new(Misuse::DoubleFree, address, format_args!("{what}"))
    } else {
        Report::new(
            Misuse::WrongLayout,
            address,
            format_args!(
                "freed as {} bytes; allocated as another number, of low bits {:#x}",
                layout.size(),
                state & 0x7f
            ),
        )
    };
    report.bytes_around(address);
    report.abort()
}

/// A canary that is not as it was.
#[cold]
#[inline(never)]
pub(crate) fn overflow(block: *mut u8, size: usize, at: *mut u8) -> ! {
    let behind = at.addr() - block.addr() - size;
    let mut report = Report::new(
        Misuse::Overflow,
        block.addr(),
        format_args!("the block of {size} bytes was written to {behind} bytes behind its end"),
    );
    report.bytes_around(at.addr());
    report.abort()
}

/// A free block that is not all zeros.
#[cold]
#[inline(never)]
pub(crate) fn not_zero(block: *mut u8, class: SizeClass) -> ! {
    // SAFETY: a block of the class, mapped.
    let bytes = unsafe { core::slice::from_raw_parts(block, class.block_size()) };
    let offset = bytes.iter().position(|byte| *byte != 0).unwrap_or(0);
    let mut report = Report::new(
        Misuse::WriteAfterFree,
        block.addr(),
        format_args!(
            "a free block of {} bytes was written to, at byte {offset} of it, after it was \
             freed or from beyond a neighbour's end",
            bytes.len()
        ),
    );
    report.bytes_around(block.addr() + offset);
    report.abort()
}

/// A block that two have at once.
#[cold]
#[inline(never)]
pub(crate) fn in_use_twice(block: *mut u8, class: SizeClass) -> ! {
    let mut report = Report::new(
        Misuse::DoubleFree,
        block.addr(),
        format_args!(
            "the block of {} bytes was freed twice at the same time",
            class.block_size()
        ),
    );
    report.bytes_around(block.addr());
    report.abort()
}

/// No large block starts there.
#[cold]
#[inline(never)]
pub(crate) fn no_large_block(block: *mut u8, was_freed: bool, inside: Option<(usize, usize)>) -> ! {
    let address = block.addr();
    let mut report = match (
        was_freed,
        inside,
        map::region_at(address).map(Region::class),
    ) {
        (true, ..) => Report::new(
            Misuse::DoubleFree,
            address,
            format_args!("the large block has been freed before"),
        ),
        (_, Some((start, size)), _) => Report::new(
            Misuse::InvalidFree,
            address,
            format_args!("{} bytes inside a block of {size}", address - start),
        ),
        (.., Some(class)) => Report::new(
            Misuse::WrongLayout,
            address,
            format_args!(
                "freed as a large block; blocks there have {} bytes",
                class.block_size()
            ),
        ),
        _ => Report::new(
            Misuse::InvalidFree,
            address,
            format_args!("no block of this allocator's lies there, or it was freed long ago"),
        ),
    };
    report.bytes_around(address);
    report.abort()
}

/// A large block of another size.
#[cold]
#[inline(never)]
pub(crate) fn wrong_large_layout(block: *mut u8, size: usize, layout: Layout) -> ! {
    let mut report = Report::new(
        Misuse::WrongLayout,
        block.addr(),
        format_args!(
            "freed as {} bytes, align {}; allocated as {size} bytes",
            layout.size(),
            layout.align()
        ),
    );
    report.bytes_around(block.addr());
    report.abort()
}
