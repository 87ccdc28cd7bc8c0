//! Writes a snapshot.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::bytes::Out;
use super::chunk::{self, Tag, WANTED_BYTES};
use super::{MAGIC, VERSION};
use crate::snapshot::{Frame, HeapMap, RawSnapshot, RawTrace, Snapshot, Weight};
use crate::symbols::Symbols;

pub(super) fn write(snapshot: &Snapshot, mut writer: impl Write) -> io::Result<()> {
    let raw = snapshot.raw();
    writer.write_all(&MAGIC)?;
    writer.write_all(&VERSION.to_le_bytes())?;
    let w = &mut writer;
    one(w, chunk::META, |out| meta(out, raw))?;
    many(w, chunk::MODULES, &raw.modules, |out, module, _| {
        out.text(&module.path);
        out.blob(&module.build_id);
        out.number(module.base as u64);
        out.number(module.range.start as u64);
        out.number(module.range.end as u64);
    })?;
    many(w, chunk::THREADS, &raw.threads, |out, thread, _| {
        out.number(thread.thread);
        out.text(&thread.name);
    })?;
    let depths = raw.stack_depths.iter().copied().map(Some);
    let stacks: Vec<_> = raw
        .stacks
        .iter()
        .zip(depths.chain(std::iter::repeat(None)))
        .collect();
    many(w, chunk::STACKS, &stacks, |out, (stack, depth), _| {
        optional(out, depth.map(u64::from));
        out.len(stack.len());
        let mut before = 0;
        for &address in stack.iter() {
            out.step(before, address as u64);
            before = address as u64;
        }
    })?;
    many(w, chunk::TRACES, snapshot.raw_traces(), trace)?;
    many(w, chunk::TIMELINE, &raw.timeline, |out, point, _| {
        out.number(point.when_ns);
        out.number(point.traced_bytes);
        out.number(point.heap_bytes);
        out.number(point.rss_bytes);
    })?;
    if let Some(map) = &raw.heap {
        one(w, chunk::HEAP, |out| heap(out, map))?;
    }
    if let Some(symbols) = snapshot.known_symbols() {
        write_symbols(w, symbols, raw.stacks.len())?;
    }
    chunk::write(w, chunk::DONE, &[])
}

fn meta(out: &mut Out, raw: &RawSnapshot) {
    let since_epoch = raw
        .time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    out.number(u64::from(raw.traceback_limit));
    optional(out, raw.sampling);
    out.number(since_epoch.as_secs());
    out.number(u64::from(since_epoch.subsec_nanos()));
    out.number(raw.elapsed_ns);
    out.number(raw.current_bytes);
    out.number(raw.peak_bytes);
    out.number(u64::from(raw.pid));
}

/// A trace, after `before` in the same chunk.
fn trace(out: &mut Out, trace: &RawTrace, before: Option<&RawTrace>) {
    let (address, when) = before.map_or((0, 0), |b| (b.address as u64, b.when_ns));
    let exact = trace.weight == Weight::exact(trace.size);
    out.number(u64::from(trace.domain) << 1 | u64::from(exact));
    out.step(address, trace.address as u64);
    out.number(trace.size as u64);
    if !exact {
        out.float(trace.weight.count);
        out.float(trace.weight.bytes);
    }
    out.number(u64::from(trace.stack));
    out.number(trace.thread);
    out.step(when, trace.when_ns);
}

fn heap(out: &mut Out, map: &HeapMap) {
    out.len(map.classes.len());
    for class in &map.classes {
        out.number(class.block_bytes);
        out.number(class.pool_count);
        out.number(class.used_blocks);
        out.number(class.free_blocks);
    }
    out.len(map.arenas.len());
    for arena in &map.arenas {
        out.number(arena.address as u64);
        out.number(arena.bytes);
        out.len(arena.pools.len());
        for pool in &arena.pools {
            out.number(u64::from(pool.block_bytes));
            out.number(u64::from(pool.used_blocks));
            out.number(u64::from(pool.capacity));
        }
    }
    out.len(map.parts.len());
    for (name, bytes) in &map.parts {
        out.text(name);
        out.number(*bytes);
    }
}

fn write_symbols(w: &mut impl Write, symbols: &Symbols, stack_count: usize) -> io::Result<()> {
    let mut names = Numbered::default();
    let mut frames = Numbered::default();
    let mut stacks = Vec::with_capacity(stack_count);
    for stack in 0..stack_count {
        let traceback = symbols.traceback(stack as u32, true);
        let mut number = |frame: &Frame| {
            let file = names.number(Arc::clone(frame.shared_filename()));
            let function = names.number(Arc::clone(frame.shared_function()));
            frames.number((file, frame.lineno(), function))
        };
        stacks.push(traceback.iter().map(&mut number).collect::<Vec<_>>());
    }
    many(w, chunk::NAMES, &names.items, |out, name, _| out.text(name))?;
    many(w, chunk::FRAMES, &frames.items, |out, frame, _| {
        out.number(u64::from(frame.0));
        out.number(u64::from(frame.1));
        out.number(u64::from(frame.2));
    })?;
    many(w, chunk::SYMBOLS, &stacks, |out, stack, _| {
        out.len(stack.len());
        stack.iter().for_each(|&frame| out.number(u64::from(frame)));
    })
}

/// Distinct values, each with the number of the order it came in.
struct Numbered<T> {
    items: Vec<T>,
    numbers: HashMap<T, u32>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            numbers: HashMap::new(),
        }
    }
}

impl<T: Clone + Eq + std::hash::Hash> Numbered<T> {
    fn number(&mut self, item: T) -> u32 {
        if let Some(&number) = self.numbers.get(&item) {
            return number;
        }
        let number = self.items.len() as u32;
        self.items.push(item.clone());
        self.numbers.insert(item, number);
        number
    }
}

/// `None` is 0, and a number is one more.
fn optional(out: &mut Out, n: Option<u64>) {
    out.number(n.map_or(0, |n| n.saturating_add(1)));
}

fn one(writer: &mut impl Write, tag: Tag, fill: impl FnOnce(&mut Out)) -> io::Result<()> {
    let mut out = Out::default();
    fill(&mut out);
    chunk::write(writer, tag, &out.0)
}

/// Writes items in chunks, each a count and so many items; an item is told the one before it in
/// its chunk.
fn many<T>(
    writer: &mut impl Write,
    tag: Tag,
    items: &[T],
    mut put: impl FnMut(&mut Out, &T, Option<&T>),
) -> io::Result<()> {
    let mut rest = items;
    while !rest.is_empty() {
        let mut body = Out::default();
        let mut count = 0;
        while count < rest.len() && body.0.len() < WANTED_BYTES {
            put(
                &mut body,
                &rest[count],
                count.checked_sub(1).map(|i| &rest[i]),
            );
            count += 1;
        }
        let mut out = Out::default();
        out.len(count);
        out.0.append(&mut body.0);
        chunk::write(writer, tag, &out.0)?;
        rest = &rest[count..];
    }
    Ok(())
}
