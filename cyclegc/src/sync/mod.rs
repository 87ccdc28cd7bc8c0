//! Handles that threads share, whose cycles are collected while the threads go on.

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
mod local;
mod module;
mod proof;
mod second_word;
mod settings;
mod suspects;
mod types;
mod unraisable;
pub(crate) mod visit;
mod weak;
mod weak_cell;
mod word;

pub use any::AnyGc;
pub use atomic::{AtomicGc, CompareExchangeError};
pub use background::Collector;
pub use gc::Gc;
pub use module::{
    add_callback, collect, collect_generation, count, debug, disable, enable, freeze, frozen_count,
    garbage, is_enabled, referents, remove_callback, set_debug, set_threshold, stats,
    suspect_count, take_garbage, threshold, tracked_count, unfreeze,
};
pub use unraisable::set_unraisable_hook;
pub use weak::Weak;
