//! Where a process's resident memory went.
//!
//! ```text
//!  resident ─┬─ anonymous ─┬─ the allocator's: live, rounding, free blocks, free pools,
//!            │             │                   freed large blocks, metadata
//!            │             ├─ the tracer's
//!            │             └─ the rest: stacks, the C library's blocks
//!            └─ of files: code and constants of the program and its libraries
//! ```

use std::fmt;
use std::io;

use crate::memory_info;
use crate::snapshot::{Size, Snapshot};

/// Where a process's resident memory went: names and bytes, which add up to all of it.
///
/// | part | is |
/// |---|---|
/// | `live` | what the program asked for and has not freed, as far as it is resident |
/// | `rounding` | what the allocator gave beyond that: to the next size class, or whole pages |
/// | `free blocks` | blocks that were used and are free, in pools where others are in use |
/// | `free pools` | pools that were used and are free |
/// | `freed large blocks` | those that stay mapped, to serve again |
/// | `metadata` | the allocator's own records |
/// | `tracer` | the recorder's tables |
/// | `rest` | stacks, blocks of the C library, other memory of no file |
/// | `files` | code and constants: the program, its libraries |
///
/// The system says how much is resident, of files and in all; the allocator how it is divided.
/// Its own part may come out as more than there is, where a program has large blocks that it never
/// wrote to: that is taken off these, and then off what is free. `rounding` is known of the blocks that are recorded, and is in
/// `live` for others; in sampling mode it is an estimate. A part of which there is nothing is left
/// out. Without `pymalloc`, all that it would say is in `rest`, but for what is traced.
///
/// Shown, it is a table; each bar begins where the one above ends:
///
/// ```text
/// live                    20.4 MiB  65.8 %  ██████████████████████████
/// rounding                1147 KiB   3.6 %                            █
/// free blocks             4113 KiB  13.0 %                             █████
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waterfall {
    parts: Vec<(String, u64)>,
}

/// Where this process's resident memory went.
///
/// While tracing is on, it looks at every block that is recorded, as a snapshot does, but copies
/// none.
///
/// # Errors
///
/// Those of reading `/proc/self/statm`.
///
/// # Examples
///
/// ```
/// # use std::alloc::System;
/// # #[global_allocator]
/// # static GLOBAL: tracemalloc::Traced<System> = tracemalloc::Traced(System);
/// tracemalloc::start(25)?;
/// let kept = vec![1_u8; 4 << 20];
/// let waterfall = tracemalloc::waterfall()?;
/// println!("{waterfall}");
/// assert!(waterfall.bytes_of("live") >= Some(4 << 20));
/// # drop(kept);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn waterfall() -> io::Result<Waterfall> {
    crate::untraced(|| {
        // Read one after the other, while other threads go on.
        let (held, rounding) = held();
        let resident = memory_info::resident()?;
        Ok(Waterfall {
            parts: divide(resident, &held, rounding),
        })
    })
}

/// What is resident, by what the system counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resident {
    pub(crate) rss_bytes: u64,
    /// The part that is of files, or shared memory.
    pub(crate) shared_bytes: u64,
}

/// What the allocator and the recorder have: bytes that are resident, or were never written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Held {
    /// Live blocks and their rounding, ...
    pub(crate) in_use: u64,
    /// ... of which so much is in blocks with pages of their own.
    pub(crate) in_use_large: u64,
    pub(crate) free_blocks: u64,
    pub(crate) free_pools: u64,
    pub(crate) freed_large: u64,
    pub(crate) metadata: u64,
    pub(crate) tracer: u64,
}

/// What there is now, and the rounding of it that is known.
fn held() -> (Held, u64) {
    #[cfg(feature = "pymalloc")]
    if let Some(held) = crate::heap::held(&pymalloc::stats()) {
        return (held, crate::record::rounding_bytes());
    }
    let traced = Held {
        in_use: crate::get_traced_memory().0,
        in_use_large: u64::MAX,
        tracer: crate::get_tracemalloc_memory() as u64,
        ..Held::default()
    };
    (traced, 0)
}

/// The parts, in the order to show them.
pub(crate) fn divide(resident: Resident, held: &Held, rounding: u64) -> Vec<(String, u64)> {
    let rounding = rounding.min(held.in_use);
    let mut parts = [
        ("live", held.in_use - rounding),
        ("rounding", rounding),
        ("free blocks", held.free_blocks),
        ("free pools", held.free_pools),
        ("freed large blocks", held.freed_large),
        ("metadata", held.metadata),
        ("tracer", held.tracer),
    ];
    let shared = resident.shared_bytes.min(resident.rss_bytes);
    let anonymous = resident.rss_bytes - shared;
    let sum: u64 = parts.iter().map(|part| part.1).sum();
    let mut never_written = sum.saturating_sub(anonymous);
    let mut take_off = |bytes: &mut u64, most: u64| {
        let less = never_written.min(most).min(*bytes);
        *bytes -= less;
        never_written -= less;
    };
    let [live, _, free_blocks, free_pools, freed_large, ..] = &mut parts;
    take_off(&mut live.1, held.in_use_large);
    // Of what is free more may be gone than is known; what is live is surest.
    for part in [freed_large, free_pools, free_blocks] {
        take_off(&mut part.1, u64::MAX);
    }
    for part in &mut parts {
        take_off(&mut part.1, u64::MAX);
    }
    let rest = anonymous.saturating_sub(sum);
    parts
        .into_iter()
        .chain([("rest", rest), ("files", shared)])
        .filter(|part| part.1 > 0)
        .map(|(name, bytes)| (name.to_owned(), bytes))
        .collect()
}

impl Waterfall {
    /// The parts and their bytes, in the order to show them.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = (&str, u64)> {
        self.parts.iter().map(|(name, bytes)| (&**name, *bytes))
    }

    /// The bytes of a part; `None` if there is nothing of it.
    #[must_use]
    pub fn bytes_of(&self, name: &str) -> Option<u64> {
        self.parts().find(|part| part.0 == name).map(|part| part.1)
    }

    /// The bytes of all parts.
    #[must_use]
    pub fn rss_bytes(&self) -> u64 {
        let bytes = self.parts.iter().map(|part| part.1);
        bytes.fold(0, u64::saturating_add)
    }
}

impl fmt::Display for Waterfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WIDTH: f64 = 40.0;
        let all = self.rss_bytes().max(1) as f64;
        let mut above: u64 = 0;
        for (name, bytes) in self.parts() {
            let share = bytes as f64 / all;
            let end = above.saturating_add(bytes);
            let column = |bytes: u64| (bytes as f64 / all * WIDTH).round() as usize;
            // A part that is too small for a bar has one all the same.
            let from = column(above).min(WIDTH as usize - 1);
            let bar = "█".repeat((column(end) - column(above)).max(1));
            let (size, percent) = (Size::new(bytes as f64).to_string(), share * 100.0);
            writeln!(
                f,
                "{name:<20} {size:>11} {percent:5.1} %  {:from$}{bar}",
                ""
            )?;
            above = end;
        }
        let size = Size::new(self.rss_bytes() as f64).to_string();
        write!(f, "{:<20} {size:>11}", "resident")
    }
}

impl Snapshot {
    /// Where the process's resident memory went when it was taken; `None` if that was not noted,
    /// as without `pymalloc`.
    ///
    /// It is of the whole process, whatever was filtered out.
    #[must_use]
    pub fn waterfall(&self) -> Option<Waterfall> {
        let parts = self.heap_map()?.parts.clone();
        (!parts.is_empty()).then_some(Waterfall { parts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELD: Held = Held {
        in_use: 1000,
        in_use_large: 400,
        free_blocks: 100,
        free_pools: 50,
        freed_large: 0,
        metadata: 10,
        tracer: 40,
    };

    fn divided(rss_bytes: u64, shared_bytes: u64, rounding: u64) -> Waterfall {
        divided_with(&HELD, rss_bytes, shared_bytes, rounding)
    }

    fn divided_with(held: &Held, rss_bytes: u64, shared_bytes: u64, rounding: u64) -> Waterfall {
        let resident = Resident {
            rss_bytes,
            shared_bytes,
        };
        Waterfall {
            parts: divide(resident, held, rounding),
        }
    }

    #[test]
    fn the_parts_add_up_to_what_is_resident() {
        let waterfall = divided(2000, 300, 80);
        let expected = [
            ("live", 920),
            ("rounding", 80),
            ("free blocks", 100),
            ("free pools", 50),
            ("metadata", 10),
            ("tracer", 40),
            ("rest", 500),
            ("files", 300),
        ];
        assert!(waterfall.parts().eq(expected), "{waterfall:?}");
        assert_eq!(waterfall.rss_bytes(), 2000);
        assert_eq!(waterfall.bytes_of("rounding"), Some(80));
        assert_eq!(waterfall.bytes_of("freed large blocks"), None);
    }

    #[test]
    fn memory_that_was_never_written_is_not_live() {
        let waterfall = divided(1000, 100, 80);
        assert_eq!(waterfall.bytes_of("live"), Some(620));
        assert_eq!(waterfall.bytes_of("rounding"), Some(80));
        assert_eq!(waterfall.bytes_of("rest"), None);
        assert_eq!(waterfall.rss_bytes(), 1000);
        // Of large blocks first, whether live or freed.
        let held = Held {
            freed_large: 300,
            ..HELD
        };
        let waterfall = divided_with(&held, 1000, 0, 0);
        assert_eq!(waterfall.bytes_of("live"), Some(600));
        assert_eq!(waterfall.bytes_of("freed large blocks"), Some(200));
        for rss_bytes in [0, 1, 99, 150, 1199, 1200, 1201] {
            for shared_bytes in [0, 1, 100, 5000] {
                for rounding in [0, 1, 1000, 5000] {
                    let waterfall = divided(rss_bytes, shared_bytes, rounding);
                    assert_eq!(waterfall.rss_bytes(), rss_bytes);
                }
            }
        }
    }

    #[test]
    fn each_bar_begins_where_the_one_above_ends() {
        let table = divided(2000, 300, 80).to_string();
        let lines: Vec<&str> = table.lines().collect();
        let bar = "█".repeat(18);
        assert_eq!(
            lines[0],
            format!("live                       920 B  46.0 %  {bar}")
        );
        let before = " ".repeat(18);
        assert_eq!(
            lines[1],
            format!("rounding                    80 B   4.0 %  {before}██")
        );
        let last = "files                      300 B  15.0 %  ";
        let (before, bar) = (" ".repeat(34), "█".repeat(6));
        assert_eq!(lines[7], format!("{last}{before}{bar}"));
        assert_eq!(lines[8], "resident                  2000 B");
    }
}
