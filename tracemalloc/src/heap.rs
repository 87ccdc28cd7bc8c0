//! How the allocator's memory is divided, as `pymalloc` says it.

use crate::snapshot::{ArenaUse, ClassUse, HeapMap, PoolUse};

/// The map now; `None` if `pymalloc` serves nothing here. `traced_bytes` is what the recorder's
/// blocks asked for, `tracer_bytes` what its tables take.
pub(crate) fn map(tracer_bytes: usize) -> Option<HeapMap> {
    let stats = pymalloc::stats();
    if stats.bytes_in_use + stats.bytes_large == 0 {
        return None;
    }
    let classes = stats.classes.iter().map(|class| ClassUse {
        block_bytes: class.size as u64,
        pool_count: class.pools as u64,
        used_blocks: class.blocks_in_use as u64,
        free_blocks: class.blocks_free as u64,
    });
    let known = [
        ("blocks in use, small and medium", stats.bytes_in_use),
        ("large blocks in use", stats.bytes_large),
        ("free blocks in pools and at hand", stats.bytes_free),
        ("free pools", stats.bytes_unused_pools),
        ("ends of pools", stats.bytes_quantization),
        (
            "freed large blocks kept for reuse",
            stats.bytes_large_cached,
        ),
        ("the allocator's records", stats.bytes_headers),
        ("the recorder's tables", tracer_bytes),
    ];
    let mut parts: Vec<(String, u64)> = known
        .iter()
        .map(|&(name, bytes)| (name.to_owned(), bytes as u64))
        .collect();
    // Pools that were never touched are not resident, so this may come out below what it is.
    let sum: u64 = parts.iter().map(|(_, bytes)| bytes).sum();
    if let Some(rest) = crate::timeline::rss_bytes().and_then(|rss| rss.checked_sub(sum)) {
        parts.push(("all else: code, stacks, the C library".to_owned(), rest));
    }
    Some(HeapMap {
        classes: classes.collect(),
        arenas: arenas(),
        parts,
    })
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
