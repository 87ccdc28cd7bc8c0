//! Equal values share one object, for all threads: interned values and small integers.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
#[cfg(not(loom))]
use std::sync::OnceLock;

use crate::intern::{Table, interner};
#[cfg(not(loom))]
use crate::intern::{small_index, small_ints};
use crate::sync::gc::Gc;
use crate::sync::local::{self, Local};
use crate::sync::types::{Mutex, lock};
use crate::sync::weak::Weak;
use crate::trace::{Trace, Tracer};
use crate::type_depth::TypeDepth;

interner! {
    "cyclegc::sync", [+ Send + Sync],
    /// Threads that intern equal values at once get one object. The table has one lock, under
    /// which no code of a user runs; a look-up that finds an object under verdict waits for
    /// that, as [`Weak::upgrade`] does.
    ///
    shared: Arc, cell: Mutex, lock: lock,
    upgrade: Weak::try_upgrade, this_thread: local::with(Local::number)
}

static_assertions::assert_impl_all!(Interner<str>: Send, Sync);

// Under loom no object can outlive a model.
#[cfg(not(loom))]
impl Gc<i64> {
    /// An integer; those from -5 to 256 share one object each.
    ///
    /// CPython does the same with all its integers. Threads that clone and drop one integer
    /// at once wait for each other's writes to its count, as those of any shared object.
    ///
    /// ```
    /// use cyclegc::sync::Gc;
    ///
    /// let other = std::thread::spawn(|| Gc::small_int(256)).join().unwrap();
    /// assert!(Gc::ptr_eq(&Gc::small_int(256), &other));
    /// assert!(!Gc::ptr_eq(&Gc::small_int(257), &Gc::small_int(257)));
    /// ```
    #[must_use]
    pub fn small_int(value: i64) -> Gc<i64> {
        static SMALL_INTS: OnceLock<Vec<Gc<i64>>> = OnceLock::new();

        match small_index(value) {
            Some(index) => SMALL_INTS.get_or_init(|| small_ints(Gc::new))[index].clone(),
            None => Gc::new(value),
        }
    }
}
