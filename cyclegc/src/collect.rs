//! A collection: which suspects, and what they reach, are unreachable?
//!
//! CPython's algorithm with its passes rearranged around arrays:
//!
//! ```text
//!  suspects of the generation and younger
//!      |  update_refs: refs[i] = count
//!      v
//!  candidates  o0  o1  o2  o3 ...      found by following edges; older
//!  refs         2   1   1   3          generations are not entered
//!      |  subtract_refs: refs[j] -= 1 for every edge i -> j
//!      v
//!  refs         1   0   0   0          above 0: referenced from outside
//!      |  move_unreachable: follow the recorded edges from those above 0
//!      v
//!  live: promoted          0: unreachable -> delete.rs
//! ```
//!
//! Each object is traced once; the second pass follows the recorded edges, so
//! it touches no object, and two traversals cannot disagree. Real counts are
//! never changed.
//!
//! # Why suspects are enough
//!
//! Garbage that counting cannot free contains a cycle. The last handle to it
//! from outside was dropped while handles inside remained: that drop was not
//! the last of its object, which made it a suspect. (The last outer handle
//! cannot move inside without access through another one.) A suspect stays one
//! until an old collection found it alive; then it is loud again. So some
//! suspect reaches all of every dead set whose generation is collected.
//!
//! # Invariants
//!
//! 1. While `trace` runs, no code of a user runs but `trace` itself (contract
//!    of `Trace`, 3). If it panics, the panic hook may run anything: the
//!    traversal starts again without that object's edges. What the hook
//!    dropped a handle of is a candidate still, and a suspect from then on.
//! 2. No `&mut` to a candidate's value exists. `get_mut` acquits a suspect and
//!    needs its only handle, mutably borrowed, so no edge to the object can be
//!    seen: the handle is on the stack or in a cell that is borrowed. And it
//!    gives none to an object that is `COLLECTING`.
//! 3. `refs`, `edges` and `starts` are indexed as `candidates`; the edges of
//!    candidate `i` are `edges[starts[i]..starts[i + 1]]`.
//!
//! Source: CPython 3.11 `Modules/gcmodule.c`: `gc_collect_main`,
//! `deduce_unreachable`.

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::time::Instant;

use crate::any::AnyGc;
use crate::debug::{self, DebugFlags};
use crate::delete;
use crate::generation::Generation;
use crate::header::{
    COLLECTING, DEAD, Header, OPAQUE, SUSPECT, TO_FINALIZE, TRACKED, tracked_head,
};
use crate::module::{self, CollectStats, Phase};
use crate::prefetch;
use crate::state::State;
use crate::trace::Tracer;
use crate::unraisable::{self, UnraisablePlace};

/// Candidates that are traced before their edges are looked at, so that the
/// targets arrive in the cache meanwhile.
const CHUNK: usize = 32;

/// `refs` of a candidate that is reachable from outside.
const LIVE: u32 = u32::MAX;

/// `refs` of a candidate whose `Trace` reported more edges than handles exist;
/// keeps it alive.
const IMPOSSIBLE: u32 = u32::MAX / 2;

/// The arrays of a collection; kept for the next one while they are small.
pub(crate) struct Scratch {
    candidates: Vec<NonNull<Header>>,
    refs: Vec<u32>,
    starts: Vec<usize>,
    edges: Vec<u32>,
    /// Targets found in a chunk, and where each candidate's end in it.
    found: Vec<NonNull<Header>>,
    ends: Vec<usize>,
    queue: Vec<u32>,
    /// The unreachable ones of the collection before, emptied.
    unreachable: Vec<NonNull<Header>>,
    /// Some candidate has a weak reference or a finalizer to run.
    special: bool,
}

/// An object whose `trace` panicked.
struct TracePanic {
    index: usize,
    held: AnyGc,
    payload: Box<dyn Any + Send>,
}

/// Runs a collection of `generation` and the younger ones.
///
/// Returns empty stats if one runs already, as CPython returns 0.
pub(crate) fn collect(state: &State, generation: Generation) -> CollectStats {
    if state.collecting.get() || state.is_closed() {
        return CollectStats::default();
    }
    state.open();
    let running = Running::enter(state);
    module::notify(state, Phase::Start, generation, &CollectStats::default());
    let started = Instant::now();
    let debug = state.debug.get();
    if debug.contains(DebugFlags::STATS) {
        debug::print_start(state, generation);
    }
    // What a user wrote is caught where it is called. Should anything else
    // panic, candidates would stay `COLLECTING` with indices of no array.
    let mut stats = catch_unwind(AssertUnwindSafe(|| run(state, generation, debug)))
        .unwrap_or_else(|_| debug::abort(format_args!("a panic came out of a collection")));
    stats.duration = started.elapsed();
    if debug.contains(DebugFlags::STATS) {
        debug::print_end(&stats);
    }
    module::record(state, generation, &stats);
    module::notify(state, Phase::Stop, generation, &stats);
    drop(running);
    stats
}

fn run(state: &State, generation: Generation, debug: DebugFlags) -> CollectStats {
    state.counts.start(generation);
    state.reset_young_count();
    if state.epochs.must_renumber() {
        state.renumber_epochs();
    }
    let mut scratch = state.scratch.take();
    let mut panics = Vec::new();

    for suspects in &state.suspects[..=generation.index()] {
        suspects.drain_to(&mut scratch.candidates);
    }
    let oldest_birth = state.epochs.oldest_birth(generation);
    let suspect_count = scratch.deduce(Some(oldest_birth), &mut panics);
    let candidate_count = scratch.candidates.len();
    let unreachable = scratch.promote(state, generation, suspect_count);
    if debug.contains(DebugFlags::COLLECTABLE) {
        debug::print_objects("collectable", &unreachable.objects);
    }
    let mut dead = delete::reclaim(state, &mut scratch, unreachable, generation, &mut panics);
    let collected = dead.len();
    dead.clear();
    scratch.unreachable = dead;
    state.counts.survived(generation, module::live_count(state));
    scratch.clear_large();
    state.scratch.replace(scratch);

    let uncollectable = panics.len();
    for (type_name, payload) in panics {
        if debug.contains(DebugFlags::UNCOLLECTABLE) {
            debug::print(format_args!("gc: uncollectable <{type_name}>"));
        }
        unraisable::report(UnraisablePlace::Trace, type_name, payload);
    }
    CollectStats {
        collected,
        uncollectable,
        candidates: candidate_count,
        duration: std::time::Duration::ZERO,
    }
}

/// Marks that a collection runs; unmarks it also if something panics.
struct Running<'a>(&'a State);

impl<'a> Running<'a> {
    fn enter(state: &'a State) -> Self {
        state.collecting.set(true);
        state.update_trigger();
        Running(state)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.collecting.set(false);
        self.0.update_trigger();
    }
}

/// Candidates that nothing outside refers to.
pub(crate) struct Unreachable {
    pub(crate) objects: Vec<NonNull<Header>>,
    /// None has a weak reference, is one, or has a finalizer to run.
    pub(crate) plain: bool,
}

/// Caught panics of `trace`, with the type's name, to be reported when code of
/// a user may run again.
pub(crate) type TracePanics = Vec<(&'static str, Box<dyn Any + Send>)>;

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Scratch {
    pub(crate) const fn new() -> Self {
        Scratch {
            candidates: Vec::new(),
            refs: Vec::new(),
            starts: Vec::new(),
            edges: Vec::new(),
            found: Vec::new(),
            ends: Vec::new(),
            queue: Vec::new(),
            unreachable: Vec::new(),
            special: false,
        }
    }

    /// Computes which candidates are reachable from outside: those end with
    /// `refs == LIVE`, the others with 0.
    ///
    /// `self.candidates` holds the first candidates, tracked and alive. With
    /// `oldest_birth`, what they reach in that epoch and later becomes a
    /// candidate too; without, edges that leave the candidates are ignored.
    ///
    /// Returns how many of the first candidates are suspects: those given, or,
    /// after a panic, all that were candidates then.
    pub(crate) fn deduce(&mut self, oldest_birth: Option<u32>, panics: &mut TracePanics) -> usize {
        let mut given_count = self.candidates.len();
        self.special = false;
        loop {
            self.update_refs();
            match self.subtract_refs(oldest_birth) {
                Ok(()) => break,
                Err(panic) => {
                    // SAFETY: a candidate's box is allocated.
                    let header = unsafe { self.candidates[panic.index].as_ref() };
                    header.set(OPAQUE);
                    let type_name = header.vtable().type_name;
                    panics.push((type_name(), panic.payload));
                    // May end the object, if the panic hook dropped the rest.
                    unraisable::guarded(UnraisablePlace::Drop, type_name, || drop(panic.held));
                    self.start_again();
                    given_count = self.candidates.len();
                }
            }
        }
        self.mark_reachable();
        given_count
    }

    /// `refs[i] = count` for the first candidates (CPython `update_refs`).
    fn update_refs(&mut self) {
        self.refs.clear();
        self.refs.reserve(self.candidates.len());
        self.starts.reserve(self.candidates.len() + 1);
        for index in 0..self.candidates.len() {
            if let Some(ahead) = self.candidates.get(index + CHUNK) {
                prefetch::header(*ahead);
            }
            let object = self.candidates[index];
            self.enter(object);
        }
    }

    /// Makes an object the candidate with the next index.
    fn enter(&mut self, object: NonNull<Header>) -> u32 {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "there are fewer than 2^32 tracked objects"
        )]
        let index = self.refs.len() as u32;
        // SAFETY: the object is alive: it is a suspect or somebody's edge.
        let header = unsafe { object.as_ref() };
        // SAFETY: candidates are tracked.
        let head = unsafe { tracked_head(object) };
        header.set(COLLECTING);
        head.index.set(index);
        self.special |= header.weak() != 1 || header.has(TO_FINALIZE);
        self.refs.push(header.count());
        index
    }

    /// Follows the edges of all candidates, finds more of them, and subtracts
    /// what they refer to (CPython `subtract_refs`).
    fn subtract_refs(&mut self, oldest_birth: Option<u32>) -> Result<(), TracePanic> {
        self.starts.clear();
        self.edges.clear();
        let mut next = 0;
        while next < self.candidates.len() {
            let end = self.candidates.len().min(next + CHUNK);
            self.trace(next..end)?;
            let chunk_start = self.edges.len();
            let mut first = 0;
            for index in 0..self.ends.len() {
                self.starts.push(self.edges.len());
                let end = self.ends[index];
                for found in first..end {
                    self.edge(self.found[found], oldest_birth);
                }
                first = end;
            }
            // Apart from the above, so that the counts arrive meanwhile.
            for index in &self.edges[chunk_start..] {
                let refs = &mut self.refs[*index as usize];
                *refs = refs.checked_sub(1).unwrap_or(IMPOSSIBLE);
            }
            next = end;
        }
        self.starts.push(self.edges.len());
        Ok(())
    }

    /// Fills `found` and `ends` with the edges of some candidates.
    fn trace(&mut self, chunk: Range<usize>) -> Result<(), TracePanic> {
        self.found.clear();
        self.ends.clear();
        let mut index = chunk.start;
        let traced = catch_unwind(AssertUnwindSafe(|| {
            while index < chunk.end {
                let object = self.candidates[index];
                if let Some(ahead) = self.candidates.get(index + CHUNK) {
                    prefetch::header(*ahead);
                }
                // SAFETY: candidates are alive.
                let header = unsafe { object.as_ref() };
                if !header.has(OPAQUE) {
                    let mut tracer = Tracer::new(&mut self.found);
                    // A panic hook must not end the value: `trace` is still
                    // using it, and unwinds.
                    header.increment();
                    // SAFETY: invariant 2; the value is alive.
                    unsafe { (header.vtable().trace)(object, &mut tracer) };
                    header.decrement();
                }
                self.ends.push(self.found.len());
                index += 1;
            }
        }));
        traced.map_err(|payload| TracePanic {
            index,
            // SAFETY: the count includes the handle, see above.
            held: unsafe { AnyGc::adopt(self.candidates[index]) },
            payload,
        })
    }

    /// Takes note of one edge; its target may become a candidate.
    #[inline]
    fn edge(&mut self, target: NonNull<Header>, oldest_birth: Option<u32>) {
        // SAFETY: an edge is a handle, so its target is allocated.
        let header = unsafe { target.as_ref() };
        let index = if header.has(COLLECTING) {
            // SAFETY: candidates are tracked.
            unsafe { tracked_head(target) }.index.get()
        } else {
            let Some(oldest_birth) = oldest_birth else {
                return;
            };
            // A suspect that is no candidate is in an older generation.
            if header.flags() & (TRACKED | SUSPECT | DEAD) != TRACKED {
                return;
            }
            // SAFETY: just tested.
            if unsafe { tracked_head(target) }.aux.get() < oldest_birth {
                return;
            }
            self.candidates.push(target);
            self.enter(target)
        };
        prefetch::element(&self.refs, index as usize);
        self.edges.push(index);
    }

    /// Marks all that is reachable from candidates with references from
    /// outside (CPython `move_unreachable`).
    ///
    /// Candidates that were found by following edges lie behind those they
    /// were found from, so one walk through the arrays in order reaches almost
    /// all; what refers backwards waits in `queue`.
    fn mark_reachable(&mut self) {
        self.queue.clear();
        for index in 0..self.refs.len() {
            if matches!(self.refs[index], 0 | LIVE) {
                continue;
            }
            self.refs[index] = LIVE;
            for edge in self.starts[index]..self.starts[index + 1] {
                if let Some(ahead) = self.edges.get(edge + 2 * CHUNK) {
                    prefetch::element(&self.refs, *ahead as usize);
                }
                let target = self.edges[edge];
                let refs = &mut self.refs[target as usize];
                // Any count above 0 will do for what lies ahead: its turn
                // comes. Without a branch, since there is no telling.
                *refs |= u32::from(target as usize > index);
                if *refs == 0 {
                    *refs = LIVE;
                    self.queue.push(target);
                }
            }
        }
        let mut next = 0;
        while let Some(index) = self.queue.get(next) {
            let index = *index as usize;
            next += 1;
            for edge in self.starts[index]..self.starts[index + 1] {
                let target = self.edges[edge];
                let refs = &mut self.refs[target as usize];
                if *refs != LIVE {
                    *refs = LIVE;
                    self.queue.push(target);
                }
            }
        }
    }

    /// A `trace` panicked, and any code may have run since: keeps the
    /// candidates that are still alive.
    fn start_again(&mut self) {
        self.candidates.retain(|object| {
            // SAFETY: a candidate's box is allocated.
            let header = unsafe { object.as_ref() };
            let alive = !header.has(DEAD) && header.count() != 0;
            if !alive {
                // SAFETY: it leaves the candidates.
                unsafe { delete::let_go_of_dead(*object) };
            }
            alive
        });
    }

    /// Ages the generations, releases the live candidates, and returns the
    /// unreachable ones, which stay `COLLECTING`, and `SUSPECT` if they were.
    fn promote(
        &mut self,
        state: &State,
        generation: Generation,
        suspect_count: usize,
    ) -> Unreachable {
        let birth = state.epochs.promote(generation);
        let mut unreachable = Unreachable {
            objects: std::mem::take(&mut self.unreachable),
            plain: !self.special && state.cells.borrow().is_empty(),
        };
        for index in 0..self.candidates.len() {
            let object = self.candidates[index];
            if self.refs[index] != LIVE {
                unreachable.objects.push(object);
                continue;
            }
            if let Some(ahead) = self.candidates.get(index + CHUNK) {
                prefetch::header(*ahead);
            }
            // SAFETY: candidates are alive.
            let header = unsafe { object.as_ref() };
            header.clear(COLLECTING | SUSPECT);
            if index < suspect_count && generation != Generation::Old {
                // A collection of the next generation may find it dead.
                // SAFETY: the array that it was in has been emptied.
                unsafe { state.add_suspect(object, generation.index() + 1) };
            } else {
                header.set_loud();
                // SAFETY: candidates are tracked.
                unsafe { tracked_head(object) }.aux.set(birth);
            }
        }
        self.candidates.clear();
        unreachable
    }

    /// Makes `objects` the candidates.
    pub(crate) fn restart_with(&mut self, objects: Vec<NonNull<Header>>) {
        self.candidates = objects;
    }

    /// Splits the candidates into live and unreachable ones.
    pub(crate) fn split(&mut self) -> (Vec<NonNull<Header>>, Vec<NonNull<Header>>) {
        let refs = &self.refs;
        let mut index = 0;
        std::mem::take(&mut self.candidates)
            .into_iter()
            .partition(|_| {
                index += 1;
                refs[index - 1] == LIVE
            })
    }

    /// Gives large arrays back.
    fn clear_large(&mut self) {
        if self.candidates.capacity() > KEEP_COUNT
            || self.edges.capacity() > KEEP_COUNT
            || self.refs.capacity() > KEEP_COUNT
        {
            *self = Self::new();
        }
    }
}

/// Candidates for which a thread keeps the arrays.
const KEEP_COUNT: usize = 16 * 1024;
