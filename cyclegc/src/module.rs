//! What Python's `gc` module offers.

mod callbacks;
mod control;
mod freeze;
mod garbage;
mod inspect;

pub(crate) use callbacks::{CallbackEntry, notify};
pub use callbacks::{CallbackId, CollectInfo, Phase, add_callback, remove_callback};
pub(crate) use control::record;
pub use control::{
    CollectStats, GenerationStats, collect, collect_generation, count, disable, enable, is_enabled,
    set_threshold, stats, threshold,
};
pub use freeze::{freeze, frozen_count, unfreeze};
pub use garbage::{debug, garbage, set_debug, take_garbage};
pub use inspect::{
    deep_size_of, edges, objects, referents, referrers, suspect_count, tracked_count,
};
pub(crate) use inspect::{generation_sizes, is_visible, live_count, reach};
