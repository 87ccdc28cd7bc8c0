//! What there is: how many objects of which type, handles to them, cycles.

use std::any::TypeId;
use std::collections::{HashMap, HashSet};

use super::snapshot::snapshot;
use super::walk::{each_object, select};
use crate::objgraph::census::census_functions;
use crate::objgraph::output::print_out;
use crate::objgraph::{CycleReport, ObjectId, TypeStats, short_type_name};
use crate::sync::{AnyGc, Gc};
use crate::trace::Trace;

census_functions! {
    "cyclegc::sync", [+ Send + Sync],
    again: "let again = list.clone(); // two handles: a snapshot sees it",
    gone: "drop((list, again));",
    cost: "Knows [what a snapshot sees](crate::sync::objgraph#what-is-counted), and costs one."
}
