//! A collection's first half: which candidates look like garbage?
//!
//! CPython's algorithm on arrays, as in `crate::collect`, but the threads go on meanwhile, so
//! the answer may be wrong either way: what is dead already and at rest is always found, and
//! what is not garbage is found out by `proof.rs`.
//!
//! ```text
//!  suspects of the generation and younger
//!      |  pin, note the count, trace, unpin
//!      v
//!  candidates  o0  o1  o2  o3 ...      found by following edges; older
//!  refs         2   1   1   3          generations are not entered
//!      |  refs[j] -= 1 for every edge i -> j
//!      v
//!  refs         1   0   0   0          above 0: referenced from outside
//!      |  follow the recorded edges from those above 0
//!      v
//!  live                0: looks like garbage -> proof.rs
//! ```
//!
//! # Invariants
//!
//! 1. A candidate has a hold from when it becomes one, while the cell that it was found in
//!    is still locked, until the collection lets go of it; a suspect brings its list's.
//! 2. `refs`, `edges` and `starts` are indexed as `candidates`; the edges of candidate `i`
//!    are `edges[starts[i]..starts[i + 1]]`; its `index` is `i + 1`.

use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::prefetch;
use crate::sync::collector::Aftermath;
use crate::sync::domain::domain;
use crate::sync::header::Object;
use crate::sync::second_word::{OPAQUE, TRACKED};
use crate::sync::suspects::release_hold;
use crate::sync::types::lock;
use crate::sync::visit::Visit;
use crate::sync::word::Pin;
use crate::trace::Tracer;

/// Candidates that are traced before their edges are looked at, so that the targets arrive
/// in the cache meanwhile. Their cells are locked so long.
const CHUNK: usize = if cfg!(loom) { 1 } else { 16 };

/// `refs` of a candidate that is reachable from outside.
const LIVE: u32 = u32::MAX;

/// `refs` of a candidate that has more handles than are worth counting, or fewer than
/// edges were found.
const IMPOSSIBLE: u32 = u32::MAX / 2;

/// An object that a collection looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) object: Object,
    /// Its hold is a list's.
    pub(crate) is_listed: bool,
    /// It had one handle, here and in an old collection before, and no other between
    /// (`CountWord::pin`): if it is alive, it is no suspect any more.
    pub(crate) still_unshared: bool,
}

/// The arrays of a guess; kept for the next one while they are small.
#[derive(Debug)]
pub(crate) struct Guess {
    candidates: Vec<Candidate>,
    refs: Vec<u32>,
    starts: Vec<usize>,
    edges: Vec<u32>,
    /// Where each candidate's edges end in what a chunk found.
    ends: Vec<usize>,
    queue: Vec<u32>,
}

/// What a guess found.
#[derive(Debug, Default)]
pub(crate) struct Guessed {
    pub(crate) garbage: Vec<Candidate>,
    pub(crate) alive: Vec<Candidate>,
}

impl Guess {
    pub(crate) const fn new() -> Self {
        Guess {
            candidates: Vec::new(),
            refs: Vec::new(),
            starts: Vec::new(),
            edges: Vec::new(),
            ends: Vec::new(),
            queue: Vec::new(),
        }
    }

    /// Divides what the suspects reach, of what was born in `births`, into what looks like
    /// garbage and what is alive. With `mark`, suspects with one handle are marked, or
    /// found to be so still.
    pub(crate) fn run(
        &mut self,
        suspects: impl Iterator<Item = Object>,
        births: RangeInclusive<u32>,
        mark: bool,
        aftermath: &mut Aftermath,
    ) -> Guessed {
        let mut visit = Visit::new();
        // A `&mut` may have ended long ago. If so, an edge to the object shows it.
        // SAFETY: an entry has a hold.
        let is_free = |suspect: &Object| !unsafe { suspect.head() }.count.is_mut_taken();
        let (free, taken): (Vec<_>, Vec<_>) = suspects.partition(is_free);
        for suspects in [free, taken] {
            for suspect in suspects {
                self.enter(suspect, true);
            }
            while self.refs.len() < self.candidates.len() {
                let end = self.candidates.len().min(self.refs.len() + CHUNK);
                let chunk = self.refs.len()..end;
                self.look_at(chunk, &births, mark, &mut visit, aftermath);
            }
        }
        self.starts.push(self.edges.len());
        self.subtract_refs();
        self.mark_reachable();
        self.split()
    }

    /// Makes an object, of whose hold the caller disposes, a candidate.
    fn enter(&mut self, object: Object, is_listed: bool) {
        // SAFETY: invariant 1: candidates are tracked.
        let head = unsafe { object.tracked() };
        if let Some(index) = head.index().checked_sub(1) {
            self.candidates[index as usize].is_listed |= is_listed;
            // SAFETY: one hold is enough.
            unsafe { release_hold(object) };
            return;
        }
        self.candidates.push(Candidate {
            object,
            is_listed,
            still_unshared: false,
        });
        #[allow(clippy::cast_possible_truncation, reason = "see `edge`")]
        head.set_index(self.candidates.len() as u32);
    }

    /// Traces a chunk of candidates and follows their edges.
    fn look_at(
        &mut self,
        chunk: std::ops::Range<usize>,
        births: &RangeInclusive<u32>,
        mark: bool,
        visit: &mut Visit,
        aftermath: &mut Aftermath,
    ) {
        // Who waits for a pin waits for this.
        let looking = lock(&domain().looking);
        visit.found.clear();
        self.ends.clear();
        let mut pinned = [false; CHUNK];
        for index in chunk.clone() {
            if let Some(ahead) = self.candidates.get(index + CHUNK) {
                prefetch::header(ahead.object.0.cast());
            }
            let candidate = &mut self.candidates[index];
            // SAFETY: invariant 1.
            let count = &unsafe { candidate.object.head() }.count;
            let refs = match count.pin(mark && candidate.is_listed) {
                Pin::Pinned {
                    count,
                    still_unshared,
                } => {
                    pinned[index - chunk.start] = true;
                    candidate.still_unshared = still_unshared;
                    u32::try_from(count).unwrap_or(IMPOSSIBLE).min(IMPOSSIBLE)
                }
                // What cannot be looked into is alive. What is gone has no edges.
                Pin::MutTaken | Pin::Gone => IMPOSSIBLE,
            };
            self.refs.push(refs);
            if pinned[index - chunk.start] {
                // SAFETY: the value is pinned until the guards are gone.
                unsafe { trace(candidate.object, visit, aftermath) };
            }
            self.ends.push(visit.found.len());
        }
        let mut first = 0;
        for at in 0..self.ends.len() {
            self.starts.push(self.edges.len());
            let end = self.ends[at];
            for found in first..end {
                self.edge(visit.found[found], births);
            }
            first = end;
        }
        visit.kept.release();
        for index in chunk.clone() {
            let object = self.candidates[index].object;
            // SAFETY: invariant 1.
            if pinned[index - chunk.start] && unsafe { object.head() }.count.unpin() {
                aftermath.orphans.push(object);
            }
        }
        drop(looking);
    }

    /// Subtracts what candidates refer to (CPython `subtract_refs`).
    fn subtract_refs(&mut self) {
        for (at, target) in self.edges.iter().enumerate() {
            if let Some(ahead) = self.edges.get(at + 2 * CHUNK) {
                prefetch::element(&self.refs, *ahead as usize);
            }
            let refs = &mut self.refs[*target as usize];
            *refs = match *refs {
                IMPOSSIBLE | 0 => IMPOSSIBLE,
                more => more - 1,
            };
        }
    }

    /// Takes note of one edge, whose cell is still locked; its target may become a candidate.
    #[inline]
    fn edge(&mut self, target: Object, births: &RangeInclusive<u32>) {
        // SAFETY: an edge is a handle, and its cell is locked or its object pinned.
        let head = unsafe { target.head() };
        if !head.second.has(TRACKED) {
            return;
        }
        // The handle lies in a cell that is locked or in a value that is pinned: no `&mut`
        // comes from it.
        head.count.let_mut_go();
        // SAFETY: just tested.
        let tracked = unsafe { target.tracked() };
        if tracked.index() == 0 {
            let is_known = births.contains(&tracked.birth());
            if !is_known || self.candidates.len() > u32::MAX as usize / 2 {
                return;
            }
            // INVARIANT: 1.
            head.second.hold();
            self.enter(target, false);
        }
        self.edges.push(tracked.index() - 1);
    }

    /// Marks all that is reachable from candidates with references from outside (CPython
    /// `move_unreachable`).
    fn mark_reachable(&mut self) {
        self.queue.clear();
        for (index, refs) in self.refs.iter_mut().enumerate() {
            if *refs != 0 {
                *refs = LIVE;
                #[allow(clippy::cast_possible_truncation, reason = "see `edge`")]
                self.queue.push(index as u32);
            }
        }
        while let Some(index) = self.queue.pop() {
            let index = index as usize;
            for edge in self.starts[index]..self.starts[index + 1] {
                let target = self.edges[edge];
                let refs = &mut self.refs[target as usize];
                if *refs == 0 {
                    *refs = LIVE;
                    self.queue.push(target);
                }
            }
        }
    }

    /// Divides the candidates, which are none any more.
    fn split(&mut self) -> Guessed {
        let mut guessed = Guessed::default();
        for (candidate, refs) in self.candidates.iter().zip(&self.refs) {
            // SAFETY: invariant 1.
            unsafe { candidate.object.tracked() }.set_index(0);
            if *refs == LIVE {
                guessed.alive.push(*candidate);
            } else {
                guessed.garbage.push(*candidate);
            }
        }
        if self.candidates.capacity() > KEEP_COUNT || self.edges.capacity() > KEEP_COUNT {
            *self = Self::new();
        }
        self.candidates.clear();
        self.refs.clear();
        self.starts.clear();
        self.edges.clear();
        guessed
    }
}

/// Candidates for which the arrays are kept.
const KEEP_COUNT: usize = 16 * 1024;

/// Traces an object, unless that has panicked before. Guards of locks that were taken are in
/// `visit.kept`.
///
/// # Safety
///
/// The value stays until those guards are gone, and no `&mut` to it exists.
pub(crate) unsafe fn trace(object: Object, visit: &mut Visit, aftermath: &mut Aftermath) {
    // SAFETY: the caller's.
    let head = unsafe { object.head() };
    if head.second.has(OPAQUE) {
        return;
    }
    let before = visit.found.len();
    let traced = catch_unwind(AssertUnwindSafe(|| {
        let mut unused = Vec::new();
        let mut tracer = Tracer::shared(visit, &mut unused);
        // SAFETY: the caller's.
        unsafe { (head.vtable.trace)(object, &mut tracer) };
    }));
    if let Err(payload) = traced {
        // What it reported is forgotten: too few edges only keep objects alive.
        visit.found.truncate(before);
        head.second.set(OPAQUE);
        aftermath.panics.push(((head.vtable.type_name)(), payload));
    }
}
