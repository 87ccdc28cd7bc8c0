//! Takes an `ObjectGraph` of this thread's objects.

use std::ptr::NonNull;

use super::builder::GraphBuilder;
use super::graph::{NodeFlags, ObjectGraph};
use super::ids::{AddressMap, Numbering};
use super::node_info::NodeInfo;
use super::snapshot::SnapshotOptions;
#[cfg(cyclegc_provenance)]
use super::stacks::Frame;
use super::walk::{Held, can_be_traced, is_node, tracked};
#[cfg(cyclegc_provenance)]
use crate::any::AnyGc;
use crate::edge::{EdgeTracer, Sighting};
use crate::header::{COLLECTING, Header, TO_FINALIZE, TRACKED, tracked_head};
use crate::lone;
use crate::state;

pub(super) struct Capture<'a> {
    options: SnapshotOptions<'a>,
    builder: GraphBuilder,
    numbering: Numbering,
    /// The objects in the order of their nodes; the heads of tracked ones say which, as
    /// they do for the collector.
    objects: Vec<NonNull<Header>>,
    /// Where their memory starts, if somebody is asked about it.
    memory_starts: Vec<usize>,
    /// The nodes of those without such a head, and of candidates of a collection that
    /// runs, whose heads are the collector's.
    others: AddressMap<u32>,
    /// Handles that are links.
    #[cfg(cyclegc_provenance)]
    inside: std::collections::HashSet<usize>,
}

impl<'a> Capture<'a> {
    pub(super) fn new(options: SnapshotOptions<'a>) -> Self {
        let count = crate::tracked_count();
        Capture {
            options,
            builder: GraphBuilder::new(),
            numbering: Numbering::start(count),
            objects: Vec::with_capacity(count),
            memory_starts: Vec::new(),
            others: AddressMap::default(),
            #[cfg(cyclegc_provenance)]
            inside: std::collections::HashSet::new(),
        }
    }

    pub(super) fn run(mut self) -> ObjectGraph {
        for object in tracked() {
            // SAFETY: `tracked` gives live objects.
            unsafe { self.node(object) };
        }
        let mut path = String::new();
        let mut asker_is_inside = false;
        let mut next = 0;
        while let Some(object) = self.objects.get(next).copied() {
            self.builder.links_of(next);
            asker_is_inside |= self.links(object, next, &mut path);
            next += 1;
        }
        self.subtract_others(asker_is_inside);
        #[cfg(cyclegc_provenance)]
        self.find_origins();
        let Capture {
            options,
            mut builder,
            numbering,
            memory_starts,
            ..
        } = self;
        // Code of a user may do anything: no object is looked at any more, and the numbers are
        // known.
        drop(numbering);
        if let Some(stack_of) = options.stacks {
            for (node, start) in memory_starts.into_iter().enumerate() {
                builder.stack(node, &stack_of(start));
            }
        }
        builder.finish()
    }

    /// Where the handles from outside were made.
    #[cfg(cyclegc_provenance)]
    fn find_origins(&mut self) {
        let asker = self.options.asker.map(|(_, handle)| handle);
        state::with(|state| {
            let garbage = state.garbage.borrow();
            self.inside.extend(garbage.iter().map(AnyGc::identity));
        });
        let nodes: AddressMap<usize> = self
            .objects
            .iter()
            .enumerate()
            .map(|(node, o)| (o.addr().get(), node))
            .collect();
        let is_inside = |handle| asker == Some(handle) || self.inside.contains(&handle);
        for (address, place) in crate::origin::outside(is_inside) {
            if let Some(node) = nodes.get(&address) {
                self.builder.origin(*node, place.to_string());
            }
        }
    }

    /// The node of an object, if it has one.
    ///
    /// # Safety
    ///
    /// The object is allocated.
    unsafe fn known_node(&self, object: NonNull<Header>) -> Option<usize> {
        // SAFETY: the caller's object is allocated.
        if !has_head(unsafe { object.as_ref() }) {
            let node = self.others.get(&object.addr().get())?;
            return Some(*node as usize);
        }
        // SAFETY: just tested.
        let node = unsafe { tracked_head(object) }.index.get() as usize;
        // Another snapshot or a collection may have left any number there.
        (self.objects.get(node) == Some(&object)).then_some(node)
    }

    /// The node of an object, which is added if it is new. `None` if the object is dead,
    /// or the collector's own.
    ///
    /// # Safety
    ///
    /// The object is allocated, and its value alive unless the header says otherwise.
    unsafe fn node(&mut self, object: NonNull<Header>) -> Option<usize> {
        // SAFETY: the caller's object is allocated.
        let known = unsafe { self.known_node(object) };
        // SAFETY: the caller's object is allocated.
        if known.is_some() || !unsafe { is_node(object) } {
            return known;
        }
        // SAFETY: the caller's object is allocated, and it is new.
        let id = unsafe { self.numbering.number(object) };
        // SAFETY: the object is alive: just tested.
        let info = unsafe { info(object) };
        let node = self.builder.node(info.id(id));
        if self.options.stacks.is_some() {
            // SAFETY: the object is alive.
            self.memory_starts.push(unsafe { memory_start(object) });
        }
        self.objects.push(object);
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the builder has counted them"
        )]
        let index = node as u32;
        // SAFETY: the caller's object is allocated.
        if has_head(unsafe { object.as_ref() }) {
            // SAFETY: just tested.
            unsafe { tracked_head(object) }.index.set(index);
        } else {
            self.others.insert(object.addr().get(), index);
        }
        Some(node)
    }

    /// Adds the links of a node. Whether the asking handle is among them.
    fn links(&mut self, object: NonNull<Header>, node: usize, path: &mut String) -> bool {
        // SAFETY: nodes are alive, and no handle was dropped since they were added.
        let header = unsafe { object.as_ref() };
        if !can_be_traced(header) {
            self.builder.entry(node).flags |= NodeFlags::HIDES_LINKS;
            return false;
        }
        let asker = self.options.asker.map(|(_, handle)| handle);
        let mut asker_is_inside = false;
        let mut sink = |sighting: Sighting<'_>| match sighting {
            Sighting::Strong {
                name,
                target,
                handle,
            } => {
                asker_is_inside |= asker == Some(handle);
                #[cfg(cyclegc_provenance)]
                self.inside.insert(handle);
                // SAFETY: an edge is a handle, so its target is allocated.
                if let Some(target) = unsafe { self.node(target) } {
                    self.builder.link(name, target);
                }
            }
            Sighting::Weak { name, target } => {
                // SAFETY: the target of a weak sighting is alive.
                if let Some(target) = unsafe { self.node(target) } {
                    self.builder.weak_link(name, target);
                }
            }
            Sighting::Hidden => self.builder.entry(node).flags |= NodeFlags::HIDES_LINKS,
        };
        let mut tracer = EdgeTracer::with_path(std::mem::take(path), &mut sink);
        // SAFETY: the object is alive.
        let held = unsafe { Held::new(object) };
        // SAFETY: as above; who reached it through `&` or `tracked` has no `&mut` to it.
        unsafe { (header.vtable().trace_edges)(object, &mut tracer) };
        drop(held);
        let owned_bytes = tracer.owned_bytes();
        *path = tracer.into_path();
        self.builder.entry(node).size_bytes += owned_bytes;
        asker_is_inside
    }

    /// Takes the handles away that are neither links nor a user's.
    fn subtract_others(&mut self, asker_is_inside: bool) {
        if let Some((object, _)) = self.options.asker
            && !asker_is_inside
        {
            self.subtract(object, NodeFlags::empty());
        }
        state::with(|state| {
            for saved in state.garbage.borrow().iter() {
                self.subtract(saved.header(), NodeFlags::SAVED);
            }
        });
    }

    /// Takes a handle away.
    fn subtract(&mut self, object: NonNull<Header>, flags: NodeFlags) {
        // SAFETY: who calls has a handle to the object.
        if let Some(node) = unsafe { self.known_node(object) } {
            let entry = self.builder.entry(node);
            entry.ref_count = entry.ref_count.saturating_sub(1);
            entry.outside_count = entry.ref_count;
            entry.flags |= flags;
        }
    }
}

/// Where the memory of an object starts, or its block if that lies in a pool.
///
/// # Safety
///
/// The object is allocated.
unsafe fn memory_start(object: NonNull<Header>) -> usize {
    // SAFETY: the caller's object is allocated.
    let header = unsafe { object.as_ref() };
    // SAFETY: as above.
    let (block, prefix_bytes) = unsafe { (header.vtable().layout)(object) };
    lone::memory_start(header, block, prefix_bytes)
}

/// Whether the object has a head that nobody is using.
fn has_head(header: &Header) -> bool {
    header.has(TRACKED) && !header.has(COLLECTING)
}

/// What is known of an object without its edges.
///
/// # Safety
///
/// The object is alive.
unsafe fn info(object: NonNull<Header>) -> NodeInfo<'static> {
    // SAFETY: the caller's object is alive.
    let header = unsafe { object.as_ref() };
    let vtable = header.vtable();
    // SAFETY: as above.
    let (block, _) = unsafe { (vtable.layout)(object) };
    let has_finalizer = (vtable.has_finalizer)();
    let mut info = NodeInfo::new((vtable.type_name)(), block.size())
        .ref_count(header.count())
        .address(object.addr().get())
        .has_finalizer(has_finalizer);
    if header.has(TRACKED) {
        // SAFETY: just tested.
        let generation = state::with(|state| unsafe { state.generation_of(object) });
        info = info.generation_index(generation);
    }
    if has_finalizer && !header.has(TO_FINALIZE) {
        info.flags |= NodeFlags::FINALIZED;
    }
    #[cfg(cyclegc_provenance)]
    if let Some(place) = crate::origin::place_of(object.addr().get()) {
        let mut frame = Frame::at(place.file(), place.line());
        frame.column = place.column();
        info = info.stack(vec![frame]);
    }
    info
}
