//! Object graphs of [`sync::Gc`](crate::sync::Gc): what there is, and what keeps it alive.
//!
//! As [`cyclegc::objgraph`](crate::objgraph), whose functions that take a handle take one of
//! these, too: [`why_alive`], [`find_ref_chain`], [`find_backref_chain`], [`show_refs`],
//! [`show_backrefs`] and [`asized`]. All else is asked of a [`snapshot`]: an [`ObjectGraph`],
//! of which types, cycles, retained sizes, drawings, DevTools' file and the page come as of any.
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
//! let before = sync::objgraph::snapshot().typestats();
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
//! let graph = sync::objgraph::snapshot();
//! println!("{}", graph.typestats().since(&before));
//! // What keeps one of them alive?
//! let session = graph.nodes().find(|node| node.short_type_name() == "Session").unwrap();
//! let why = graph.why_alive(session).to_string();
//! // Session #2 is alive because of this chain:
//! // Server #1, held from outside by 1 handle
//! //   .listeners[0]
//! //   Session #2
//! assert!(why.contains(".listeners[0]"));
//!
//! // With a handle to it, one call.
//! let session = server.listeners.lock().unwrap()[0].clone();
//! assert_eq!(objgraph::why_alive(&session).to_string(), why);
//! ```
//!
//! *Is it a cycle?* `snapshot().cycles().garbage()` says so, before [`collect`] as well as
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
//! one of each may have the same number. [`objgraph::at`](crate::objgraph::at) looks among the
//! thread's, and [`Chain::objects`] gives none of shared ones.
//!
//! [`why_alive`]: crate::objgraph::why_alive
//! [`find_ref_chain`]: crate::objgraph::find_ref_chain
//! [`find_backref_chain`]: crate::objgraph::find_backref_chain
//! [`show_refs`]: crate::objgraph::show_refs
//! [`show_backrefs`]: crate::objgraph::show_backrefs
//! [`asized`]: crate::objgraph::asized
//! [`ObjectGraph`]: crate::objgraph::ObjectGraph
//! [`ObjectId`]: crate::objgraph::ObjectId
//! [`Chain::objects`]: crate::objgraph::Chain::objects
//! [`Node::hides_links`]: crate::objgraph::Node::hides_links
//! [`collect`]: crate::sync::collect
//! [`garbage`]: crate::sync::garbage
//! [`Gc::get_mut`]: crate::sync::Gc::get_mut

mod capture;
mod ids;
mod snapshot;

pub(crate) use ids::Numbers;
pub use ids::forget_ids;
pub use snapshot::{Handle, SnapshotOptions, snapshot};
pub(crate) use snapshot::{known_id, snapshot_for};
