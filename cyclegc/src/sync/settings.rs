//! What was set for the process: callbacks, what to print, who collects.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;

use crate::debug::DebugFlags;
use crate::generation::Generation;
use crate::module::{CallbackId, CollectInfo, CollectStats, Phase};
use crate::sync::types;
use crate::sync::unraisable::guarded;
use crate::unraisable::UnraisablePlace;

type CallbackFn = Arc<dyn Fn(Phase, &CollectInfo) + Send + Sync>;

pub(crate) struct Settings {
    debug: AtomicU32,
    callbacks: Mutex<Vec<(CallbackId, CallbackFn)>>,
    next_callback: AtomicU64,
    /// A background thread collects.
    pub(crate) has_background: AtomicBool,
    background: types::Mutex<Background>,
}

/// What the background thread is to do, and who it is, once it is there.
#[derive(Debug)]
pub(crate) struct Background {
    pub(crate) task: Task,
    pub(crate) thread: Option<Thread>,
    /// Nobody waits for the thread: it makes room for another one when it ends.
    pub(crate) is_alone: bool,
}

impl Background {
    /// The task begins; others may be given from here on.
    pub(crate) fn take_task(&mut self) {
        if self.task == Task::Collect {
            self.task = Task::Wait;
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    Wait,
    Collect,
    Stop,
}

impl Settings {
    types::maybe_const! {
    pub(crate) fn new() -> Self {
        Settings {
            debug: AtomicU32::new(0),
            callbacks: Mutex::new(Vec::new()),
            next_callback: AtomicU64::new(0),
            has_background: AtomicBool::new(false),
            background: types::Mutex::new(Background {
                task: Task::Wait,
                thread: None,
                is_alone: false,
            }),
        }
    }
    }

    pub(crate) fn debug(&self) -> DebugFlags {
        // ORDERING: Relaxed: a setting stands for itself.
        DebugFlags::from_bits_truncate(self.debug.load(Relaxed))
    }

    pub(crate) fn set_debug(&self, flags: DebugFlags) {
        // ORDERING: Relaxed: as above.
        self.debug.store(flags.bits(), Relaxed);
    }

    pub(crate) fn add_callback(&self, call: CallbackFn) -> CallbackId {
        // ORDERING: Relaxed: the numbers only have to differ.
        let id = CallbackId(self.next_callback.fetch_add(1, Relaxed));
        self.callbacks().push((id, call));
        id
    }

    pub(crate) fn remove_callback(&self, id: CallbackId) -> bool {
        let mut callbacks = self.callbacks();
        let at = callbacks.iter().position(|(other, _)| *other == id);
        let removed = at.map(|at| callbacks.remove(at));
        drop(callbacks);
        // What it captured is dropped here, with no lock held.
        removed.is_some()
    }

    fn callbacks(&self) -> MutexGuard<'_, Vec<(CallbackId, CallbackFn)>> {
        self.callbacks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the callbacks of a collection.
    pub(crate) fn notify(&self, phase: Phase, generation: Generation, stats: &CollectStats) {
        let callbacks = self.callbacks().clone();
        let info = CollectInfo {
            generation,
            stats: *stats,
        };
        for (_, call) in callbacks {
            guarded(
                UnraisablePlace::Callback,
                || "",
                || {
                    call(phase, &info);
                    drop(call);
                },
            );
        }
    }

    /// Lets the background thread collect, if there is one.
    pub(crate) fn wake_collector(&self) -> bool {
        // ORDERING: Relaxed: who misses the change collects by itself, or wakes nobody once.
        if !self.has_background.load(Relaxed) {
            return false;
        }
        let mut background = self.background();
        if background.task == Task::Wait {
            background.task = Task::Collect;
            if let Some(thread) = &background.thread {
                thread.unpark();
            }
        }
        true
    }

    pub(crate) fn background(&self) -> types::MutexGuard<'_, Background> {
        types::lock(&self.background)
    }
}
