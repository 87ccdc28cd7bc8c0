//! What all threads share: the one static.
//!
//! # Locks
//!
//! In the order in which they are taken:
//!
//! | lock | held for | taken by |
//! |---|---|---|
//! | `collector` | a guess and its proof; a snapshot of the object graph | one collector; a collection asked for waits, one that a threshold wants does not |
//! | `looking` | some objects of a guess or a snapshot, or a proof | the collector; `Weak::upgrade` and `get_mut`, which wait for it to be let go |
//! | shards, `cells`, `callbacks`, `garbage` | a push or a look | any thread |
//! | `numbers` | a look, or an entry | any thread; a snapshot |
//! | `marks` | a comparison with a snapshot | who asks what grew |
//!
//! Who has one may take one of a lower row. Of a row, `garbage` is held while a handle is
//! cloned, which may list it in a shard, and a cell's `callback` is taken under `cells`; nothing
//! else holds two. `epoch::READY`, the unraisable hook's and a background thread's own locks
//! are held for a push or a look, and nothing is taken under them.
//!
//! No code of a user runs while one is held, but the functions of `Trace`.

use crate::objgraph::growth::Marks;
use crate::sync::any::AnyGc;
use crate::sync::census::Census;
use crate::sync::collector::Collector;
use crate::sync::objgraph::Numbers;
use crate::sync::settings::Settings;
use crate::sync::suspects::Shards;
use crate::sync::types::{Mutex, maybe_const};
use crate::sync::weak_cell::Cells;

pub(crate) struct Domain {
    pub(crate) census: Census,
    pub(crate) shards: Shards,
    pub(crate) collector: Mutex<Collector>,
    pub(crate) looking: Mutex<()>,
    pub(crate) cells: Cells,
    pub(crate) settings: Settings,
    pub(crate) garbage: Mutex<Vec<AnyGc>>,
    pub(crate) numbers: Numbers,
    pub(crate) marks: Mutex<Marks>,
}

impl Domain {
    maybe_const! {
        fn new() -> Self {
            Domain {
                census: Census::new(),
                shards: Shards::new(),
                collector: Mutex::new(Collector::new()),
                looking: Mutex::new(()),
                cells: Cells::new(),
                settings: Settings::new(),
                garbage: Mutex::new(Vec::new()),
                numbers: Numbers::new(),
                marks: Mutex::new(Marks::new()),
            }
        }
    }
}

#[cfg(not(loom))]
static DOMAIN: Domain = Domain::new();

#[cfg(loom)]
loom::lazy_static! {
    static ref DOMAIN: Domain = Domain::new();
}

/// The domain of this process.
#[inline(always)]
pub(crate) fn domain() -> &'static Domain {
    #[cfg(not(loom))]
    return &DOMAIN;
    #[cfg(loom)]
    &DOMAIN
}
