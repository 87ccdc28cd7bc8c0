//! Object graphs: what there is, and what keeps it alive.

mod builder;
mod bytes;
mod capture;
mod census;
mod chain;
mod components;
mod cycles;
mod dominators;
mod graph;
mod growth;
mod handle;
mod hash;
mod ids;
mod names;
mod origin;
mod reach;
mod referrers;
mod sizes;
mod stacks;
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
pub use cycles::{CycleGroup, CycleReport, CycleStep, cycles};
pub use dominators::Dominators;
pub use graph::{Link, Node, ObjectGraph, ObjectId};
pub use growth::{
    Growth, GrowthRow, GrowthTracker, NewObjects, NewRow, growth, new_objects, show_growth,
};
pub use handle::Handle;
pub use ids::forget_ids;
pub use names::short_type_name;
pub use sizes::{Asized, asized};
pub use stacks::Frame;
pub use type_stats::{TypeCount, TypeStats};
pub use why_alive::{WhyAlive, why_alive};
