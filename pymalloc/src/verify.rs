//! The heap walker: checks every invariant that can be checked from outside.
//!
//! Arenas, their lists and their byte counts; the descriptor of every pool in use; the
//! free lists of the commons and of the calling thread, block by block; the calling
//! thread's fronts; the large blocks. The free lists of other running threads are theirs
//! alone and are not looked at.

use core::fmt;

use crate::arena::{Arena, Kind};
use crate::arena_list::ArenaLists;
use crate::block::Block;
use crate::heap::Heap;
use crate::pool::{Held, Pool};
use crate::region;
use crate::shared::Shared;
use crate::size_class::SizeClass;

/// The first thing found wrong with the heap, by [`verify_heap`](crate::verify_heap).
///
/// It means that something wrote where it must not, or freed what it must not: the
/// program cannot rely on its memory any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeapError {
    what: &'static str,
    address: usize,
}

impl HeapError {
    /// The address of the arena, pool or block it was found at.
    pub fn address(&self) -> usize {
        self.address
    }
}

impl fmt::Display for HeapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "heap corrupted: {} at {:#x}", self.what, self.address)
    }
}

impl core::error::Error for HeapError {}

type Check = Result<(), HeapError>;

fn require(holds: bool, what: &'static str, address: usize) -> Check {
    if holds {
        Ok(())
    } else {
        Err(HeapError { what, address })
    }
}

/// Walks everything.
pub(crate) fn heap(shared: &Shared, own: &Heap) -> Check {
    arenas(&shared.arenas.lock())?;
    let mut found = Ok(());
    shared.commons.each_listed(|pool| {
        if found.is_ok() {
            found = common_pool(pool);
        }
    });
    found?;
    for class in SizeClass::all() {
        own_class(own, class)?;
    }
    shared.large.lock().verify().map_err(|address| HeapError {
        what: "large blocks overlap or miscounted",
        address,
    })
}

/// Every arena is where its state wants it, and the sums are right.
fn arenas(lists: &ArenaLists) -> Check {
    let (mut dirty, mut used, mut listed) = (0, 0, 0);
    let mut region = lists.newest_region();
    while let Some(current) = region {
        for arena in lists.arenas_of(current) {
            dirty += arena.dirty_bytes();
            used += used_bytes(arena);
            listed += usize::from(arena.free_count() > 0);
            each_pool(arena)?;
        }
        region = current.previous();
    }
    let here = core::ptr::from_ref(lists).addr();
    require(
        used == lists.used_bytes(),
        "used pools are not the sum of the arenas'",
        here,
    )?;
    require(
        dirty == lists.dirty_bytes(),
        "dirty pools are not the sum of the arenas'",
        here,
    )?;
    require(
        lists.count_listed() == Some(listed),
        "an arena is on the wrong list",
        here,
    )
}

fn used_bytes(arena: &Arena) -> usize {
    arena.used().count_ones() as usize * arena.kind().pool_size()
}

fn each_pool(arena: &Arena) -> Check {
    let base = arena.base().addr();
    let all = arena.kind().all();
    require(arena.is_sound(), "arena bits", base)?;
    for index in (0..arena.kind().count()).filter(|&index| arena.used() >> index & 1 == 1) {
        let pool = arena.pool(index).pool();
        let class = pool.class();
        let counts = pool.counts();
        let start = pool.base().addr();
        require(
            Kind::of(class).all() == all,
            "pool in an arena of another kind",
            start,
        )?;
        require(
            counts.free <= counts.carved && counts.carved <= class.capacity(),
            "pool counts",
            start,
        )?;
    }
    Ok(())
}

fn common_pool(pool: Held) -> Check {
    let base = pool.pool().base().addr();
    require(
        pool.pool().remote.is_common(),
        "owned pool on a shelf",
        base,
    )?;
    require(pool.is_listed(), "unlisted pool on a shelf", base)?;
    require(pool.has_room(), "full pool on a shelf", base)?;
    require(!pool.is_empty(), "empty pool on a shelf", base)?;
    free_list(pool)
}

fn own_class(own: &Heap, class: SizeClass) -> Check {
    for pool in own.pools(class) {
        let base = pool.pool().base().addr();
        require(pool.is_listed(), "unlisted pool on its owner's list", base)?;
        require(!pool.is_empty(), "empty pool on its owner's list", base)?;
        require(
            pool.pool().class() == class,
            "pool on another class's list",
            base,
        )?;
        free_list(pool)?;
    }
    let mut blocks = 0;
    for block in own.blocks(class) {
        // SAFETY: blocks of the front are ours, of this class.
        let pool = unsafe { region::pool_of(block.addr(), class) };
        index_of(pool, block)?;
        blocks += 1;
        if blocks > own.blocks_counted(class) {
            break;
        }
    }
    require(
        !own.is_live() || blocks == own.blocks_counted(class),
        "front has not the blocks it counts",
        core::ptr::from_ref(own).addr(),
    )
}

/// The free list has as many blocks as are counted, each a block, none twice.
fn free_list(pool: Held) -> Check {
    let mut seen = [0_u64; 2048 / 64];
    let mut block = pool.free_list();
    let base = pool.pool().base().addr();
    for _ in 0..pool.pool().counts().free {
        require(!block.is_null(), "free list too short", base)?;
        let index = index_of(pool.pool(), block)?;
        let bit = 1 << (index % 64);
        let word = seen.get_mut(index / 64).map_or(bit, |word| {
            let before = *word;
            *word |= bit;
            before
        });
        require(word & bit == 0, "block twice on a free list", block.addr())?;
        // SAFETY: a carved block of a pool that the caller holds, on its free list.
        block = unsafe { Block::next(block) };
    }
    require(block.is_null(), "free list too long", base)
}

/// The number of a block in its pool.
fn index_of(pool: &Pool, block: *mut Block) -> Result<usize, HeapError> {
    let offset = block.addr().wrapping_sub(pool.base().addr());
    let size = pool.class().block_size();
    let carved = pool.counts().carved as usize;
    require(
        offset.is_multiple_of(size) && offset / size < carved,
        "free block that is no block of its pool",
        block.addr(),
    )?;
    Ok(offset / size)
}
