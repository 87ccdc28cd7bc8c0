//! How the allocator's memory is divided, as `pymalloc` says it.

use pymalloc::Stats;

use crate::snapshot::{ArenaUse, ClassUse, HeapMap, PoolUse};
use crate::waterfall::Held;

/// What the allocator and the recorder have; `None` if `pymalloc` serves nothing here.
pub(crate) fn held(stats: &Stats) -> Option<Held> {
    let in_use = stats.bytes_in_use + stats.bytes_large;
    if in_use == 0 {
        return None;
    }
    let resident = stats.bytes_resident;
    // The rest of what is resident of pools in use: blocks that are free, but were in use before.
    let elsewhere =
        in_use + stats.bytes_unused_pools_resident + stats.bytes_large_cached + stats.bytes_headers;
    // The recorder's blocks are its own, not the program's.
    let own_blocks = crate::record::own_blocks_bytes();
    Some(Held {
        in_use: in_use.saturating_sub(own_blocks) as u64,
        in_use_large: stats.bytes_large as u64,
        free_blocks: resident.saturating_sub(elsewhere) as u64,
        free_pools: stats.bytes_unused_pools_resident as u64,
        freed_large: stats.bytes_large_cached as u64,
        metadata: stats.bytes_headers as u64,
        tracer: crate::get_tracemalloc_memory() as u64,
    })
}

/// Its size classes and arenas now; nothing of its parts.
pub(crate) fn map(stats: &Stats) -> HeapMap {
    let classes = stats.classes.iter().map(|class| ClassUse {
        block_bytes: class.size as u64,
        pool_count: class.pools as u64,
        used_blocks: class.blocks_in_use as u64,
        free_blocks: class.blocks_free as u64,
    });
    HeapMap {
        classes: classes.collect(),
        arenas: arenas(),
        parts: Vec::new(),
    }
}

fn arenas() -> Vec<ArenaUse> {
    // Room for those that come while it is made.
    let room = pymalloc::arenas(&mut []) + 16;
    let mut read = vec![pymalloc::ArenaStats::default(); room];
    let count = pymalloc::arenas(&mut read).min(room);
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let mut arenas: Vec<ArenaUse> = read[..count]
        .iter()
        .map(|arena| ArenaUse {
            address: arena.address(),
            bytes: 256 << 10,
            pools: arena
                .pools()
                .iter()
                .map(|pool| PoolUse {
                    block_bytes: small(pool.block_size),
                    used_blocks: small(pool.blocks_in_use),
                    capacity: small(pool.capacity),
                })
                .collect(),
        })
        .collect();
    arenas.sort_unstable_by_key(|arena| arena.address);
    arenas
}
