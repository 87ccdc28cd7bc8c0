//! What grew since somebody last asked.

use std::fmt;

use super::census::{at_ids, typestats};
use super::snapshot::snapshot;
use crate::objgraph::growth::{Marks, Peaks, growth_functions, write_new};
use crate::objgraph::output::print_out;
use crate::objgraph::{Growth, NewRow, ObjectId};
use crate::sync::domain::domain;
use crate::sync::types::lock;
use crate::sync::{AnyGc, collect};

growth_functions! {
    "cyclegc::sync",
    again: "let again = list.clone(); // two handles: a snapshot sees it",
    gone: "drop((list, again));",
    /// The marks are the process's: what one thread was told is old to all. Objects that come
    /// [into sight](crate::sync::objgraph#what-is-counted) are told as if they were made then;
    /// but what any other snapshot of the process gave a number before, [`why_alive`](crate::objgraph::why_alive)
    /// and the like included, is not new. Of two threads that ask at once, each is told a part.
}

/// Asks the process's marks.
fn with_marks<R>(ask: impl FnOnce(&mut Marks) -> R) -> R {
    ask(&mut lock(&domain().marks))
}
