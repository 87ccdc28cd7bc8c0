//! Types over time, and collections.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::snapshot::snapshot;
use crate::module::{CallbackId, Phase};
use crate::objgraph::class_tracker::{Plot, Summary, class_tracker};
use crate::objgraph::collector_log::{collector_log, keep};
use crate::objgraph::output::print_out;
use crate::objgraph::summary::summary_tracker;
use crate::objgraph::{ClassSnapshot, Pause, SummaryDiff, TypeStats};
use crate::sync::types::{Mutex, lock};
use crate::sync::{add_callback, remove_callback};

summary_tracker! {
    "cyclegc::sync",
    again: "let again = list.clone(); // two handles: a snapshot sees it",
    gone: "drop((list, again));"
}

class_tracker! {
    "cyclegc::sync",
    again: "let again = list.clone(); // two handles: a snapshot sees it"
}

collector_log! {
    "cyclegc::sync", shared: Arc, cell: Mutex, lock: lock,
    /// Listens to all collections, whichever thread runs them, until it is dropped.
    ///
    /// Other threads go on during one: a [`Pause`] is how long a collection took.
}

static_assertions::assert_impl_all!(CollectorLog: Send, Sync);
