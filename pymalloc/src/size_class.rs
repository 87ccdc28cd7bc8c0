//! Size classes: from a `Layout` to the block that serves it.
//!
//! ```text
//!  needed = size rounded up to a multiple of align
//!
//!  needed    8 16 24 ... 504 512 | 576 640 ... 1024 | 1152 ... 2048 | ... 65536
//!  class     0  1  2      62  63 |  64  65       71 |   72 ...   79 | ...   119
//!  spacing         8 bytes       |     64 bytes     |   128 bytes   | 1/8 of the doubling
//!  pool                    16 KiB                                   | 64 KiB (> 2 KiB), 256 KiB (> 8 KiB)
//! ```
//!
//! CPython spaces its 32 classes 16 bytes apart, because a C caller may need that
//! alignment of any block (`obmalloc.c: size_class`, `ALIGNMENT`). A `Layout` says
//! what it needs, so that 24 bytes at alignment 8 take 24 bytes here.
//!
//! # Invariants
//! 1. Tier and class are a pure function of the layout: `dealloc` finds them
//!    again from the same layout, with no look at memory.
//! 2. A block's size is a multiple of 8 and of the layout's alignment, and pools
//!    are aligned to their own size; so the n-th block, at n times its size from
//!    the start of its pool, is aligned. For spacing 2^s every multiple of a larger
//!    power of two in the range is itself a class, hence nothing is rounded away.

use core::alloc::Layout;

use static_assertions::const_assert;

use crate::config::{ARENA_SIZE, MEDIUM_MAX, POOL_SIZE, SMALL_MAX};

/// The number of a size class, below [`SizeClass::COUNT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SizeClass(u8);

/// What there is to know about a class; filled in at compile time.
#[derive(Clone, Copy, Debug)]
struct ClassInfo {
    block_size: u32,
    pool_size: u32,
    capacity: u16,
    front: u16,
}

const SMALL_CLASSES: usize = SMALL_MAX / 8;
const MEDIUM_CLASSES: usize = 8 * (MEDIUM_MAX.ilog2() - SMALL_MAX.ilog2()) as usize;

static CLASSES: [ClassInfo; SizeClass::COUNT] = {
    let mut table = [ClassInfo {
        block_size: 0,
        pool_size: 0,
        capacity: 0,
        front: 0,
    }; SizeClass::COUNT];
    let mut index = 0;
    while index < table.len() {
        table[index] = ClassInfo::new(index);
        index += 1;
    }
    table
};

impl ClassInfo {
    const fn new(index: usize) -> Self {
        let block_size = if cfg!(loom) {
            // Two blocks a pool: a pool is full, and empty, after two steps.
            POOL_SIZE / 2
        } else if index < SMALL_CLASSES {
            (index + 1) * 8
        } else {
            let step = index - SMALL_CLASSES;
            (9 + step % 8) << (6 + step / 8)
        };
        let pool_size = if block_size <= POOL_SIZE / 8 || cfg!(loom) {
            POOL_SIZE
        } else if block_size <= POOL_SIZE / 2 {
            4 * POOL_SIZE
        } else {
            ARENA_SIZE
        };
        // A front keeps up to 16 KiB or 128 blocks of a class, one at least.
        let front = (16 << 10) / block_size;
        let front = if cfg!(loom) || front < 1 {
            1
        } else if front > 128 {
            128
        } else {
            front
        };
        Self {
            block_size: block_size as u32,
            pool_size: pool_size as u32,
            capacity: (pool_size / block_size) as u16,
            front: front as u16,
        }
    }
}

impl SizeClass {
    /// How many classes there are.
    pub(crate) const COUNT: usize = if cfg!(loom) {
        1
    } else {
        SMALL_CLASSES + MEDIUM_CLASSES
    };

    /// The class of the smallest blocks.
    pub(crate) const SMALLEST: Self = Self(0);

    /// The class of a small layout: one `sub`, `or`, `shr` and compare, or nothing
    /// at all where the layout is a constant. `None` for everything else, size 0
    /// included, which wraps to the largest number there is.
    #[inline(always)]
    pub(crate) fn of_small(layout: Layout) -> Option<Self> {
        let last = last_byte(layout);
        (last < SMALL_MAX).then_some(Self((last >> 3) as u8))
    }

    /// The class of a small or medium layout; `None` for a large one.
    #[inline]
    pub(crate) fn of(layout: Layout) -> Option<Self> {
        let last = if layout.size() == 0 {
            layout.align() - 1
        } else {
            last_byte(layout)
        };
        if last < SMALL_MAX {
            Some(Self((last >> 3) as u8))
        } else if last < MEDIUM_MAX {
            // `last` lies in [2^k, 2^(k+1)), k >= 9, in steps of 2^(k-3).
            let k = last.ilog2();
            let step = (last >> (k - 3)) & 7;
            Some(Self((SMALL_CLASSES + 8 * (k as usize - 9) + step) as u8))
        } else {
            None
        }
    }

    /// The class with this number; `None` if there is none.
    pub(crate) fn from_index(index: usize) -> Option<Self> {
        (index < Self::COUNT).then_some(Self(index as u8))
    }

    /// The class with this number.
    ///
    /// # Safety
    /// The number is some class's.
    #[inline(always)]
    pub(crate) unsafe fn from_index_unchecked(index: u8) -> Self {
        debug_assert!(usize::from(index) < Self::COUNT);
        Self(index)
    }

    /// Every class, smallest first.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(|index| Self(index as u8))
    }

    /// The class's number, below [`SizeClass::COUNT`].
    #[inline(always)]
    pub(crate) fn index(self) -> usize {
        // Under loom there is one class, whatever the layout.
        if cfg!(loom) { 0 } else { usize::from(self.0) }
    }

    #[inline(always)]
    fn info(self) -> &'static ClassInfo {
        debug_assert!(self.index() < Self::COUNT);
        // SAFETY: every constructor keeps the number below COUNT: the last byte
        // is below SMALL_MAX or MEDIUM_MAX, whose classes the table holds.
        unsafe { CLASSES.get_unchecked(self.index()) }
    }

    /// Bytes of a block of the class with this number, at compile time.
    #[cfg(not(any(loom, miri)))]
    pub(crate) const fn block_size_of(index: usize) -> usize {
        ClassInfo::new(index).block_size as usize
    }

    /// Bytes of a block.
    #[inline]
    pub(crate) fn block_size(self) -> usize {
        self.info().block_size as usize
    }

    /// Bytes, and alignment, of a pool.
    #[inline]
    pub(crate) fn pool_size(self) -> usize {
        self.info().pool_size as usize
    }

    /// Blocks in a pool.
    #[inline]
    pub(crate) fn capacity(self) -> u32 {
        u32::from(self.info().capacity)
    }

    /// Blocks that one list of a thread's front holds before it is passed on.
    #[inline]
    pub(crate) fn front_capacity(self) -> u32 {
        u32::from(self.info().front)
    }
}

/// The offset of the last byte a layout needs, its size rounded up to its
/// alignment: `size - 1` with the alignment's low bits set. `usize::MAX` for an
/// empty layout.
#[inline(always)]
fn last_byte(layout: Layout) -> usize {
    layout.size().wrapping_sub(1) | (layout.align() - 1)
}

const_assert!(SMALL_CLASSES + MEDIUM_CLASSES < u8::MAX as usize);

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn class(size: usize, align: usize) -> Option<SizeClass> {
        SizeClass::of(Layout::from_size_align(size, align).unwrap())
    }

    #[test]
    fn a_block_holds_its_layout_and_is_aligned() {
        for align in (0..=16).map(|shift| 1_usize << shift) {
            for size in 0..=MEDIUM_MAX {
                let needed = size.max(1).next_multiple_of(align);
                match class(size, align) {
                    Some(class) => {
                        assert!(class.block_size() >= needed, "{size} at {align}");
                        assert_eq!(class.block_size() % align, 0, "{size} at {align}");
                    }
                    None => assert!(needed > MEDIUM_MAX, "{size} at {align}"),
                }
            }
        }
    }

    #[test]
    fn a_medium_block_wastes_an_eighth_at_most() {
        for size in SMALL_MAX + 1..=MEDIUM_MAX {
            let block = class(size, 8).unwrap().block_size();
            assert!((block - size) * 8 < block, "{size} in {block}");
        }
    }

    #[test]
    fn classes_grow_and_each_is_the_class_of_its_own_size() {
        let mut previous = 0;
        for class in SizeClass::all() {
            let size = class.block_size();
            assert!(size > previous);
            previous = size;
            assert_eq!(self::class(size, 8), Some(class));
            assert_eq!(class.block_size() % 8, 0);
        }
        assert_eq!(previous, MEDIUM_MAX);
    }

    #[test]
    fn the_small_path_and_the_whole_path_agree() {
        for align in [1, 2, 8, 16, 64, 512, 1024] {
            for size in 1..=SMALL_MAX + 8 {
                let layout = Layout::from_size_align(size, align).unwrap();
                if let Some(small) = SizeClass::of_small(layout) {
                    assert_eq!(Some(small), SizeClass::of(layout));
                } else {
                    assert!(size.next_multiple_of(align) > SMALL_MAX);
                }
            }
        }
        let empty = Layout::from_size_align(0, 1).unwrap();
        assert_eq!(SizeClass::of_small(empty), None);
        assert_eq!(SizeClass::of(empty).unwrap().block_size(), 8);
    }

    #[test]
    fn a_pool_leaves_a_fifth_of_itself_untouched_at_most() {
        for class in SizeClass::all() {
            let used = class.capacity() as usize * class.block_size();
            assert!((class.pool_size() - used) * 5 <= class.pool_size());
            assert!(class.capacity() >= 4 && class.capacity() <= 2048);
        }
    }
}
