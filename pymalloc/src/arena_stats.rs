//! What each arena holds: the picture behind the numbers of [`stats`](crate::stats).

use crate::arena::{Arena, Kind};
use crate::config::POOLS_PER_ARENA;
use crate::pool::Pool;
use crate::shared::Shared;

/// An arena that has memory, read by [`arenas`](crate::arenas).
#[derive(Clone, Copy, Debug, Default)]
pub struct ArenaStats {
    address: usize,
    pools: [PoolStats; POOLS_PER_ARENA],
    pool_count: usize,
}

/// A pool of an arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Bytes of a block; 0 if the pool is free.
    pub block_size: usize,
    /// Blocks that are not in the pool: in use, or at hand in the front of a thread.
    pub blocks_in_use: usize,
    /// Blocks it has room for.
    pub capacity: usize,
}

impl ArenaStats {
    /// Where the arena starts.
    #[must_use]
    pub const fn address(&self) -> usize {
        self.address
    }

    /// Its pools by address: 16, 4 or 1, all of one size.
    #[must_use]
    pub fn pools(&self) -> &[PoolStats] {
        self.pools.get(..self.pool_count).unwrap_or_default()
    }

    fn read(arena: &Arena) -> Self {
        let kind: Kind = arena.kind();
        let mut stats = Self {
            address: arena.base().addr(),
            pools: [PoolStats::default(); POOLS_PER_ARENA],
            pool_count: kind.count() as usize,
        };
        for (index, pool) in (0..kind.count()).zip(&mut stats.pools) {
            if arena.used() >> index & 1 == 1 {
                *pool = PoolStats::read(arena.pool(index).pool());
            }
        }
        stats
    }
}

impl PoolStats {
    fn read(pool: &Pool) -> Self {
        let class = pool.class();
        let out = pool.counts().out() as usize;
        Self {
            block_size: class.block_size(),
            blocks_in_use: out.saturating_sub(pool.remote.waiting() as usize),
            capacity: class.capacity() as usize,
        }
    }
}

/// Reads the arenas, as many as there is room for, under their lock; how many there are.
pub(crate) fn read(shared: &Shared, into: &mut [ArenaStats]) -> usize {
    let lists = shared.arenas.lock();
    let mut count = 0;
    let mut region = lists.newest_region();
    while let Some(current) = region {
        for arena in lists.arenas_of(current) {
            if arena.is_empty() && arena.dirty() == 0 {
                continue;
            }
            if let Some(slot) = into.get_mut(count) {
                *slot = ArenaStats::read(arena);
            }
            count += 1;
        }
        region = current.previous();
    }
    count
}
