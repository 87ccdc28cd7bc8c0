//! A collection from its first callback to its last.
//!
//! What a user wrote runs here, between the phases under the lock: callbacks, finalizers,
//! destructors. No lock of this crate's is held then, so that it may wait for other threads,
//! which may collect meanwhile.

use std::time::Instant;

use crate::debug::DebugFlags;
use crate::generation::Generation;
use crate::module::{CollectStats, Phase};
use crate::sync::any::AnyGc;
use crate::sync::collector::{Aftermath, Collector};
use crate::sync::debug::{print_objects, print_start};
use crate::sync::delete::{delete_garbage, finalize_garbage, let_go, run_callbacks};
use crate::sync::domain::domain;
use crate::sync::epoch;
use crate::sync::guess::Candidate;
use crate::sync::local;
use crate::sync::proof::{Sentence, Verdict, prove};
use crate::sync::types::{lock, try_lock};
use crate::sync::unraisable::report;
use crate::unraisable::UnraisablePlace;

/// `Gc::new` found more young objects than the threshold: collects, unless somebody does.
#[cold]
pub(crate) fn collect_if_due() {
    let domain = domain();
    if domain.settings.wake_collector() || local::with(|local| local.collecting.get()) {
        return;
    }
    let Some(collector) = try_lock(&domain.collector) else {
        return;
    };
    if !domain.census.is_due() {
        return;
    }
    let generation = collector.counts.select(domain.census.threshold());
    // Nobody else collects for the same reason.
    domain.census.reset_young();
    drop(collector);
    collect(generation);
}

/// Runs a collection of `generation` and the younger ones.
///
/// Returns empty stats if this thread runs one already, as CPython returns 0.
pub(crate) fn collect(generation: Generation) -> CollectStats {
    let Some(running) = Running::enter() else {
        return CollectStats::default();
    };
    local::with(|local| local.report());
    epoch::flush_all();
    let settings = &domain().settings;
    settings.notify(Phase::Start, generation, &CollectStats::default());
    let started = Instant::now();
    let debug = settings.debug();
    let mut stats = run(generation, debug);
    stats.duration = started.elapsed();
    if debug.contains(DebugFlags::STATS) {
        crate::debug::print_end(&stats);
    }
    lock(&domain().collector).stats[generation.index()].add(&stats);
    settings.notify(Phase::Stop, generation, &stats);
    drop(running);
    stats
}

fn run(generation: Generation, debug: DebugFlags) -> CollectStats {
    let saves = debug.contains(DebugFlags::SAVEALL);
    let mut aftermath = Aftermath::default();
    if debug.contains(DebugFlags::STATS) {
        print_start(generation);
    }
    let sentence = if saves {
        Sentence::Save
    } else {
        Sentence::Hear
    };
    let mut verdict = locked(|collector| collector.find(generation, sentence, &mut aftermath));
    // Before callbacks and finalizers, which may wait for their ends.
    drop(std::mem::take(&mut aftermath.orphans));
    if debug.contains(DebugFlags::COLLECTABLE) {
        print_objects("collectable", &verdict.garbage);
    }
    if verdict.must_hear {
        let holds = std::mem::take(&mut verdict.holds);
        verdict = hear(verdict, holds, generation, &mut aftermath);
    }
    let callbacks = std::mem::take(&mut verdict.callbacks);
    run_callbacks(callbacks);
    let collected = verdict.garbage.len();
    if saves {
        lock(&domain().garbage).append(&mut aftermath.saved);
        locked(|collector| collector.acquit(verdict.holds, generation));
    } else {
        delete_garbage(&verdict.garbage);
        let_go(verdict.holds);
    }
    let (candidates, uncollectable) = (aftermath.candidate_count, aftermath.panics.len());
    settle(aftermath, debug);
    CollectStats {
        collected,
        uncollectable,
        candidates,
        duration: std::time::Duration::ZERO,
    }
}

/// Callbacks and finalizers of what is garbage for now; then finds out what still is.
fn hear(
    heard: Verdict,
    holds: Vec<Candidate>,
    generation: Generation,
    aftermath: &mut Aftermath,
) -> Verdict {
    run_callbacks(heard.callbacks);
    finalize_garbage(&heard.garbage);
    let verdict = locked(|collector| {
        let mut verdict = prove(holds, Sentence::Die, aftermath);
        let resurrected = std::mem::take(&mut verdict.alive);
        collector.acquit(resurrected, generation);
        verdict
    });
    drop(std::mem::take(&mut aftermath.orphans));
    verdict
}

/// Does what was left for when no lock is held.
pub(crate) fn settle(aftermath: Aftermath, debug: DebugFlags) {
    drop(aftermath.orphans);
    for (type_name, payload) in aftermath.panics {
        if debug.contains(DebugFlags::UNCOLLECTABLE) {
            crate::debug::print(format_args!("gc: uncollectable <{type_name}>"));
        }
        report(UnraisablePlace::Trace, type_name, payload);
    }
    drop::<Vec<AnyGc>>(aftermath.saved);
}

/// Runs a phase under the collector's lock.
pub(crate) fn locked<R>(phase: impl FnOnce(&mut Collector) -> R) -> R {
    let mut collector = lock(&domain().collector);
    // After the lock: who waits for it must not hold up what others displaced.
    let _pinned = epoch::pin();
    let _proving = Proving::enter();
    phase(&mut collector)
}

/// Waits until the collector lets go of what it looks at now.
#[cold]
pub(crate) fn wait_for_collector() {
    drop(lock(&domain().looking));
}

/// Marks that this thread collects; unmarks it also if something panics.
struct Running;

impl Running {
    fn enter() -> Option<Self> {
        let was_running = local::with(|local| local.collecting.replace(true));
        // Not `then_some`: a `Running` that is not returned would end this one.
        (!was_running).then(|| Running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        local::with(|local| local.collecting.set(false));
    }
}

/// Marks that this thread has the collector's lock.
struct Proving;

impl Proving {
    fn enter() -> Self {
        local::with(|local| local.proving.set(true));
        Proving
    }
}

impl Drop for Proving {
    fn drop(&mut self) {
        local::with(|local| local.proving.set(false));
    }
}
