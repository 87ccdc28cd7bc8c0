//! Object graphs: what there is, what grows, and what keeps it alive.
//!
//! Python's [objgraph], [Pympler] and heapy for [`Gc`](crate::Gc), with what a counted
//! heap can say besides: which objects are held *from outside*, by a local variable, a
//! static or an `Rc`, and by how many handles; what an object alone retains; and in which
//! field each handle is. A program pays nothing for it before it asks.
//!
//! This is for the objects of one thread. For those that threads share,
//! [`sync::objgraph`](crate::sync::objgraph) has the same functions and trackers; the
//! functions here that take a handle take one of these, too.
//!
//! [objgraph]: https://pypi.org/project/objgraph/
//! [Pympler]: https://pypi.org/project/Pympler/
//!
//! # Find a leak
//!
//! *What grows?* Call [`show_growth`] now and then; it prints the types that have more
//! objects than ever before. *What keeps one of them alive?* Ask [`why_alive`], with a
//! handle from [`by_type`] if there is none at hand:
//!
//! ```
//! use std::cell::RefCell;
//! use cyclegc::{Gc, Trace, objgraph};
//!
//! #[derive(Trace)]
//! struct Session {
//!     user: String,
//! }
//!
//! #[derive(Trace, Default)]
//! struct Server {
//!     listeners: RefCell<Vec<Gc<Session>>>,
//! }
//!
//! let server = Gc::new(Server::default());
//! objgraph::growth(10); // from now on
//! for user in ["ann", "bob"] {
//!     let session = Gc::new(Session { user: user.into() });
//!     server.listeners.borrow_mut().push(session); // never taken out
//! }
//! assert_eq!(objgraph::growth(10).to_string(), "Session        2        +2\n");
//! let session = objgraph::by_type::<Session>().pop().unwrap();
//! let why = objgraph::why_alive(&session).to_string();
//! // Session #3 is alive because of this chain:
//! // Server #1, held from outside by 1 handle
//! //   .listeners[1]
//! //   Session #3
//! assert!(why.contains(".listeners["));
//! ```
//!
//! *Show me:* [`show_backrefs`] draws who refers to it, [`Explorer`] writes a page to look
//! around in, [`ObjectGraph::save_heap_snapshot`] a file for Chrome's DevTools.
//!
//! *Is it a cycle?* Python's documented hunt, line for line:
//!
//! ```
//! use std::cell::RefCell;
//! use cyclegc::{AnyGc, DebugFlags, Gc, objgraph};
//!
//! # let make_a_leak = || {
//! #     let list = Gc::new(RefCell::new(Vec::<AnyGc>::new()));
//! #     list.borrow_mut().push((&list).into());
//! # };
//! cyclegc::set_debug(DebugFlags::LEAK); // gc.set_debug(gc.DEBUG_LEAK)
//! make_a_leak();
//! cyclegc::collect(); //                   gc.collect(), prints what it finds
//! for object in cyclegc::garbage() { //    for object in gc.garbage:
//!     println!("{object:?}"); //               print(object)
//! }
//! println!("{}", objgraph::cycles().garbage()); // the circles, by shape
//! # assert_eq!(objgraph::cycles().garbage_count(), 1);
//! cyclegc::set_debug(DebugFlags::empty());
//! drop(cyclegc::take_garbage()); //        gc.garbage.clear()
//! cyclegc::collect();
//! ```
//!
//! # Snapshots
//!
//! Most functions take a [`snapshot`] and forget it. To ask several things, keep one: an
//! [`ObjectGraph`] is plain data that holds no handle, can be sent to another thread, and
//! has a method for each of these functions. [`SnapshotOptions`] adds where objects were
//! made, if something such as a tracing allocator knows: `tracemalloc::object_stacks` does.
//!
//! A handle is *outside* if no object of the graph reports it. That includes handles
//! behind an `Rc`, in a `#[trace(skip)]` field, and in a cell that is borrowed at the time;
//! of the latter the node says so ([`Node::hides_links`]).
//!
//! Built with `RUSTFLAGS="--cfg cyclegc_provenance"`, every handle remembers where it was
//! made or cloned, and `why_alive` names these places; handles are two words then, and each
//! clone costs two accesses of a table.
//!
//! # What Python calls it
//!
//! | objgraph | here |
//! |---|---|
//! | `count`, `typestats` | [`count`], [`typestats`] |
//! | `most_common_types`, `show_most_common_types` | [`most_common_types`], [`show_most_common_types`] |
//! | `growth`, `show_growth` | [`growth`], [`show_growth`], [`GrowthTracker`] |
//! | `get_new_ids` | [`new_objects`] |
//! | `get_leaking_objects` | [`leaking_objects`] |
//! | `by_type`, `at`, `at_addrs` | [`by_type`], [`by_type_name`], [`at`], [`at_ids`] |
//! | `find_ref_chain`, `find_backref_chain` | [`find_ref_chain`], [`find_backref_chain`], [`why_alive`] |
//! | `show_refs`, `show_backrefs`, `show_chain` | [`show_refs`], [`show_backrefs`], [`show_chain`] |
//! | `is_proper_module` | [`Node::is_root`] |
//!
//! | Pympler, heapy | here |
//! |---|---|
//! | `asizeof`, `asized` | [`deep_size_of`](crate::deep_size_of), [`asized`] |
//! | `summary`, `SummaryTracker` | [`TypeStats`], [`SummaryTracker`] |
//! | `ClassTracker`, `stats.print_summary` | [`ClassTracker`] |
//! | `refgraph`, `garbage` | [`cycles`] |
//! | `hp.heap().sp`, `.domisize`, `.imdom` | [`why_alive`], [`Dominators`] |
//!
//! # What it costs
//!
//! A million objects with 2.75 million links, `cargo run --release -p examples --bin
//! million_objects`, on one core of an x86-64 virtual machine:
//!
//! | | CPU time | memory added at most |
//! |---|---|---|
//! | [`snapshot`] | 0.7 s | 145 MB, of which the graph keeps 79 |
//! | [`growth`], without a graph | 0.12 s | 7 MB |
//! | [`ObjectGraph::why_alive`] | 0.1 s | 37 MB |
//! | [`ObjectGraph::cycles`] | 0.2 s | 20 MB |
//! | [`ObjectGraph::dominators`] | 0.2 s | 47 MB |
//! | [`ObjectGraph::write_heap_snapshot`] | 0.2 s | none; 58 MB are written |
//! | [`Explorer::write`], 10,000 objects on the page | 0.5 s | 66 MB; 0.8 MB are written |
//!
//! DevTools of Chromium opened that file of a million objects within 32 s, while the two
//! cores had ten other programs to run. Nothing recurses: a chain of a million objects
//! needs no more stack than one of ten.

mod builder;
mod bytes;
mod capture;
pub(crate) mod census;
mod chain;
pub(crate) mod class_tracker;
pub(crate) mod collector_log;
mod components;
mod cycles;
mod dominators;
mod dot;
mod drawing;
mod explorer;
mod explorer_data;
mod graph;
pub(crate) mod growth;
mod handle;
mod hash;
mod heapsnapshot;
mod ids;
mod json;
mod layout;
mod names;
mod node;
mod node_info;
pub(crate) mod output;
mod reach;
mod referrers;
mod sizes;
mod snapshot;
mod stacks;
pub(crate) mod summary;
mod svg;
pub(crate) mod type_stats;
mod walk;
mod why_alive;

pub use builder::GraphBuilder;
pub use census::{
    at, at_ids, by_type, by_type_name, count, cycles, leaking_objects, most_common_types,
    show_most_common_types, typestats,
};
pub use chain::{Chain, MAX_CHAIN_DEPTH, Step, find_backref_chain, find_ref_chain};
pub use class_tracker::{ClassSnapshot, ClassTracker};
pub use collector_log::{CollectorLog, Pause};
pub use cycles::{CycleGroup, CycleReport, CycleStep};
pub use dominators::Dominators;
pub use drawing::{DrawOptions, Drawing, show_backrefs, show_chain, show_refs};
pub use explorer::Explorer;
pub(crate) use graph::NodeFlags;
pub use graph::{ObjectGraph, ObjectId};
pub use growth::{
    Growth, GrowthRow, GrowthTracker, NewObjects, NewRow, growth, new_objects, show_growth,
};
pub use handle::Handle;
pub(crate) use hash::FastHash;
pub(crate) use ids::AddressMap;
pub use ids::forget_ids;
pub use names::short_type_name;
pub use node::{Link, Node};
pub use node_info::NodeInfo;
pub use sizes::{Asized, asized};
pub use snapshot::{SnapshotOptions, snapshot};
pub use stacks::Frame;
pub use summary::{SummaryDiff, SummaryRow, SummaryTracker};
pub use type_stats::{TypeCount, TypeStats};
pub use why_alive::{WhyAlive, why_alive};
