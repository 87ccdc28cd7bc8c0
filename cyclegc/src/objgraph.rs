//! Object graphs: what there is, and what keeps it alive.

mod builder;
mod bytes;
mod capture;
mod census;
mod chain;
mod class_tracker;
mod collector_log;
mod components;
mod cycles;
mod dominators;
mod dot;
mod drawing;
mod explorer;
mod explorer_data;
mod graph;
mod growth;
mod handle;
mod hash;
mod heapsnapshot;
mod ids;
mod json;
mod layout;
mod names;
mod output;
mod reach;
mod referrers;
mod sizes;
mod stacks;
mod summary;
mod svg;
mod type_stats;
mod walk;
mod why_alive;

pub use builder::{GraphBuilder, NodeInfo};
pub use capture::{SnapshotOptions, snapshot};
pub use census::{
    at, at_ids, by_type, by_type_name, count, leaking_objects, most_common_types,
    show_most_common_types, typestats,
};
pub use chain::{Chain, MAX_CHAIN_DEPTH, Step, find_backref_chain, find_ref_chain};
pub use class_tracker::{ClassSnapshot, ClassTracker};
pub use collector_log::{CollectorLog, Pause};
pub use cycles::{CycleGroup, CycleReport, CycleStep, cycles};
pub use dominators::Dominators;
pub use drawing::{DrawOptions, Drawing, show_backrefs, show_chain, show_refs};
pub use explorer::Explorer;
pub use graph::{Link, Node, ObjectGraph, ObjectId};
pub use growth::{
    Growth, GrowthRow, GrowthTracker, NewObjects, NewRow, growth, new_objects, show_growth,
};
pub use handle::Handle;
pub use ids::forget_ids;
pub use names::short_type_name;
pub use sizes::{Asized, asized};
pub use stacks::Frame;
pub use summary::{SummaryDiff, SummaryRow, SummaryTracker};
pub use type_stats::{TypeCount, TypeStats};
pub use why_alive::{WhyAlive, why_alive};
