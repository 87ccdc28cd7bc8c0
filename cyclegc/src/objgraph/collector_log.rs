//! `CollectorLog`: what the collector did, collection by collection.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::generation::Generation;
use crate::module::{CallbackId, CollectStats, Phase, add_callback, remove_callback};

/// Listens to the collections of this thread, until it is dropped.
///
/// Keeps the last 100,000, 56 bytes each. An [`Explorer`](super::Explorer) shows them.
///
/// ```
/// use cyclegc::{Generation, objgraph::CollectorLog};
///
/// let log = CollectorLog::start();
/// cyclegc::collect();
/// assert_eq!(log.pauses()[0].generation, Generation::Old);
/// ```
#[derive(Debug)]
pub struct CollectorLog {
    pauses: Rc<RefCell<VecDeque<Pause>>>,
    callback: CallbackId,
}

/// One collection in a [`CollectorLog`].
#[derive(Clone, Copy, Debug)]
pub struct Pause {
    /// When it ended, since the log was started.
    pub at: Duration,
    /// The oldest generation that was collected.
    pub generation: Generation,
    /// How it went; [`CollectStats::duration`] is how long the program waited.
    pub stats: CollectStats,
}

const KEPT: usize = 100_000;

impl CollectorLog {
    /// Listens from now on.
    #[must_use]
    pub fn start() -> Self {
        let pauses = Rc::new(RefCell::new(VecDeque::new()));
        let log = pauses.clone();
        let started = Instant::now();
        let callback = add_callback(move |phase, info| {
            if phase == Phase::Stop {
                let mut log = log.borrow_mut();
                if log.len() == KEPT {
                    log.pop_front();
                }
                log.push_back(Pause {
                    at: started.elapsed(),
                    generation: info.generation,
                    stats: info.stats,
                });
            }
        });
        CollectorLog { pauses, callback }
    }

    /// The collections so far, oldest first.
    #[must_use]
    pub fn pauses(&self) -> Vec<Pause> {
        self.pauses.borrow().iter().copied().collect()
    }
}

impl Drop for CollectorLog {
    fn drop(&mut self) {
        remove_callback(self.callback);
    }
}
