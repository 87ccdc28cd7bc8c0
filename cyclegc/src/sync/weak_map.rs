//! `WeakValueMap`: a map that does not keep its values alive.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;

use crate::edge::EdgeTracer;
use crate::sync::gc::Gc;
use crate::sync::weak::Weak;
use crate::trace::{Trace, Tracer};
use crate::weak_map::{SWEEP_COUNT, weak_value_map};

weak_value_map! {
    "cyclegc::sync",
    /// Threads share one in a `Mutex` or an `RwLock`, as a `HashMap`. What finds a value waits
    /// while the value is under verdict, as [`Weak::upgrade`] does; no collection waits for
    /// the lock.
    ///
}

static_assertions::assert_impl_all!(WeakValueMap<u8, u8>: Send, Sync);
