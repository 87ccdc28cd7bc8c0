//! What the heap holds, in numbers (CPython `sys._debugmallocstats`).

use core::fmt;

use crate::arena::Kind;
use crate::config::{ARENA_SIZE, POOL_SIZE, POOLS_PER_ARENA};
use crate::heap::Heap;
use crate::os;
use crate::pool::Pool;
use crate::shared::Shared;
use crate::size_class::SizeClass;

/// A reading of the whole heap, made by [`stats`](crate::stats).
///
/// Bytes unless another unit is named. The blocks at hand in the fronts of other threads
/// are known as of each thread's last visit to its pools: what it took from or put into
/// a front since then counts as free or in use still. For the calling thread, and for
/// threads that have exited, the numbers are exact.
///
/// `bytes_in_use + bytes_free + bytes_unused_pools + bytes_quantization` is
/// `arenas_current` times 256 KiB.
///
/// # Examples
///
/// ```
/// let before = pymalloc::stats().bytes_in_use;
/// # use std::alloc::{GlobalAlloc, Layout};
/// let layout = Layout::new::<[u64; 5]>();
/// // SAFETY: the layout is not empty.
/// let block = unsafe { pymalloc::PyMalloc.alloc(layout) };
/// assert_eq!(pymalloc::stats().bytes_in_use, before + 40);
/// // SAFETY: allocated above with this layout.
/// unsafe { pymalloc::PyMalloc.dealloc(block, layout) };
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// Times an arena was given memory (CPython "arenas allocated total").
    pub arenas_total: usize,
    /// Times an arena's memory went back to the system, or was offered to it ("arenas
    /// reclaimed").
    pub arenas_reclaimed: usize,
    /// The most arenas that had memory at once ("arenas highwater mark").
    pub arenas_highwater: usize,
    /// Arenas that have memory now ("arenas allocated current").
    pub arenas_current: usize,
    /// The size classes, smallest first.
    pub classes: [ClassStats; CLASSES],
    /// Bytes of the small and medium blocks in use ("bytes in allocated blocks").
    pub bytes_in_use: usize,
    /// Bytes of the free blocks in pools in use, those that were never carved
    /// included ("bytes in available blocks").
    pub bytes_free: usize,
    /// Bytes at hand in the fronts of threads, part of the free ones.
    pub bytes_in_fronts: usize,
    /// Bytes of the free pools of arenas that have memory ("unused pools").
    pub bytes_unused_pools: usize,
    /// An estimate of the resident part of these: pools that were used before.
    pub bytes_unused_pools_resident: usize,
    /// Bytes of the allocator's own records, outside the arenas.
    pub bytes_headers: usize,
    /// Bytes at the ends of pools that are too few for a block ("bytes lost to
    /// quantization").
    pub bytes_quantization: usize,
    /// Large blocks in use.
    pub large_blocks: usize,
    /// Bytes of the large blocks in use.
    pub bytes_large: usize,
    /// Bytes of freed large blocks that stay mapped for reuse.
    pub bytes_large_cached: usize,
    /// Bytes of address space: regions, large blocks, records.
    pub bytes_mapped: usize,
    /// An estimate of the resident part of it: what was touched and not given back. The
    /// system has less resident if a program never wrote to its blocks; and more if it refused to
    /// take memory back, because the program has locked it, where it has huge pages, and of a
    /// pool that is used again, whose earlier blocks are not counted.
    pub bytes_resident: usize,
}

/// How many size classes there are.
const CLASSES: usize = SizeClass::COUNT;

/// A line of the table: one size class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassStats {
    /// Bytes of a block.
    pub size: usize,
    /// Pools in use.
    pub pools: usize,
    /// Blocks in use.
    pub blocks_in_use: usize,
    /// Free blocks in these pools, those never carved included.
    pub blocks_free: usize,
}

/// What the blocks of a class's pools are doing.
#[derive(Clone, Copy, Default)]
struct Tally {
    pools: usize,
    out: usize,
    waiting: usize,
    cached: usize,
}

impl Stats {
    /// Reads the heap, under its locks.
    pub(crate) fn read(shared: &Shared, own: &Heap) -> Self {
        let mut tallies = [Tally::default(); CLASSES];
        let mut stats = Self {
            arenas_total: 0,
            arenas_reclaimed: 0,
            arenas_highwater: 0,
            arenas_current: 0,
            classes: [ClassStats::default(); CLASSES],
            bytes_in_use: 0,
            bytes_free: 0,
            bytes_in_fronts: 0,
            bytes_unused_pools: 0,
            bytes_unused_pools_resident: 0,
            bytes_headers: 0,
            bytes_quantization: 0,
            large_blocks: 0,
            bytes_large: 0,
            bytes_large_cached: 0,
            bytes_mapped: 0,
            bytes_resident: 0,
        };
        stats.read_fronts(shared, own, &mut tallies);
        stats.read_arenas(shared, &mut tallies);
        stats.read_large(shared);
        for (class, tally) in SizeClass::all().zip(tallies) {
            stats.add_class(class, tally);
        }
        stats
    }

    fn read_fronts(&mut self, shared: &Shared, own: &Heap, tallies: &mut [Tally; CLASSES]) {
        let roll = shared.registry.lock();
        self.bytes_mapped += roll.slab().mapped_bytes();
        self.bytes_headers += roll.slab().used_bytes();
        for member in roll.live() {
            let is_own = own.member().is_some_and(|own| core::ptr::eq(own, member));
            for (class, tally) in SizeClass::all().zip(tallies.iter_mut()) {
                let blocks = if is_own {
                    own.blocks_counted(class)
                } else {
                    member.cached(class)
                };
                tally.cached += blocks as usize;
            }
        }
    }

    fn read_arenas(&mut self, shared: &Shared, tallies: &mut [Tally; CLASSES]) {
        let lists = shared.arenas.lock();
        self.arenas_total = lists.counters.total;
        self.arenas_reclaimed = lists.counters.reclaimed;
        self.arenas_highwater = lists.counters.highwater;
        self.arenas_current = lists.counters.current;
        self.bytes_unused_pools_resident = lists.dirty_bytes();
        self.bytes_resident += self.bytes_unused_pools_resident;
        let mut region = lists.newest_region();
        while let Some(current) = region {
            self.bytes_mapped += current.size();
            for arena in lists.arenas_of(current) {
                self.bytes_headers += size_of_val(arena) + POOLS_PER_ARENA * size_of::<Pool>();
                if arena.is_empty() && arena.dirty() == 0 {
                    continue;
                }
                for index in 0..arena.kind().count() {
                    if arena.used() >> index & 1 == 1 {
                        self.read_pool(arena.pool(index).pool(), arena.kind(), tallies);
                    } else {
                        self.bytes_unused_pools += arena.kind().pool_size();
                    }
                }
            }
            region = current.previous();
        }
    }

    fn read_pool(&mut self, pool: &Pool, kind: Kind, tallies: &mut [Tally; CLASSES]) {
        let class = pool.class();
        let counts = pool.counts();
        if let Some(tally) = tallies.get_mut(class.index()) {
            tally.pools += 1;
            tally.out += counts.out() as usize;
            tally.waiting += pool.remote.waiting() as usize;
        }
        let touched = counts.carved as usize * class.block_size();
        self.bytes_resident += touched
            .next_multiple_of(os::page_size())
            .min(kind.pool_size());
        let blocks = class.capacity() as usize * class.block_size();
        self.bytes_quantization += kind.pool_size().saturating_sub(blocks);
    }

    fn read_large(&mut self, shared: &Shared) {
        let large = shared.large.lock();
        let (records_mapped, records_used) = large.record_bytes();
        self.large_blocks = large.count;
        self.bytes_large = large.bytes;
        self.bytes_large_cached = large.cached_bytes();
        self.bytes_headers += records_used;
        self.bytes_mapped +=
            large.bytes + large.cached_bytes() + large.stuck_bytes() + records_mapped;
        self.bytes_resident += large.bytes + large.cached_bytes() + self.bytes_headers;
    }

    fn add_class(&mut self, class: SizeClass, tally: Tally) {
        let in_use = tally
            .out
            .saturating_sub(tally.waiting)
            .saturating_sub(tally.cached);
        let blocks = tally.pools * class.capacity() as usize;
        let line = ClassStats {
            size: class.block_size(),
            pools: tally.pools,
            blocks_in_use: in_use,
            blocks_free: blocks.saturating_sub(in_use),
        };
        self.bytes_in_use += line.blocks_in_use * line.size;
        self.bytes_free += line.blocks_free * line.size;
        self.bytes_in_fronts += tally.cached * line.size;
        if let Some(slot) = self.classes.get_mut(class.index()) {
            *slot = line;
        }
    }
}

/// The table of CPython's `sys._debugmallocstats()`, in its words; classes without
/// pools are left out.
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Small block threshold = {}, in {} size classes.",
            crate::config::SMALL_MAX,
            crate::config::SMALL_MAX / 8
        )?;
        writeln!(
            f,
            "Medium block threshold = {}, in {CLASSES} size classes in all.\n",
            crate::config::MEDIUM_MAX
        )?;
        writeln!(f, "class   size   num pools   blocks in use  avail blocks")?;
        writeln!(f, "-----   ----   ---------   -------------  ------------")?;
        for (index, class) in self.classes.iter().enumerate() {
            if class.pools > 0 {
                writeln!(
                    f,
                    "{index:5} {:6} {:11} {:15} {:13}",
                    class.size, class.pools, class.blocks_in_use, class.blocks_free
                )?;
            }
        }
        writeln!(f)?;
        line(f, "# arenas allocated total", self.arenas_total)?;
        line(f, "# arenas reclaimed", self.arenas_reclaimed)?;
        line(f, "# arenas highwater mark", self.arenas_highwater)?;
        line(f, "# arenas allocated current", self.arenas_current)?;
        let arenas = format_args!("{} arenas * {ARENA_SIZE} bytes/arena", self.arenas_current);
        line(f, arenas, self.arenas_current * ARENA_SIZE)?;
        writeln!(f)?;
        line(f, "# bytes in allocated blocks", self.bytes_in_use)?;
        line(f, "# bytes in available blocks", self.bytes_free)?;
        let pools = self.bytes_unused_pools / POOL_SIZE;
        let unused = format_args!("{pools} unused pools * {POOL_SIZE} bytes");
        line(f, unused, self.bytes_unused_pools)?;
        line(f, "# bytes lost to quantization", self.bytes_quantization)?;
        let total =
            self.bytes_in_use + self.bytes_free + self.bytes_unused_pools + self.bytes_quantization;
        line(f, "Total", total)?;
        writeln!(f)?;
        line(f, "# bytes in threads' fronts", self.bytes_in_fronts)?;
        line(f, "# bytes in pool and other headers", self.bytes_headers)?;
        line(f, "# large blocks", self.large_blocks)?;
        line(f, "# bytes in large blocks", self.bytes_large)?;
        line(f, "# bytes in cached large blocks", self.bytes_large_cached)?;
        line(f, "# bytes mapped", self.bytes_mapped)?;
        line(f, "# bytes resident, estimated", self.bytes_resident)
    }
}

/// A line of the table; the number has a comma every three digits, as CPython's.
fn line(f: &mut fmt::Formatter<'_>, what: impl fmt::Display, number: usize) -> fmt::Result {
    let mut text = Text::default();
    let _ = fmt::write(&mut text, format_args!("{what}"));
    write!(f, "{:<35}={:>21}", text.as_str(), Commas(number))?;
    writeln!(f)
}

/// A short text on the stack; what does not fit is left out.
struct Text {
    bytes: [u8; 64],
    len: usize,
}

impl Default for Text {
    fn default() -> Self {
        Self {
            bytes: [0; 64],
            len: 0,
        }
    }
}

impl Text {
    fn as_str(&self) -> &str {
        let written = self.bytes.get(..self.len).unwrap_or_default();
        str::from_utf8(written).unwrap_or_default()
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        let room = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// A number with its digits in groups of three.
struct Commas(usize);

impl fmt::Display for Commas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = Text::default();
        let _ = fmt::write(&mut digits, format_args!("{}", self.0));
        let mut text = Text::default();
        for (index, digit) in digits.as_str().chars().enumerate() {
            if index > 0 && (digits.len - index).is_multiple_of(3) {
                let _ = fmt::Write::write_char(&mut text, ',');
            }
            let _ = fmt::Write::write_char(&mut text, digit);
        }
        f.pad(text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas_where_cpython_puts_them() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (4_194_304, "4,194,304"),
            (usize::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(Commas(number).to_string(), text);
        }
        assert_eq!(format!("{:>7}", Commas(1000)), "  1,000");
    }
}
