//! Takes an `ObjectGraph` of objects that threads share, which go on meanwhile.
//!
//! Under the collector's lock, by the rules of a guess (`sync/guess.rs`), one object after
//! the other:
//!
//! ```text
//!  saved garbage, roots, suspects
//!      |  hold
//!      v
//!  nodes  o0  o1  o2 ...  <-------+   found by an edge: held
//!      |                          |   while its cell is locked
//!      |  pin, note the count, ask for the edges, unpin
//!      +--------------------------+
//! ```
//!
//! A cell is locked while it is read, no longer. Nothing here waits for a thread.
//!
//! # Invariants
//!
//! 1. The object of a node has a hold until `Nodes` is dropped: its memory is there, its
//!    value need not be.
//! 2. A tracked node's `index` is its place and 1; 0 again when `Nodes` is dropped. Both
//!    happen under the collector's lock.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::snapshot::SnapshotOptions;
use crate::debug::DebugFlags;
use crate::edge::{EdgeTracer, Sighting};
use crate::generation::Epochs;
use crate::objgraph::{AddressMap, GraphBuilder, NodeFlags, NodeInfo, ObjectGraph};
use crate::sync::collect::{locked, settle};
use crate::sync::collector::{Aftermath, Collector};
use crate::sync::domain::domain;
use crate::sync::epoch;
use crate::sync::header::Object;
use crate::sync::local;
use crate::sync::second_word::{OPAQUE, TO_FINALIZE, TRACKED};
use crate::sync::suspects::release_hold;
use crate::sync::types::lock;
use crate::sync::weak_cell::is_cell;
use crate::sync::word::Pin;

/// Objects that are looked at while who waits for one waits for all.
const CHUNK: usize = 16;

/// Tracked objects that are taken in besides twice those that there were: threads tell how
/// many they made after a while.
const ROOM: usize = 64 * 1024;

/// Takes the snapshot that `options` say.
pub(super) fn capture(options: &SnapshotOptions<'_>) -> ObjectGraph {
    capture_and(options, |_| ()).finish()
}

/// As [`capture`], but for what can be done without the objects; `look` is shown them while
/// their memory is kept.
pub(super) fn capture_and(
    options: &SnapshotOptions<'_>,
    look: impl FnOnce(&[Object]),
) -> GraphBuilder {
    if local::with(|local| local.proving.get()) {
        return GraphBuilder::shared();
    }
    // What an `AtomicGc` lost would seem to be held from outside.
    epoch::flush_all();
    let mut aftermath = Aftermath::default();
    let (mut builder, memory_starts) = locked(|collector| {
        collector.take_shards();
        let capture = Capture::new(options, &collector.epochs, &mut aftermath);
        capture.run(collector, look)
    });
    settle(aftermath, DebugFlags::empty());
    // Code of a user may do anything: no object is looked at any more.
    if let Some(stack_of) = options.stacks {
        for (node, start) in memory_starts.into_iter().enumerate() {
            builder.stack(node, &stack_of(start));
        }
    }
    builder
}

struct Capture<'a> {
    options: &'a SnapshotOptions<'a>,
    epochs: &'a Epochs,
    builder: GraphBuilder,
    nodes: Nodes,
    /// Where their memory starts, if somebody is asked about it.
    memory_starts: Vec<usize>,
    /// Nodes whose edges were asked for.
    looked_at: usize,
    /// Tracked objects that may still become nodes: who makes objects faster than we look
    /// must not be chased.
    room: usize,
    /// The handle that asks lies in an object.
    asker_is_inside: bool,
    aftermath: &'a mut Aftermath,
}

/// The objects in the order of their nodes, each with a hold.
#[derive(Default)]
struct Nodes {
    objects: Vec<Object>,
    /// The nodes of those that have no `index`.
    untracked: AddressMap<u32>,
}

impl Nodes {
    /// # Safety
    ///
    /// The object's memory is kept, and the caller has the collector's lock.
    unsafe fn get(&self, object: Object) -> Option<usize> {
        // SAFETY: the caller's.
        if !unsafe { object.head() }.second.has(TRACKED) {
            let node = self.untracked.get(&object.address())?;
            return Some(*node as usize);
        }
        // SAFETY: just tested.
        let index = unsafe { object.tracked() }.index();
        index.checked_sub(1).map(|node| node as usize)
    }

    /// Makes an object the next node.
    ///
    /// # Safety
    ///
    /// As for [`Self::get`], which has found none.
    unsafe fn push(&mut self, object: Object) {
        // SAFETY: the caller's.
        let second = &unsafe { object.head() }.second;
        // INVARIANT: 1 and 2.
        second.hold();
        #[allow(
            clippy::cast_possible_truncation,
            reason = "`Capture::node` has counted"
        )]
        let node = self.objects.len() as u32;
        self.objects.push(object);
        if second.has(TRACKED) {
            // SAFETY: just tested.
            unsafe { object.tracked() }.set_index(node + 1);
        } else {
            self.untracked.insert(object.address(), node);
        }
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for object in &self.objects {
            // SAFETY: invariant 1.
            if unsafe { object.head() }.second.has(TRACKED) {
                // SAFETY: just tested.
                unsafe { object.tracked() }.set_index(0);
            }
            // SAFETY: the node's hold is given up.
            unsafe { release_hold(*object) };
        }
    }
}

impl<'a> Capture<'a> {
    fn new(
        options: &'a SnapshotOptions<'a>,
        epochs: &'a Epochs,
        aftermath: &'a mut Aftermath,
    ) -> Self {
        Capture {
            options,
            epochs,
            builder: GraphBuilder::shared(),
            nodes: Nodes::default(),
            memory_starts: Vec::new(),
            looked_at: 0,
            room: domain().census.alive().saturating_mul(2) + ROOM,
            asker_is_inside: false,
            aftermath,
        }
    }

    /// The nodes, their links, and where their memory starts.
    fn run(
        mut self,
        collector: &Collector,
        look: impl FnOnce(&[Object]),
    ) -> (GraphBuilder, Vec<usize>) {
        for saved in lock(&domain().garbage).iter() {
            // SAFETY: it is a handle.
            unsafe { self.node(saved.object()) };
        }
        for root in &self.options.roots {
            // The user's handle is borrowed: no `&mut` comes from it.
            // SAFETY: the handle keeps the object.
            unsafe { root.head() }.count.let_mut_go();
            // SAFETY: as above.
            unsafe { self.node(*root) };
        }
        // A `&mut` may have ended long ago. If so, an edge to the object shows it.
        // SAFETY: an entry has a hold.
        let is_free = |suspect: &Object| !unsafe { suspect.head() }.count.is_mut_taken();
        let suspects = collector.lists.iter().flatten().copied();
        let (free, taken): (Vec<_>, Vec<_>) = suspects.partition(is_free);
        let mut path = String::new();
        for suspects in [free, taken] {
            for suspect in suspects {
                // SAFETY: an entry has a hold, which stays while the lock is kept.
                unsafe { self.node(suspect) };
            }
            while self.looked_at < self.nodes.objects.len() {
                self.look_at_some(&mut path);
            }
        }
        self.subtract_others();
        look(&self.nodes.objects);
        (self.builder, self.memory_starts)
    }

    /// The node of an object, which is added if it is new. `None` if the object has no value,
    /// or is the collector's own.
    ///
    /// # Safety
    ///
    /// The object's memory is kept.
    unsafe fn node(&mut self, object: Object) -> Option<usize> {
        // SAFETY: the caller's; the lock is kept as long as this exists.
        if let Some(known) = unsafe { self.nodes.get(object) } {
            return Some(known);
        }
        // SAFETY: the caller's.
        let head = unsafe { object.head() };
        let is_node = head.count.count() != 0
            && !head.count.is_dead()
            // SAFETY: the caller's.
            && !unsafe { is_cell(object) };
        let is_tracked = head.second.has(TRACKED);
        let is_full = self.nodes.objects.len() > u32::MAX as usize / 2;
        if !is_node || is_full || (is_tracked && self.room == 0) {
            return None;
        }
        self.room -= usize::from(is_tracked);
        // SAFETY: the caller's; `get` has found none.
        unsafe { self.nodes.push(object) };
        // SAFETY: it has a hold.
        let id = unsafe { domain().numbers.number(object) };
        // SAFETY: as above.
        let (block, prefix_bytes) = unsafe { (head.vtable.layout)(object) };
        let mut info = NodeInfo::new((head.vtable.type_name)(), block.size())
            .ref_count(saturated(head.count.count()))
            .address(object.address())
            .has_finalizer((head.vtable.has_finalizer)())
            .id(id);
        if is_tracked {
            // SAFETY: just tested.
            let birth = unsafe { object.tracked() }.birth();
            info = info.generation_index(self.epochs.generation(birth));
        }
        if (head.vtable.has_finalizer)() && !head.second.has(TO_FINALIZE) {
            info.flags |= NodeFlags::FINALIZED;
        }
        if self.options.stacks.is_some() {
            self.memory_starts.push(object.address() - prefix_bytes);
        }
        Some(self.builder.node(info))
    }

    /// Adds the links of the next few nodes.
    fn look_at_some(&mut self, path: &mut String) {
        // Who waits for a pin waits for this.
        let looking = lock(&domain().looking);
        let end = self.nodes.objects.len().min(self.looked_at + CHUNK);
        while self.looked_at < end {
            self.look_at(self.looked_at, path);
            self.looked_at += 1;
        }
        drop(looking);
    }

    fn look_at(&mut self, node: usize, path: &mut String) {
        let object = self.nodes.objects[node];
        // SAFETY: invariant 1.
        let head = unsafe { object.head() };
        self.builder.links_of(node);
        let entry = self.builder.entry(node);
        match head.count.pin(false) {
            Pin::Pinned { count, .. } => {
                entry.ref_count = saturated(count);
                entry.outside_count = entry.ref_count;
            }
            Pin::MutTaken => {
                entry.flags |= NodeFlags::HIDES_LINKS;
                return;
            }
            // Its last handle went since it became a node.
            Pin::Gone => {
                entry.ref_count = 0;
                entry.outside_count = 0;
                // A finalizer may resurrect it, number and all.
                if !(head.vtable.has_finalizer)() {
                    domain().numbers.forget(object);
                }
                return;
            }
        }
        if head.second.has(OPAQUE) {
            entry.flags |= NodeFlags::HIDES_LINKS;
        } else {
            // SAFETY: the value is pinned.
            unsafe { self.links(object, node, path) };
        }
        if head.count.unpin() {
            self.aftermath.orphans.push(object);
        }
    }

    /// Adds the links of a node.
    ///
    /// # Safety
    ///
    /// The object's value is pinned.
    unsafe fn links(&mut self, object: Object, node: usize, path: &mut String) {
        // SAFETY: the caller's.
        let vtable = unsafe { object.head() }.vtable;
        let traced = catch_unwind(AssertUnwindSafe(|| {
            let mut sink = |sighting: Sighting<'_, Object>| self.sight(node, sighting);
            // SAFETY: `locked` has pinned the thread.
            let mut tracer = unsafe { EdgeTracer::shared(std::mem::take(path), &mut sink) };
            // SAFETY: the caller's: the value is there, and no `&mut` to it (invariant 3 of
            // `word.rs`).
            unsafe { (vtable.trace_edges)(object, &mut tracer) };
            let owned_bytes = tracer.owned_bytes();
            *path = tracer.into_path();
            owned_bytes
        }));
        let entry = self.builder.entry(node);
        match traced {
            Ok(owned_bytes) => entry.size_bytes += owned_bytes,
            Err(payload) => {
                entry.flags |= NodeFlags::HIDES_LINKS;
                let panicked = ((vtable.type_name)(), payload);
                self.aftermath.panics.push(panicked);
            }
        }
    }

    /// Takes note of what a node reports. The memory of a target stays meanwhile.
    fn sight(&mut self, node: usize, sighting: Sighting<'_, Object>) {
        match sighting {
            Sighting::Strong {
                name,
                target,
                handle,
            } => {
                let asker = self.options.asker.map(|(_, handle)| handle);
                self.asker_is_inside |= asker == Some(handle);
                // The handle is borrowed, or lies in an `AtomicGc`: no `&mut` comes from it.
                // SAFETY: an edge is a handle, so its target is allocated.
                unsafe { target.head() }.count.let_mut_go();
                // SAFETY: as above.
                match unsafe { self.node(target) } {
                    Some(target) => self.builder.link(name, target),
                    None if self.room == 0 => self.hides_links(node),
                    None => {}
                }
            }
            Sighting::Weak { name, target } => {
                // SAFETY: the weak handle keeps the memory.
                if let Some(target) = unsafe { self.node(target) } {
                    self.builder.weak_link(name, target);
                }
            }
            Sighting::Hidden => self.hides_links(node),
        }
    }

    fn hides_links(&mut self, node: usize) {
        self.builder.entry(node).flags |= NodeFlags::HIDES_LINKS;
    }

    /// Takes the handles away that are neither links nor a user's.
    fn subtract_others(&mut self) {
        if let Some((object, _)) = self.options.asker
            && !self.asker_is_inside
        {
            self.subtract(object, NodeFlags::empty());
        }
        for saved in lock(&domain().garbage).iter() {
            self.subtract(saved.object(), NodeFlags::SAVED);
        }
    }

    /// Takes a handle away.
    fn subtract(&mut self, object: Object, flags: NodeFlags) {
        // SAFETY: who calls has a handle to the object.
        if let Some(node) = unsafe { self.nodes.get(object) } {
            let entry = self.builder.entry(node);
            entry.ref_count = entry.ref_count.saturating_sub(1);
            entry.outside_count = entry.ref_count;
            entry.flags |= flags;
        }
    }
}

/// A number of handles, or as many as a node can say.
fn saturated(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use super::*;
    use crate::sync::{self, Gc};

    type Cell = Mutex<Vec<Gc<Mutex<u8>>>>;

    /// Whether lists and candidates let go of an object, soon.
    fn is_let_go<T: ?Sized>(gc: &Gc<T>) -> bool {
        // Other tests collect, too.
        (0..10_000).any(|_| {
            sync::collect();
            !gc.head().second.is_held()
        })
    }

    #[test]
    fn a_snapshot_gives_every_hold_back() {
        let (leaf, stop) = (Gc::new(Mutex::new(0)), AtomicBool::new(false));
        let cells = [(); 4].map(|()| Gc::new(Cell::default()));
        let is_sound = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    for cell in &cells {
                        let mut cell = cell.lock().expect("nobody panics");
                        cell.clear();
                        cell.push(leaf.clone());
                        cell.push(Gc::new(Mutex::new(1)));
                    }
                }
            });
            let is_sound = (0..200).all(|_| {
                let options = SnapshotOptions::new().root(&cells[0]).root(&cells[1]);
                let graph = options.snapshot();
                graph.find(&cells[0]).is_some() && graph.find(&cells[1]).is_some()
            });
            stop.store(true, Relaxed);
            is_sound
        });
        assert!(is_sound);
        assert!(cells.iter().all(is_let_go));
        let kept = cells[0].lock().expect("nobody panics");
        assert!(kept.iter().all(is_let_go));
        // SAFETY: cells are tracked.
        let head = unsafe { cells[0].object().tracked() };
        assert_eq!(head.index(), 0);
    }
}
