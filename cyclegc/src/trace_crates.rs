//! `Trace` for collections of other crates, each behind a feature.

use crate::edge::EdgeTracer;
use crate::trace::{Trace, Tracer};
#[cfg(any(feature = "indexmap", feature = "hashbrown"))]
use crate::trace_impls::{map, sequence};
use crate::type_depth::TypeDepth;

#[cfg(feature = "indexmap")]
map! { [S: 'static] indexmap::IndexMap<K, V, S>, capacity; }

#[cfg(feature = "indexmap")]
sequence! { [T: Trace, S: 'static] indexmap::IndexSet<T, S>, T, capacity; }

#[cfg(feature = "hashbrown")]
map! { [S: 'static] hashbrown::HashMap<K, V, S>, capacity; }

#[cfg(feature = "hashbrown")]
sequence! { [T: Trace, S: 'static] hashbrown::HashSet<T, S>, T, capacity; }

#[cfg(feature = "smallvec")]
// SAFETY: each element is owned and asked once.
unsafe impl<A: smallvec::Array<Item: Trace> + 'static> Trace for smallvec::SmallVec<A> {
    fn trace(&self, tracer: &mut Tracer<'_>) {
        tracer.inside(|tracer| tracer.value(self.as_slice()));
    }
    fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
        if self.spilled() {
            tracer.owned(self.capacity() * size_of::<A::Item>());
        }
        tracer.value(self.as_slice());
    }
    fn never_panics(&self) -> bool {
        true
    }
    fn may_hold_gc(depth: TypeDepth) -> bool {
        depth.inside(<A::Item>::may_hold_gc)
    }
}

#[cfg(feature = "parking_lot")]
macro_rules! parking_lot {
    ($($type:ident, $try_lock:ident);*) => {$(
        // SAFETY: the value is owned and asked once, unless it is locked; the lock is kept.
        unsafe impl<T: Trace> Trace for parking_lot::$type<T> {
            fn trace(&self, tracer: &mut Tracer<'_>) {
                if let Some(guard) = self.$try_lock() {
                    // SAFETY: the guard borrows from `self`, and so is what it protects.
                    unsafe { tracer.locked(guard) };
                }
            }
            fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
                match self.$try_lock() {
                    Some(value) => tracer.value(&*value),
                    None => tracer.hidden(),
                }
            }
            fn never_panics(&self) -> bool {
                true
            }
            fn may_hold_gc(depth: TypeDepth) -> bool {
                depth.inside(T::may_hold_gc)
            }
        }
    )*};
}

#[cfg(feature = "parking_lot")]
parking_lot! { Mutex, try_lock; RwLock, try_read }
