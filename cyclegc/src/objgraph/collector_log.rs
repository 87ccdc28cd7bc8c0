//! `CollectorLog`: what the collector did, collection by collection.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::generation::Generation;
use crate::module::{CallbackId, CollectInfo, CollectStats, Phase, add_callback, remove_callback};

/// The `CollectorLog` of one flavour: of the callbacks where it is used.
macro_rules! collector_log {
    (
        $flavour:literal, shared: $Shared:ident, cell: $Cell:ident, lock: $lock:path,
        $(#[$more:meta])*
    ) => {
        $(#[$more])*
        ///
        /// Keeps the last 100,000, 56 bytes each. An [`Explorer`] shows them.
        ///
        /// [`Explorer`]: crate::objgraph::Explorer
        ///
        /// ```
        /// use cyclegc::Generation;
        #[doc = concat!("use ", $flavour, "::objgraph::CollectorLog;")]
        ///
        /// let log = CollectorLog::start();
        #[doc = concat!($flavour, "::collect();")]
        /// assert_eq!(log.pauses()[0].generation, Generation::Old);
        /// ```
        #[derive(Debug)]
        pub struct CollectorLog {
            pauses: $Shared<$Cell<VecDeque<Pause>>>,
            callback: CallbackId,
        }

        impl CollectorLog {
            /// Listens from now on.
            #[must_use]
            pub fn start() -> Self {
                let pauses = $Shared::new($Cell::new(VecDeque::new()));
                let log = pauses.clone();
                let started = Instant::now();
                let callback = add_callback(move |phase, info| {
                    if phase == Phase::Stop {
                        keep(&mut $lock(&log), started, info);
                    }
                });
                CollectorLog { pauses, callback }
            }

            /// The collections so far, oldest first.
            #[must_use]
            pub fn pauses(&self) -> Vec<Pause> {
                $lock(&self.pauses).iter().copied().collect()
            }
        }

        impl IntoIterator for &CollectorLog {
            type Item = Pause;
            type IntoIter = std::vec::IntoIter<Pause>;

            /// As [`CollectorLog::pauses`].
            fn into_iter(self) -> Self::IntoIter {
                self.pauses().into_iter()
            }
        }

        impl Drop for CollectorLog {
            fn drop(&mut self) {
                remove_callback(self.callback);
            }
        }
    };
}
pub(crate) use collector_log;

collector_log! {
    "cyclegc", shared: Rc, cell: RefCell, lock: RefCell::borrow_mut,
    /// Listens to the collections of this thread, until it is dropped.
}

/// One collection in a [`CollectorLog`].
#[derive(Clone, Copy, Debug)]
pub struct Pause {
    /// When it ended, since the log was started.
    pub at: Duration,
    /// The oldest generation that was collected.
    pub generation: Generation,
    /// How it went; [`CollectStats::duration`] is how long the thread that collected was busy
    /// with it.
    pub stats: CollectStats,
}

const KEPT: usize = 100_000;

/// Adds a collection that ends now.
pub(crate) fn keep(log: &mut VecDeque<Pause>, started: Instant, info: &CollectInfo) {
    if log.len() == KEPT {
        log.pop_front();
    }
    log.push_back(Pause {
        at: started.elapsed(),
        generation: info.generation,
        stats: info.stats,
    });
}
