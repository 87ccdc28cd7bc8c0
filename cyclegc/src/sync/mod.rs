//! Handles that threads share, whose cycles are collected while the threads go on.
//!
//! What `Arc` is to `Rc`, [`sync::Gc`](Gc) is to [`cyclegc::Gc`](crate::Gc). The same types
//! are traced by the same `#[derive(Trace)]`; what changes is the handle, and the cells:
//!
//! ```
//! use std::sync::Mutex;
//! use cyclegc::{Trace, sync::{self, Gc}};
//!
//! #[derive(Trace, Default)]
//! struct Node {
//!     links: Mutex<Vec<Gc<Node>>>,
//! }
//!
//! let (parent, child) = (Gc::new(Node::default()), Gc::new(Node::default()));
//! parent.links.lock().unwrap().push(child.clone());
//! std::thread::spawn(move || {
//!     child.links.lock().unwrap().push(parent.clone());
//! }).join().unwrap(); // a cycle, and no handle is left
//! assert_eq!(sync::collect().collected, 2); // `Gc::new` collects by itself, too
//! ```
//!
//! | | one thread | threads |
//! |---|---|---|
//! | handle | [`Gc`](crate::Gc), as `Rc` | [`sync::Gc`](Gc), as `Arc`: `Send` and `Sync` if the value is both |
//! | made of | any [`Trace`](crate::Trace) | [`Trace`](crate::Trace)` + Send + Sync` |
//! | cells | `Cell`, `RefCell`, `OnceCell` | `Mutex`, `RwLock`, `OnceLock`, [`AtomicGc`], parking_lot's (feature `parking_lot`) |
//! | weak handle | [`Weak`](crate::Weak) | [`sync::Weak`](Weak) |
//! | any type | [`AnyGc`](crate::AnyGc) | [`sync::AnyGc`](AnyGc) |
//! | a collection looks at | objects of its thread | objects of all threads, in the thread whose `Gc::new` exceeds the threshold, or in a [`Collector`]'s |
//! | thresholds, counts, hooks, callbacks, debug flags | the thread's | the process's |
//! | what makes a suspect | a drop that is not the last | the first clone |
//! | header bytes, tracked and not | 24, 16 | 32, 24 |
//! | memory | pools of the thread | the global allocator's |
//! | `objects`, `referrers` | know all tracked objects | know what is or was shared, and what that reaches: all that is part of a cycle, not all |
//! | object graphs, counts, growth | of all objects: [`objgraph`](crate::objgraph) | of the same, and of what it is given: [`objgraph`] |
//!
//! The two do not see each other: a handle of the one kind in an object of the other is a
//! reference from outside, and a cycle through both kinds leaks.
//!
//! # What waits for what
//!
//! No thread is stopped, and reading through a handle asks nobody. The collector guesses what is
//! garbage, then proves it for that alone, and then destroys it; for the proof it keeps the cells
//! of what it takes for garbage locked.
//!
//! - The collector never waits for a thread: a lock that is taken is not looked into, and
//!   what it protects stays alive. A poisoned one is looked into.
//! - A thread may find a cell locked by the collector, for as long as the collector looks at
//!   it: `try_lock` may fail where no other thread of yours is. If the object is taken for
//!   garbage, wrongly, until the verdict.
//! - [`Weak::upgrade`], [`Gc::get_mut`], [`Gc::make_mut`] and [`Gc::try_unwrap`] wait while
//!   the object is under verdict, the last three also while it is being looked at.
//! - Finalizers, callbacks and destructors run with no lock held. They may wait for other
//!   threads, which may collect.
//!
//! A panic in one of them goes to [`set_unraisable_hook`]. Only a `Trace` by hand can panic
//! while locks are held. A collection then poisons none; what looks at objects for you, as
//! [`objects`], [`edges`] and a snapshot of [`objgraph`], poisons a `Mutex` that it was looking into,
//! as any panic does. A panic hook then runs under the locks of the value that was being traced and
//! the collector's: it must not wait for a cell, nor call this module's functions.
//!
//! A process that forks while it has other threads may use shared objects in the child until
//! `exec` only if no other thread was using any: what they had locked stays locked, and a
//! background [`Collector`] is not there.
//!
//! # Inside
//!
//! ARCHITECTURE.md, "cyclegc::sync", has the protocol and its proof. `word.rs` has the count
//! and its flags, `guess.rs` and `proof.rs` the two halves of a collection, `suspects.rs`
//! where they begin, `collector.rs` and `collect.rs` what joins them. Models of all that,
//! with loom, are in the repository's `loom-tests/cyclegc`.

pub(crate) mod any;
mod atomic;
mod background;
mod census;
mod collect;
mod collector;
mod dealloc;
mod debug;
mod delete;
mod domain;
mod epoch;
mod gc;
mod gc_box;
mod gc_from;
mod gc_traits;
mod guess;
pub(crate) mod header;
mod inspect;
pub mod intern;
mod local;
mod module;
pub mod objgraph;
mod proof;
mod second_word;
mod settings;
mod suspects;
mod types;
mod unraisable;
pub(crate) mod visit;
mod weak;
mod weak_cell;
mod weak_map;
mod word;

pub use any::AnyGc;
pub use atomic::{AtomicGc, CompareExchangeError};
pub use background::Collector;
pub use gc::Gc;
pub use inspect::{Edge, deep_size_of, edges, objects, referents, referrers};
pub use module::{
    add_callback, collect, collect_generation, count, debug, disable, enable, freeze, frozen_count,
    garbage, is_enabled, remove_callback, set_debug, set_threshold, stats, suspect_count,
    take_garbage, threshold, tracked_count, unfreeze,
};
pub use unraisable::set_unraisable_hook;
pub use weak::Weak;
pub use weak_map::WeakValueMap;
