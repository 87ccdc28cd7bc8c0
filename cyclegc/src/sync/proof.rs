//! A collection's second half: is what looks like garbage garbage?
//!
//! ```text
//!  looks like garbage
//!      |  COLLECTING; trace each once; cells stay locked
//!      |  pass 1: handles == edges, not DIRTY
//!      |  pass 2: still not DIRTY, no AtomicGc was written
//!      v
//!  what failed, and all that it reaches: alive
//!  the rest: garbage --> DEAD, or heard first: weak references, finalizers
//! ```
//!
//! ARCHITECTURE.md, "cyclegc::sync", says why that is enough.
//!
//! # Invariants
//!
//! 1. Between `begin_proof` and `end_proof` of its object, a value is there and no `&mut` to
//!    it. Guards are let go of before the first `end_proof`: until then what they borrow is
//!    there.
//! 2. `failed`, `edges` and `starts` are indexed as `members`; a member's `index` is that and 1.

use crate::sync::any::AnyGc;
use crate::sync::collector::Aftermath;
use crate::sync::domain::domain;
use crate::sync::guess::{Candidate, trace};
use crate::sync::header::Object;
use crate::sync::second_word::{HAS_CELLS, TO_FINALIZE, TRACKED, WEAK_CUT};
use crate::sync::types::lock;
use crate::sync::visit::Visit;
use crate::sync::weak_cell::{self, Callback};

/// What is to become of garbage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sentence {
    /// `DEAD`; but if weak references or finalizers must be heard first, only that the weak
    /// references are cleared.
    Hear,
    /// `DEAD`, but for what waits to be finalized, and what that reaches.
    Die,
    /// A handle to each, which is put into the `garbage`.
    Save,
}

/// What a proof found.
#[derive(Default)]
pub(crate) struct Verdict {
    pub(crate) garbage: Vec<Object>,
    /// Of the garbage's lists and holds, what is to be given back with it.
    pub(crate) holds: Vec<Candidate>,
    pub(crate) alive: Vec<Candidate>,
    /// Of weak references to the garbage; to be run when no lock is held.
    pub(crate) callbacks: Vec<Callback>,
    /// The garbage is to be heard; else its sentence was carried out.
    pub(crate) must_hear: bool,
}

struct Proof {
    members: Vec<Candidate>,
    /// Why a member is not garbage, or not known to be.
    failed: Vec<bool>,
    /// Members that `begin_proof` took.
    begun: Vec<bool>,
    starts: Vec<usize>,
    edges: Vec<u32>,
    visit: Visit,
}

/// Proves which of the `members` are garbage, and passes sentence.
///
/// The caller has the collector's lock, and a hold on each member.
pub(crate) fn prove(
    members: Vec<Candidate>,
    sentence: Sentence,
    aftermath: &mut Aftermath,
) -> Verdict {
    if members.is_empty() {
        return Verdict::default();
    }
    let looking = lock(&domain().looking);
    let mut proof = Proof::new(members);
    proof.trace(aftermath);
    proof.pass_one();
    proof.pass_two();
    if sentence == Sentence::Die {
        proof.fail_unheard();
    }
    proof.fail_reachable();
    let verdict = proof.pass_sentence(sentence, aftermath);
    drop(looking);
    verdict
}

impl Proof {
    fn new(members: Vec<Candidate>) -> Self {
        for (index, member) in members.iter().enumerate() {
            #[allow(clippy::cast_possible_truncation, reason = "candidates are fewer")]
            // SAFETY: a hold keeps the memory; members are tracked.
            unsafe { member.object.tracked() }.set_index(index as u32 + 1);
        }
        Proof {
            failed: vec![false; members.len()],
            begun: vec![false; members.len()],
            starts: Vec::with_capacity(members.len() + 1),
            edges: Vec::new(),
            visit: Visit::new(),
            members,
        }
    }

    fn object(&self, index: usize) -> Object {
        self.members[index].object
    }

    /// Traces each member once, and keeps the cells locked.
    fn trace(&mut self, aftermath: &mut Aftermath) {
        for index in 0..self.members.len() {
            self.starts.push(self.edges.len());
            let object = self.object(index);
            // SAFETY: a hold keeps the memory.
            if !unsafe { object.head() }.count.begin_proof() {
                self.failed[index] = true;
                continue;
            }
            self.begun[index] = true;
            self.visit.found.clear();
            self.visit.marks_of(index);
            // SAFETY: invariant 1.
            unsafe { trace(object, &mut self.visit, aftermath) };
            for target in &self.visit.found {
                // SAFETY: the edge is a handle, in a cell that stays locked.
                if !unsafe { target.head() }.second.has(TRACKED) {
                    continue;
                }
                // SAFETY: just tested.
                let index = unsafe { target.tracked() }.index();
                if let Some(index) = index.checked_sub(1) {
                    self.edges.push(index);
                }
            }
        }
        self.starts.push(self.edges.len());
    }

    /// The handles of a member are those that members hold, and it was not cloned.
    fn pass_one(&mut self) {
        let mut inside = vec![0_u64; self.members.len()];
        for target in &self.edges {
            inside[*target as usize] += 1;
        }
        for (index, inside) in inside.into_iter().enumerate() {
            // SAFETY: a hold keeps the memory.
            let count = &unsafe { self.object(index).head() }.count;
            if count.pass_one() != Some(inside) {
                self.failed[index] = true;
            }
        }
    }

    /// No member was cloned while others were counted, and no handle left its place.
    fn pass_two(&mut self) {
        for index in 0..self.members.len() {
            // SAFETY: a hold keeps the memory.
            let count = &unsafe { self.object(index).head() }.count;
            if !count.pass_two() {
                self.failed[index] = true;
            }
        }
        for index in self.visit.erased_marks() {
            self.failed[index] = true;
        }
    }

    /// A member whose finalizer has not run does not die now.
    fn fail_unheard(&mut self) {
        for index in 0..self.members.len() {
            // SAFETY: a hold keeps the memory.
            if unsafe { self.object(index).head() }.second.has(TO_FINALIZE) {
                self.failed[index] = true;
            }
        }
    }

    /// What a member that is not garbage reaches is not garbage either.
    fn fail_reachable(&mut self) {
        let mut queue: Vec<usize> = (0..self.failed.len())
            .filter(|index| self.failed[*index])
            .collect();
        while let Some(index) = queue.pop() {
            for edge in self.starts[index]..self.starts[index + 1] {
                let target = self.edges[edge] as usize;
                if !self.failed[target] {
                    self.failed[target] = true;
                    queue.push(target);
                }
            }
        }
    }

    fn garbage(&self) -> impl Iterator<Item = Object> {
        let members = self.members.iter().zip(&self.failed);
        members.filter_map(|(member, failed)| (!failed).then_some(member.object))
    }

    fn pass_sentence(mut self, sentence: Sentence, aftermath: &mut Aftermath) -> Verdict {
        // SAFETY: a hold keeps the memory.
        let must_hear = self.garbage().any(|object| unsafe { has_a_say(object) });
        let mut verdict = Verdict {
            must_hear: must_hear && sentence == Sentence::Hear,
            ..Verdict::default()
        };
        if must_hear {
            verdict.callbacks = self.cut_weak_references();
        }
        if !verdict.must_hear {
            for object in self.garbage() {
                if sentence == Sentence::Save {
                    // SAFETY: it has handles, which nobody can use now.
                    aftermath.saved.push(unsafe { AnyGc::share(object) });
                } else {
                    // SAFETY: a hold keeps the memory.
                    unsafe { object.head() }.count.condemn();
                }
            }
        }
        self.visit.release();
        let condemned = !verdict.must_hear && sentence != Sentence::Save;
        for (index, member) in self.members.iter().enumerate() {
            // SAFETY: a hold keeps the memory.
            unsafe { member.object.tracked() }.set_index(0);
            let is_garbage = !self.failed[index];
            if self.begun[index] && !(is_garbage && condemned) {
                // SAFETY: as above.
                if unsafe { member.object.head() }.count.end_proof() {
                    aftermath.orphans.push(member.object);
                }
            }
            if is_garbage {
                verdict.garbage.push(member.object);
                verdict.holds.push(*member);
            } else {
                verdict.alive.push(*member);
            }
        }
        verdict
    }

    /// Clears the weak references to the garbage, and those that are garbage; returns the
    /// callbacks of the others.
    fn cut_weak_references(&self) -> Vec<Callback> {
        let mut callbacks = Vec::new();
        let is_garbage = |cell: Object| {
            // SAFETY: a listed cell's memory is there, and cells are tracked.
            let index = unsafe { cell.tracked() }.index();
            index != 0 && !self.failed[index as usize - 1]
        };
        for object in self.garbage() {
            // SAFETY: a hold keeps the memory.
            let second = &unsafe { object.head() }.second;
            if second.weak() > 1 {
                second.set(WEAK_CUT);
            }
            if second.has(HAS_CELLS) {
                callbacks.extend(weak_cell::clear_all(object, |cell| !is_garbage(cell)));
            }
            // SAFETY: its value is there until the sentence is carried out.
            if let Some(cell) = unsafe { weak_cell::as_cell(object) } {
                cell.detach();
            }
        }
        callbacks
    }
}

/// Somebody must be told, or asked, before the object dies.
///
/// # Safety
///
/// The object is allocated and has a value.
unsafe fn has_a_say(object: Object) -> bool {
    // SAFETY: the caller's.
    let second = &unsafe { object.head() }.second;
    // SAFETY: the caller's.
    let is_cell = unsafe { weak_cell::as_cell(object) }.is_some();
    second.weak() > 1 || second.has(TO_FINALIZE | HAS_CELLS) || is_cell
}
