//! All that is known of a snapshot but its single blocks, as JSON; the HTML page has it inside.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::SystemTime;

use serde::Serialize;

use super::table::{Numbers, Table, program};
use crate::snapshot::{ArenaUse, ClassUse, KeyType, PoolUse, Snapshot, Total, Traceback};
use crate::symbols::crate_of;

pub(super) fn write(snapshot: &Snapshot, writer: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(writer, &Document::of(snapshot)).map_err(Into::into)
}

/// How many columns the picture of the blocks' ages has.
const BIRTH_COLUMNS: u64 = 120;

/// The document. Names and frames are numbers into `names` and `frames`, so that it stays small.
#[derive(Serialize)]
pub(super) struct Document<'a> {
    format: &'static str,
    version: u32,
    program: &'a str,
    pid: u32,
    /// Seconds since 1970.
    time: f64,
    elapsed_ns: u64,
    traceback_limit: u16,
    /// The mean distance between samples in bytes, or null if every block was recorded.
    sampling: Option<u64>,
    current_bytes: u64,
    peak_bytes: u64,
    total: Sum,
    names: Vec<String>,
    /// File, line, function, crate.
    frames: Vec<(usize, u32, usize, usize)>,
    stacks: Vec<Stack>,
    threads: Vec<Named>,
    classes: Vec<Class>,
    arenas: Vec<Arena>,
    /// What resident memory is spent on: names and bytes.
    parts: &'a [(String, u64)],
    /// Nanoseconds since tracing began, traced, heap and resident bytes.
    timeline: Vec<[u64; 4]>,
    /// Bytes alive at the end by when they were allocated, in columns of equal length.
    births: Vec<u64>,
}

#[derive(Serialize)]
struct Sum {
    size: u64,
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_error: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count_error: Option<f64>,
}

impl Sum {
    fn of(total: &Total, snapshot: &Snapshot) -> Self {
        let sampled = snapshot.sampling().is_some();
        let statistic = total.statistic(Traceback::new([], None), sampled);
        Self {
            size: statistic.size,
            count: statistic.count,
            size_error: statistic.error.map(|error| error.size.round()),
            count_error: statistic.error.map(|error| error.count.round()),
        }
    }
}

#[derive(Serialize)]
struct Stack {
    /// The oldest call first.
    frames: Vec<usize>,
    #[serde(flatten)]
    sum: Sum,
}

#[derive(Serialize)]
struct Named {
    name: String,
    size: u64,
    count: u64,
}

#[derive(Serialize)]
struct Class {
    block_bytes: u64,
    pools: u64,
    used: u64,
    free: u64,
    /// Recorded blocks of this class, and the bytes they asked for.
    traced: u64,
    requested: u64,
}

#[derive(Serialize)]
struct Arena {
    address: String,
    bytes: u64,
    /// Bytes of a block, blocks in use, blocks there is room for.
    pools: Vec<(u32, u32, u32)>,
}

impl<'a> Document<'a> {
    pub(super) fn of(snapshot: &'a Snapshot) -> Self {
        let raw = snapshot.raw();
        let table = Table::of(snapshot);
        let mut total = Total::default();
        table.rows.iter().for_each(|row| total.merge(&row.total));
        let mut names = Names::default();
        let frames = table
            .frames
            .iter()
            .map(|frame| {
                (
                    names.number(frame.filename()),
                    frame.lineno(),
                    names.number(frame.function()),
                    names.number(crate_of(frame)),
                )
            })
            .collect();
        let stacks = table.rows.into_iter().map(|row| Stack {
            frames: row.frames,
            sum: Sum::of(&row.total, snapshot),
        });
        let since_epoch = raw.time.duration_since(SystemTime::UNIX_EPOCH);
        Self {
            format: "tracemalloc",
            version: 1,
            program: program(snapshot),
            pid: raw.pid,
            time: since_epoch.map_or(0.0, |t| t.as_secs_f64()),
            elapsed_ns: raw.elapsed_ns,
            traceback_limit: raw.traceback_limit,
            sampling: raw.sampling,
            current_bytes: raw.current_bytes,
            peak_bytes: raw.peak_bytes,
            total: Sum::of(&total, snapshot),
            stacks: stacks.collect(),
            frames,
            names: names.list,
            threads: threads(snapshot),
            classes: classes(snapshot),
            arenas: raw
                .heap
                .iter()
                .flat_map(|heap| &heap.arenas)
                .map(arena)
                .collect(),
            parts: raw.heap.as_ref().map_or(&[], |heap| &heap.parts),
            timeline: raw
                .timeline
                .iter()
                .map(|p| [p.when_ns, p.traced_bytes, p.heap_bytes, p.rss_bytes])
                .collect(),
            births: births(snapshot),
        }
    }
}

#[derive(Default)]
struct Names {
    list: Vec<String>,
    numbers: Numbers<String>,
}

impl Names {
    fn number(&mut self, name: &str) -> usize {
        let number = self.numbers.of(name.to_owned());
        if number == self.list.len() {
            self.list.push(name.to_owned());
        }
        number
    }
}

fn threads(snapshot: &Snapshot) -> Vec<Named> {
    let statistics = snapshot.statistics(KeyType::Thread, false);
    statistics
        .into_iter()
        .map(|statistic| Named {
            name: statistic.traceback.to_string(),
            size: statistic.size,
            count: statistic.count,
        })
        .collect()
}

/// The classes that have pools or recorded blocks, smallest first; large blocks are no class.
fn classes(snapshot: &Snapshot) -> Vec<Class> {
    let mut traced: BTreeMap<u64, Total> = BTreeMap::new();
    let rule = snapshot.classes();
    for trace in snapshot.raw_traces() {
        if let Some(class) = rule.of(trace.size as u64) {
            traced.entry(class).or_default().add(trace);
        }
    }
    let listed = snapshot.heap_map().map_or(&[][..], |heap| &heap.classes);
    let mut classes: BTreeMap<u64, ClassUse> = listed
        .iter()
        .filter(|class| class.pool_count > 0)
        .map(|class| (class.block_bytes, *class))
        .collect();
    for &block_bytes in traced.keys() {
        classes.entry(block_bytes).or_default();
    }
    classes
        .into_iter()
        .map(|(block_bytes, class)| {
            let traced = traced.get(&block_bytes).copied().unwrap_or_default();
            Class {
                block_bytes,
                pools: class.pool_count,
                used: class.used_blocks,
                free: class.free_blocks,
                traced: traced.count(),
                requested: traced.size(),
            }
        })
        .collect()
}

fn arena(arena: &ArenaUse) -> Arena {
    let pool = |pool: &PoolUse| (pool.block_bytes, pool.used_blocks, pool.capacity);
    Arena {
        address: format!("{:#x}", arena.address),
        bytes: arena.bytes,
        pools: arena.pools.iter().map(pool).collect(),
    }
}

/// Nothing, unless most of what is in use says when it was allocated.
fn births(snapshot: &Snapshot) -> Vec<u64> {
    let traces = snapshot.raw_traces();
    let latest = traces.iter().map(|trace| trace.when_ns).max().unwrap_or(0);
    let end = latest.max(snapshot.raw().elapsed_ns).max(1);
    let mut columns = vec![Total::default(); BIRTH_COLUMNS as usize];
    let mut unknown = Total::default();
    for trace in traces {
        let column = u128::from(trace.when_ns) * u128::from(BIRTH_COLUMNS) / u128::from(end);
        let column = (column as usize).min(BIRTH_COLUMNS as usize - 1);
        if trace.when_ns == 0 {
            unknown.add(trace);
        } else {
            columns[column].add(trace);
        }
    }
    let columns: Vec<u64> = columns.iter().map(Total::size).collect();
    let known = columns.iter().fold(0, |sum: u64, &n| sum.saturating_add(n));
    if unknown.size() > known / 10 {
        return Vec::new();
    }
    columns
}
