//! From return addresses to functions, files and lines.
//!
//! ```text
//!  stacks ── addresses, sorted ──▶ Resolver ── frames, inlined ones too ──▶ Symbols
//!                                     │
//!                                     ├ the module's file, if its build-id is the recorded one
//!                                     ├ DIR/.build-id/ab/cdef.debug, and FILE.debug beside it
//!                                     └ neither: the module's name and the offset in it
//! ```
//!
//! Nothing of this happens while a block is recorded. In the process itself symbols are resolved
//! when a snapshot is first asked for a name; the debug information is read through mappings of the
//! files and let go at once, and only names stay. On another machine, or in a process of its own,
//! the command-line tool does the same with a file.

#[cfg(feature = "symbolize")]
mod resolver;
mod runtime;

use std::collections::HashMap;
use std::sync::Arc;

#[cfg(feature = "symbolize")]
pub use resolver::{Progress, Resolver};
pub(crate) use runtime::crate_of;

use crate::snapshot::{Frame, Module, RawSnapshot, Traceback};

/// The tracebacks of all stacks of a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Symbols {
    stacks: Vec<ResolvedStack>,
}

#[derive(Debug, Clone, PartialEq)]
struct ResolvedStack {
    all: Traceback,
    own: Traceback,
}

impl Symbols {
    /// Resolves with the files that are mapped in this process.
    #[cfg(feature = "symbolize")]
    pub(crate) fn of_this_process(raw: &RawSnapshot) -> Self {
        Resolver::new().resolve(raw, &mut ()).0
    }

    /// Without the feature `symbolize` an address is all that is known of a call.
    #[cfg(not(feature = "symbolize"))]
    pub(crate) fn of_this_process(raw: &RawSnapshot) -> Self {
        Self::build(raw, &HashMap::new())
    }

    /// Puts the stacks together from the frames of each address, the innermost inlined call first.
    pub(crate) fn build(raw: &RawSnapshot, frames: &HashMap<usize, Vec<Frame>>) -> Self {
        let modules = ByAddress::new(&raw.modules);
        let depths = raw.stack_depths.iter().copied().map(Some);
        let stacks = raw
            .stacks
            .iter()
            .zip(depths.chain(std::iter::repeat(None)))
            .map(|(stack, depth)| {
                let mut oldest_first = Vec::with_capacity(2 * stack.len());
                // Address 0 is how the C library marks a thread's first frame.
                for &address in stack.iter().rev().filter(|&&address| address != 0) {
                    match frames.get(&address) {
                        Some(frames) => oldest_first.extend(frames.iter().rev().cloned()),
                        None => oldest_first.push(modules.unresolved(address)),
                    }
                }
                ResolvedStack::new(oldest_first.into(), depth)
            })
            .collect();
        Self { stacks }
    }

    /// From frames that were resolved before, oldest first, a list for each stack.
    pub(crate) fn from_stacks(stacks: Vec<(Vec<Frame>, Option<u32>)>) -> Self {
        let resolve = |(frames, depth): (Vec<Frame>, _)| ResolvedStack::new(frames.into(), depth);
        Self {
            stacks: stacks.into_iter().map(resolve).collect(),
        }
    }

    /// Where blocks of this stack were allocated; with or without the frames of the standard
    /// library and the allocator at both ends.
    pub(crate) fn traceback(&self, stack: u32, all_frames: bool) -> Traceback {
        match self.stacks.get(stack as usize) {
            Some(stack) if all_frames => stack.all.clone(),
            Some(stack) => stack.own.clone(),
            None => ResolvedStack::new([].into(), None).own,
        }
    }
}

impl ResolvedStack {
    /// A stack without frames has one that is unknown, as in CPython: so every block is somewhere.
    fn new(frames: Arc<[Frame]>, depth: Option<u32>) -> Self {
        let frames = if frames.is_empty() {
            [Frame::new(crate::snapshot::UNKNOWN, 0, "")].into()
        } else {
            frames
        };
        let own = runtime::own_frames(&frames);
        Self {
            all: Traceback::new(Arc::clone(&frames), depth),
            own: Traceback::part(frames, own, depth),
        }
    }
}

/// Modules in the order of their addresses.
pub(crate) struct ByAddress<'a>(Vec<&'a Module>);

impl<'a> ByAddress<'a> {
    pub(crate) fn new(modules: &'a [Module]) -> Self {
        let modules = modules.iter().filter(|module| !module.range.is_empty());
        let mut modules: Vec<&Module> = modules.collect();
        modules.sort_by_key(|module| module.range.start);
        Self(modules)
    }

    /// The module that an address is in; of such as overlap, which a process has not, the last.
    pub(crate) fn module_of(&self, address: usize) -> Option<&'a Module> {
        let behind = self
            .0
            .partition_point(|module| module.range.start <= address);
        let module = *self.0[..behind].last()?;
        module.range.contains(&address).then_some(module)
    }

    /// A frame of which nothing is known but its place in a module.
    fn unresolved(&self, address: usize) -> Frame {
        let function = match self.module_of(address) {
            Some(module) => {
                let name = module.path.rsplit('/').next().unwrap_or(&module.path);
                format!("{name}+{:#x}", address.wrapping_sub(module.base))
            }
            None => format!("{address:#x}"),
        };
        Frame::new(crate::snapshot::UNKNOWN, 0, function)
    }
}
