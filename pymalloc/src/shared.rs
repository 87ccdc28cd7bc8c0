//! What all threads share: each part behind locks of its own.
//!
//! Lock order, each before the ones after it; no path takes two of a row:
//! registry, shelves of the commons (by class), arenas, large blocks.

use crate::arenas::Arenas;
use crate::commons::Commons;
#[cfg(not(loom))]
use crate::large::Large;
use crate::registry::Registry;

/// The allocator's state outside the threads.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) registry: Registry,
    pub(crate) commons: Commons,
    pub(crate) arenas: Arenas,
    #[cfg(not(loom))]
    pub(crate) large: Large,
}

impl Shared {
    crate::sync::const_fn! {
        /// Nothing mapped, nobody enlisted.
        pub(crate) fn new() -> Self {
            Self {
                registry: Registry::new(),
                commons: Commons::new(),
                arenas: Arenas::new(),
                #[cfg(not(loom))]
                large: Large::new(),
            }
        }
    }

    /// Gives so many bytes of cached large blocks back, where the arenas have grown by as
    /// many: what is new is paid for with what lies idle.
    #[cfg(not(loom))]
    pub(crate) fn make_way_for_arenas(&self, growth: usize) {
        if growth > 0 {
            self.large.make_way_for_arenas(growth);
        }
    }

    /// The models have no large blocks.
    #[cfg(loom)]
    pub(crate) fn make_way_for_arenas(&self, _growth: usize) {}
}
