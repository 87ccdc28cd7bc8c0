//! Reads a snapshot. A file is never trusted: every number from it is checked before it is used.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::bytes::{In, Wrong};
use super::chunk::{self, Chunk, Chunks};
use super::{LoadError, MAGIC, VERSION};
use crate::snapshot::{
    ArenaUse, ClassUse, Frame, HeapMap, Module, PoolUse, RawSnapshot, RawTrace, Snapshot,
    ThreadName, TimelinePoint, Weight,
};
use crate::symbols::Symbols;

/// What there is of a snapshot, and what ended it early, if anything did.
pub(super) fn read(reader: impl Read) -> Result<(Snapshot, Option<LoadError>), LoadError> {
    let mut chunks = Chunks::new(reader);
    // What is too short to be a snapshot was never one.
    let is_short = |error| match error {
        LoadError::Truncated { .. } => LoadError::Foreign,
        error => error,
    };
    if chunks.fixed().map_err(is_short)? != MAGIC {
        return Err(LoadError::Foreign);
    }
    let version = u16::from_le_bytes(chunks.fixed()?);
    if version > VERSION {
        return Err(LoadError::Newer { version });
    }
    if version == 0 {
        return Err(LoadError::Foreign);
    }
    let mut parts = Parts::default();
    let first = chunks.next()?;
    if first.tag != chunk::META {
        return Err(LoadError::Damaged {
            offset: first.offset,
            what: "its head is missing",
        });
    }
    parts.take(&first)?;
    loop {
        match chunks.next() {
            Ok(chunk) if chunk.tag == chunk::DONE => return parts.finish(None, chunks.offset()),
            Ok(chunk) => {
                if let Err(damage) = parts.take(&chunk) {
                    return parts.finish(Some(damage), chunks.offset());
                }
            }
            Err(LoadError::Io(error)) => return Err(error.into()),
            Err(damage) => return parts.finish(Some(damage), chunks.offset()),
        }
    }
}

/// What was read so far.
#[derive(Default)]
struct Parts {
    raw: RawSnapshot,
    depths: Vec<Option<u32>>,
    names: Vec<Arc<str>>,
    frames: Vec<Frame>,
    tracebacks: Vec<Vec<Frame>>,
}

impl Parts {
    /// Takes a chunk whole, or what there is before the fault in it.
    fn take(&mut self, chunk: &Chunk) -> Result<(), LoadError> {
        let mut payload = In(&chunk.payload);
        self.parse(chunk.tag, &mut payload)
            .map_err(|what| LoadError::Damaged {
                offset: chunk.offset,
                what,
            })
    }

    fn parse(&mut self, tag: chunk::Tag, payload: &mut In<'_>) -> Result<(), Wrong> {
        match tag {
            chunk::META => meta(payload, &mut self.raw),
            chunk::MODULES => many(payload, |p| {
                self.raw.modules.push(module(p)?);
                Ok(())
            }),
            chunk::THREADS => many(payload, |p| {
                let thread = p.number()?;
                let name = p.text()?.to_owned();
                self.raw.threads.push(ThreadName { thread, name });
                Ok(())
            }),
            chunk::STACKS => many(payload, |p| {
                let (stack, depth) = stack(p)?;
                self.raw.stacks.push(stack);
                self.depths.push(depth);
                Ok(())
            }),
            chunk::TRACES => {
                let mut before = None;
                many(payload, |p| {
                    let trace = trace(p, before, self.raw.stacks.len())?;
                    self.raw.traces.push(trace);
                    before = Some(trace);
                    Ok(())
                })
            }
            chunk::TIMELINE => many(payload, |p| {
                self.raw.timeline.push(TimelinePoint {
                    when_ns: p.number()?,
                    traced_bytes: p.number()?,
                    heap_bytes: p.number()?,
                    rss_bytes: p.number()?,
                });
                Ok(())
            }),
            chunk::HEAP => {
                self.raw.heap = Some(heap(payload)?);
                Ok(())
            }
            chunk::NAMES => many(payload, |p| {
                self.names.push(p.text()?.into());
                Ok(())
            }),
            chunk::FRAMES => many(payload, |p| {
                let name = |p: &mut In<'_>| {
                    let name = self.names.get(p.size()?);
                    name.cloned().ok_or("a frame has no name")
                };
                let filename = name(p)?;
                let lineno = p.small()?;
                self.frames.push(Frame::new(filename, lineno, name(p)?));
                Ok(())
            }),
            chunk::SYMBOLS => many(payload, |p| {
                let mut frames = Vec::new();
                many(p, |p| {
                    let frame = self.frames.get(p.size()?);
                    frames.push(frame.ok_or("a traceback has no frame")?.clone());
                    Ok(())
                })?;
                self.tracebacks.push(frames);
                Ok(())
            }),
            _ => Ok(()),
        }
    }

    fn finish(
        mut self,
        mut damage: Option<LoadError>,
        offset: u64,
    ) -> Result<(Snapshot, Option<LoadError>), LoadError> {
        if self.depths.iter().any(Option::is_some) {
            let len = |i: usize| self.raw.stacks[i].len() as u32;
            let depths = self.depths.iter().enumerate();
            self.raw.stack_depths = depths.map(|(i, d)| d.unwrap_or_else(|| len(i))).collect();
        }
        let symbols = if self.tracebacks.is_empty() {
            None
        } else if self.tracebacks.len() == self.raw.stacks.len() {
            let depths = self.depths.iter().copied();
            Some(Symbols::from_stacks(
                self.tracebacks.into_iter().zip(depths).collect(),
            ))
        } else {
            // A file that was cut among its symbols is resolved anew.
            damage.get_or_insert(LoadError::Damaged {
                offset,
                what: "there are not as many tracebacks as stacks",
            });
            None
        };
        let snapshot = Snapshot::from(self.raw);
        if let Some(symbols) = symbols {
            snapshot.set_symbols(symbols);
        }
        Ok((snapshot, damage))
    }
}

fn meta(p: &mut In<'_>, raw: &mut RawSnapshot) -> Result<(), Wrong> {
    raw.traceback_limit = u16::try_from(p.number()?).map_err(|_| "its limit is too large")?;
    raw.sampling = optional(p)?;
    let seconds = p.number()?;
    let nanoseconds = p.small()?;
    if nanoseconds >= 1_000_000_000 {
        return Err("its time is impossible");
    }
    raw.time = SystemTime::UNIX_EPOCH
        .checked_add(Duration::new(seconds, nanoseconds))
        .ok_or("its time is impossible")?;
    raw.elapsed_ns = p.number()?;
    raw.current_bytes = p.number()?;
    raw.peak_bytes = p.number()?;
    raw.pid = p.small()?;
    Ok(())
}

fn module(p: &mut In<'_>) -> Result<Module, Wrong> {
    let path = p.text()?.to_owned();
    let build_id = p.blob()?.to_vec();
    let base = p.size()?;
    let range = p.size()?..p.size()?;
    if range.start > range.end {
        return Err("a module ends before it starts");
    }
    Ok(Module {
        path,
        build_id,
        base,
        range,
    })
}

fn stack(p: &mut In<'_>) -> Result<(Box<[usize]>, Option<u32>), Wrong> {
    let depth = optional(p)?
        .map(|depth| u32::try_from(depth).map_err(|_| "a stack is too deep"))
        .transpose()?;
    let mut stack = Vec::new();
    let mut before = 0;
    many(p, |p| {
        before = p.step(before)?;
        stack.push(usize::try_from(before).map_err(|_| "an address is too large")?);
        Ok(())
    })?;
    Ok((stack.into(), depth))
}

fn trace(p: &mut In<'_>, before: Option<RawTrace>, stacks: usize) -> Result<RawTrace, Wrong> {
    let (address, when) = before.map_or((0, 0), |b| (b.address as u64, b.when_ns));
    let head = p.number()?;
    let domain = u32::try_from(head >> 1).map_err(|_| "a domain is too large")?;
    let address = usize::try_from(p.step(address)?).map_err(|_| "an address is too large")?;
    let size = p.size()?;
    let weight = if head & 1 == 1 {
        Weight::exact(size)
    } else {
        Weight {
            count: p.float()?,
            bytes: p.float()?,
        }
    };
    let is_sane = |x: f64| x.is_finite() && (0.0..=1e30).contains(&x);
    if !is_sane(weight.count) || !is_sane(weight.bytes) {
        return Err("a weight is impossible");
    }
    let stack = p.small()?;
    if stack as usize >= stacks {
        return Err("a trace has no stack");
    }
    Ok(RawTrace {
        domain,
        address,
        size,
        weight,
        stack,
        thread: p.number()?,
        when_ns: p.step(when)?,
    })
}

fn heap(p: &mut In<'_>) -> Result<HeapMap, Wrong> {
    let mut map = HeapMap::default();
    many(p, |p| {
        map.classes.push(ClassUse {
            block_bytes: p.number()?,
            pool_count: p.number()?,
            used_blocks: p.number()?,
            free_blocks: p.number()?,
        });
        Ok(())
    })?;
    many(p, |p| {
        let mut arena = ArenaUse {
            address: p.size()?,
            bytes: p.number()?,
            pools: Vec::new(),
        };
        many(p, |p| {
            arena.pools.push(PoolUse {
                block_bytes: p.small()?,
                used_blocks: p.small()?,
                capacity: p.small()?,
            });
            Ok(())
        })?;
        map.arenas.push(arena);
        Ok(())
    })?;
    many(p, |p| {
        map.parts.push((p.text()?.to_owned(), p.number()?));
        Ok(())
    })?;
    Ok(map)
}

fn optional(p: &mut In<'_>) -> Result<Option<u64>, Wrong> {
    Ok(p.number()?.checked_sub(1))
}

/// Reads a count and so many items.
fn many<'a>(
    payload: &mut In<'a>,
    mut item: impl FnMut(&mut In<'a>) -> Result<(), Wrong>,
) -> Result<(), Wrong> {
    for _ in 0..payload.count()? {
        item(payload)?;
    }
    Ok(())
}
