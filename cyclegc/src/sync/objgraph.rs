//! Object graphs of [`sync::Gc`](crate::sync::Gc): what there is, and what keeps it alive.
//!
//! As [`cyclegc::objgraph`](crate::objgraph), name by name: [`count`], [`typestats`], [`growth`],
//! [`new_objects`], [`by_type`], [`at`], [`leaking_objects`], [`cycles`], [`SummaryTracker`],
//! [`ClassTracker`], [`CollectorLog`] and their like are here for shared objects. Its functions
//! that take a handle take one of these, too: [`why_alive`], [`find_ref_chain`],
//! [`find_backref_chain`], [`show_refs`], [`show_backrefs`] and [`asized`]. All else is asked of a
//! [`snapshot`]: an [`ObjectGraph`], of which retained sizes, drawings, DevTools' file and the
//! page come as of any.
//!
//! # Find a leak
//!
//! ```
//! use std::sync::Mutex;
//! use cyclegc::{Trace, objgraph, sync::{self, Gc}};
//!
//! #[derive(Trace)]
//! struct Session {
//!     user: String,
//! }
//!
//! #[derive(Trace, Default)]
//! struct Server {
//!     listeners: Mutex<Vec<Gc<Session>>>,
//! }
//!
//! let server = Gc::new(Server::default());
//! let seen = server.clone(); // two handles: it is counted, and what it reaches
//! sync::objgraph::growth(10); // from now on
//! let worker = {
//!     let server = server.clone();
//!     std::thread::spawn(move || {
//!         for user in ["ann", "bob"] {
//!             let session = Gc::new(Session { user: user.into() });
//!             server.listeners.lock().unwrap().push(session); // never taken out
//!         }
//!     })
//! };
//! worker.join().unwrap();
//!
//! // What grows?
//! assert_eq!(sync::objgraph::growth(10).to_string(), "Session        2        +2\n");
//! // What keeps one of them alive?
//! let session = sync::objgraph::by_type::<Session>().pop().unwrap();
//! let why = objgraph::why_alive(&session).to_string();
//! // Session #3 is alive because of this chain:
//! // Server #1, held from outside by 2 handles
//! //   .listeners[1]
//! //   Session #3
//! assert!(why.contains(".listeners["));
//! ```
//!
//! *Is it a cycle?* `cycles().garbage()` says so, before [`collect`] as well as
//! after one with [`DebugFlags::LEAK`](crate::DebugFlags::LEAK), which saves what it finds.
//!
//! # What a snapshot sees
//!
//! There is no list of all shared objects. A snapshot has what these reach:
//!
//! - the *suspects*, which a collection looks at, too: objects that had two handles at once.
//!   Two old collections in a row that see one with a single handle end that.
//! - what [`garbage`] saved;
//! - what it is given: [`SnapshotOptions::root`], or the handle of the function.
//!
//! An object with one handle ever, in a static for instance, is not found, nor is what only it
//! reaches; its links to others look like handles from outside. Give it as a root. Every
//! cycle that became garbage has a suspect, until it is collected.
//!
//! # What is counted
//!
//! Counts, growth and trackers know what a snapshot sees, and [`by_type`] and [`at`] find no
//! more:
//!
//! - An object comes into sight with its second handle, and with it all that it reaches. It goes
//!   out of sight when two old collections in a row have seen it with one. *Who keeps a second
//!   handle to an object keeps it in sight*: with one to what holds the rest of a program, as
//!   in the example, counts miss nothing that is held there.
//! - What is in a cell that a thread has locked just then is not counted, unless something
//!   else leads there.
//! - What a `&mut` from [`Gc::get_mut`] may still reach is counted, but no handle to it is made:
//!   [`by_type`], [`at`] and [`leaking_objects`] leave it out. Nobody knows when such a `&mut`
//!   has ended, until the object's handle is cloned or seen in another object.
//! - What is made, moved or let go meanwhile may be counted or not. Where threads rest, the
//!   count of what is in sight is exact.
//!
//! What was out of sight for a while is no growth when it is back: [`growth`] compares with the
//! most there ever were. What comes into sight for the first time is growth, however old. So a
//! type that grows once tells little; one that grows each time leaks.
//!
//! # What threads may do meanwhile
//!
//! Anything: none is stopped, and none is waited for but a collection. A cell that a thread
//! has locked is not looked into, nor an object that a `&mut` may reach;
//! [`Node::hides_links`] says so. Threads may find a cell locked, or wait in
//! [`Gc::get_mut`] and the like, while the snapshot looks at an object, as in a collection
//! ([`cyclegc::sync`](crate::sync)).
//!
//! Where nobody writes, counts and links are exact. A handle that moves meanwhile may be seen
//! twice or not at all, and an object that dies may be a node without handles. What an
//! `AtomicGc` displaced while a thread was reading it is a handle from outside until that
//! thread is done. So a count of handles from outside may be wrong; a link was there when it
//! was seen. Who makes objects faster than the snapshot looks is not chased: when it has twice
//! as many as there were, about, it takes in no more tracked ones.
//!
//! # Where objects were made
//!
//! [`SnapshotOptions::stacks`] asks somebody. In a program that `tracemalloc` traces,
//! `tracemalloc::object_stacks` (its feature `cyclegc`) answers, and DevTools shows the stack
//! of each object:
//!
//! ```ignore
//! let stacks = tracemalloc::object_stacks()?;
//! let graph = sync::objgraph::SnapshotOptions::new().root(&server).stacks(&stacks).snapshot();
//! graph.save_heap_snapshot("server.heapsnapshot")?;
//! ```
//!
//! # Numbers
//!
//! [`ObjectId`]s of shared objects are the process's, those of a thread's objects the thread's:
//! one of each may have the same number. [`at`] and [`at_ids`] look among the former, those of
//! [`cyclegc::objgraph`](crate::objgraph::at) among the latter.
//!
//! [`why_alive`]: crate::objgraph::why_alive
//! [`find_ref_chain`]: crate::objgraph::find_ref_chain
//! [`find_backref_chain`]: crate::objgraph::find_backref_chain
//! [`show_refs`]: crate::objgraph::show_refs
//! [`show_backrefs`]: crate::objgraph::show_backrefs
//! [`asized`]: crate::objgraph::asized
//! [`ObjectGraph`]: crate::objgraph::ObjectGraph
//! [`ObjectId`]: crate::objgraph::ObjectId
//! [`Node::hides_links`]: crate::objgraph::Node::hides_links
//! [`collect`]: crate::sync::collect
//! [`garbage`]: crate::sync::garbage
//! [`Gc::get_mut`]: crate::sync::Gc::get_mut

mod capture;
mod census;
mod growth;
mod ids;
mod snapshot;
mod trackers;
mod walk;

pub use census::{
    at, at_ids, by_type, by_type_name, count, cycles, leaking_objects, most_common_types,
    show_most_common_types, typestats,
};
pub use growth::{GrowthTracker, NewObjects, growth, new_objects, show_growth};
pub(crate) use ids::Numbers;
pub use ids::forget_ids;
pub use snapshot::{Handle, SnapshotOptions, snapshot};
pub(crate) use snapshot::{known_id, snapshot_for};
pub use trackers::{ClassTracker, CollectorLog, SummaryTracker};
