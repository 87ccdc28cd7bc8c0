//! `Trace` for std's types; those of cells are in `trace_cells.rs`.
//!
//! `Rc`, `Arc` and references are not looked into: others may reach the same
//! handles through them, and they would be counted twice.

use std::any::Any;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use crate::edge::EdgeTracer;
use crate::trace::{Trace, Tracer};
use crate::type_depth::TypeDepth;

/// Types without handles.
macro_rules! leaf {
    ($([$($generics:tt)*] $type:ty),* $(,)?) => {$(
        // SAFETY: no edge is reported.
        unsafe impl<$($generics)*> Trace for $type {
            #[inline]
            fn trace(&self, _: &mut Tracer<'_>) {}
            fn trace_edges(&self, _: &mut EdgeTracer<'_>) {}
            fn never_panics(&self) -> bool {
                true
            }
            #[inline]
            fn may_hold_gc(_: TypeDepth) -> bool {
                false
            }
        }
    )*};
}

/// Types without handles that can name an edge.
macro_rules! key {
    ($($type:ty),* $(,)?) => {$(
        // SAFETY: no edge is reported.
        unsafe impl Trace for $type {
            #[inline]
            fn trace(&self, _: &mut Tracer<'_>) {}
            fn trace_edges(&self, _: &mut EdgeTracer<'_>) {}
            fn never_panics(&self) -> bool {
                true
            }
            #[inline]
            fn may_hold_gc(_: TypeDepth) -> bool {
                false
            }
            fn edge_key(&self) -> Option<String> {
                Some(format!("{self:?}"))
            }
        }
    )*};
}

key! {
    u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, bool, char,
}

leaf! {
    [] f32, [] f64, [] (),
    [T: 'static] std::num::Wrapping<T>,
    [] std::num::NonZeroU8, [] std::num::NonZeroU16, [] std::num::NonZeroU32,
    [] std::num::NonZeroU64, [] std::num::NonZeroU128, [] std::num::NonZeroUsize,
    [] std::num::NonZeroI8, [] std::num::NonZeroI16, [] std::num::NonZeroI32,
    [] std::num::NonZeroI64, [] std::num::NonZeroI128, [] std::num::NonZeroIsize,
    [] std::sync::atomic::AtomicBool,
    [] std::sync::atomic::AtomicU8, [] std::sync::atomic::AtomicU16,
    [] std::sync::atomic::AtomicU32, [] std::sync::atomic::AtomicU64,
    [] std::sync::atomic::AtomicUsize,
    [] std::sync::atomic::AtomicI8, [] std::sync::atomic::AtomicI16,
    [] std::sync::atomic::AtomicI32, [] std::sync::atomic::AtomicI64,
    [] std::sync::atomic::AtomicIsize,
    [T: 'static] std::sync::atomic::AtomicPtr<T>,
    [] std::time::Duration, [] std::time::Instant, [] std::time::SystemTime,
    [] std::path::PathBuf, [] std::ffi::OsString, [] std::ffi::CString,
    [] std::net::IpAddr, [] std::net::Ipv4Addr, [] std::net::Ipv6Addr, [] std::net::SocketAddr,
    [] std::cmp::Ordering, [] std::alloc::Layout, [] std::any::TypeId, [] std::thread::ThreadId,
    [] std::fs::File, [] std::process::Child, [] std::io::Error,
    [T: 'static] std::marker::PhantomData<T>,
    [T: ?Sized + 'static] std::rc::Weak<T>, [T: ?Sized + 'static] std::sync::Weak<T>,
    // A handle in it may have been taken out already.
    [T: 'static] std::mem::ManuallyDrop<T>, [T: 'static] std::mem::MaybeUninit<T>,
    [T: 'static] *const T, [T: 'static] *mut T, [T: 'static] std::ptr::NonNull<T>,
    [T: 'static, F: 'static] std::cell::LazyCell<T, F>,
    [T: 'static, F: 'static] std::sync::LazyLock<T, F>,
    [R: 'static] fn() -> R, [A: 'static, R: 'static] fn(A) -> R,
    [A: 'static, B: 'static, R: 'static] fn(A, B) -> R,
    [A: 'static, B: 'static, C: 'static, R: 'static] fn(A, B, C) -> R,
    [T: 'static] std::sync::mpsc::Sender<T>, [T: 'static] std::sync::mpsc::Receiver<T>,
    [T: 'static] std::thread::JoinHandle<T>,
    [] std::hash::RandomState,
}

/// Shared pointers: others may reach the same handles through them.
macro_rules! shared {
    ($($pointer:ident),*) => {$(
        // SAFETY: no edge is reported.
        unsafe impl<T: ?Sized + 'static> Trace for $pointer<T> {
            #[inline]
            fn trace(&self, _: &mut Tracer<'_>) {}
            fn trace_edges(&self, _: &mut EdgeTracer<'_>) {}
            fn never_panics(&self) -> bool {
                true
            }
            #[inline]
            fn may_hold_gc(_: TypeDepth) -> bool {
                false
            }
            fn edge_key(&self) -> Option<String> {
                // `T` need not be `Trace`; of those that name things, these are used.
                let this: &dyn Any = self;
                let str = this.downcast_ref::<$pointer<str>>().map(|text| &**text);
                let string = || this.downcast_ref::<$pointer<String>>().map(|text| &***text);
                str.or_else(string).and_then(str::edge_key)
            }
        }
    )*};
}

shared! { Rc, Arc }

/// Unsized types without handles.
macro_rules! unsized_leaf {
    ($($type:ty),*) => {$(
        // SAFETY: no edge is reported.
        unsafe impl Trace for $type {
            fn trace(&self, _: &mut Tracer<'_>) {}
            fn trace_edges(&self, _: &mut EdgeTracer<'_>) {}
            fn never_panics(&self) -> bool {
                true
            }
        }
    )*};
}

unsized_leaf! { std::path::Path, std::ffi::OsStr, std::ffi::CStr }

// SAFETY: no edge is reported: what is behind the reference is not owned.
unsafe impl<T: Trace + ?Sized> Trace for &'static T {
    fn trace(&self, _: &mut Tracer<'_>) {}
    fn trace_edges(&self, _: &mut EdgeTracer<'_>) {}
    fn never_panics(&self) -> bool {
        true
    }
    fn key_never_panics(&self) -> bool {
        (**self).key_never_panics()
    }
    fn may_hold_gc(_: TypeDepth) -> bool {
        false
    }
    fn edge_key(&self) -> Option<String> {
        (**self).edge_key()
    }
}

// SAFETY: no edge is reported.
unsafe impl Trace for str {
    fn trace(&self, _: &mut Tracer<'_>) {}
    fn trace_edges(&self, _: &mut EdgeTracer<'_>) {}
    fn never_panics(&self) -> bool {
        true
    }
    fn edge_key(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

// SAFETY: no edge is reported.
unsafe impl Trace for String {
    #[inline]
    fn trace(&self, _: &mut Tracer<'_>) {}
    fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
        tracer.owned(self.capacity());
    }
    fn never_panics(&self) -> bool {
        true
    }
    #[inline]
    fn may_hold_gc(_: TypeDepth) -> bool {
        false
    }
    fn edge_key(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

// SAFETY: each element is owned and asked once.
unsafe impl<T: Trace> Trace for [T] {
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        for element in self {
            tracer.value(element);
        }
    }
    fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
        for (index, element) in self.iter().enumerate() {
            tracer.index(index, element);
        }
    }
    fn never_panics(&self) -> bool {
        true
    }
}

// SAFETY: each element is owned and asked once.
unsafe impl<T: Trace, const N: usize> Trace for [T; N] {
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        tracer.value(self.as_slice());
    }
    fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
        tracer.value(self.as_slice());
    }
    fn never_panics(&self) -> bool {
        true
    }
    #[inline]
    fn may_hold_gc(depth: TypeDepth) -> bool {
        depth.inside(T::may_hold_gc)
    }
}

// SAFETY: what the box owns is asked once.
unsafe impl<T: Trace + ?Sized> Trace for Box<T> {
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        tracer.inside(|tracer| tracer.value(&**self));
    }
    fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
        tracer.owned(size_of_val(&**self));
        tracer.value(&**self);
    }
    fn never_panics(&self) -> bool {
        true
    }
    fn key_never_panics(&self) -> bool {
        (**self).key_never_panics()
    }
    fn edge_key(&self) -> Option<String> {
        (**self).edge_key()
    }
}

// SAFETY: what the pin owns is asked once.
unsafe impl<T: Trace + ?Sized> Trace for std::pin::Pin<Box<T>> {
    fn trace(&self, tracer: &mut Tracer<'_>) {
        tracer.inside(|tracer| tracer.value(&**self));
    }
    fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
        tracer.owned(size_of_val(&**self));
        tracer.value(&**self);
    }
    fn never_panics(&self) -> bool {
        true
    }
}

// SAFETY: an owned value is asked once; a borrowed one is not.
unsafe impl<B: ?Sized + ToOwned<Owned: Trace> + 'static> Trace for Cow<'static, B> {
    fn trace(&self, tracer: &mut Tracer<'_>) {
        if let Cow::Owned(value) = self {
            tracer.value(value);
        }
    }
    fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
        if let Cow::Owned(value) = self {
            tracer.value(value);
        }
    }
    fn never_panics(&self) -> bool {
        true
    }
    fn may_hold_gc(depth: TypeDepth) -> bool {
        depth.inside(<B::Owned>::may_hold_gc)
    }
}

// SAFETY: the value, if there is one, is asked once.
unsafe impl<T: Trace> Trace for Option<T> {
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        if let Some(value) = self {
            tracer.value(value);
        }
    }
    fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
        if let Some(value) = self {
            tracer.value(value);
        }
    }
    fn never_panics(&self) -> bool {
        true
    }
    #[inline]
    fn may_hold_gc(depth: TypeDepth) -> bool {
        depth.inside(T::may_hold_gc)
    }
}

// SAFETY: the value that is there is asked once.
unsafe impl<T: Trace, E: Trace> Trace for Result<T, E> {
    fn trace(&self, tracer: &mut Tracer<'_>) {
        match self {
            Ok(value) => tracer.value(value),
            Err(error) => tracer.value(error),
        }
    }
    fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
        match self {
            Ok(value) => tracer.value(value),
            Err(error) => tracer.value(error),
        }
    }
    fn never_panics(&self) -> bool {
        true
    }
    fn may_hold_gc(depth: TypeDepth) -> bool {
        depth.inside(T::may_hold_gc) || depth.inside(E::may_hold_gc)
    }
}

/// Wrappers of one public value.
macro_rules! wrapper {
    ($($type:ident :: $name:ident),* $(,)?) => {$(
        // SAFETY: the wrapped value is asked once.
        unsafe impl<T: Trace> Trace for std::$type::$name<T> {
            fn trace(&self, tracer: &mut Tracer<'_>) {
                tracer.value(&self.0);
            }
            fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
                tracer.value(&self.0);
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

wrapper! { cmp::Reverse, panic::AssertUnwindSafe }

/// Collections that are walked in order.
macro_rules! sequence {
    ($($(#[$doc:meta])* [$($generics:tt)*] $type:ty, $element:ty, $capacity:ident);* $(;)?) => {$(
        // SAFETY: each element is owned and asked once.
        unsafe impl<$($generics)*> Trace for $type {
            #[inline]
            fn trace(&self, tracer: &mut Tracer<'_>) {
                tracer.inside(|tracer| {
                    for element in self {
                        tracer.value(element);
                    }
                });
            }
            fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
                tracer.owned(self.$capacity() * size_of::<$element>());
                for (index, element) in self.iter().enumerate() {
                    tracer.index(index, element);
                }
            }
            fn never_panics(&self) -> bool {
                true
            }
            #[inline]
            fn may_hold_gc(depth: TypeDepth) -> bool {
                depth.inside(<$element>::may_hold_gc)
            }
        }
    )*};
}
#[cfg(any(feature = "indexmap", feature = "hashbrown"))]
pub(crate) use sequence;

sequence! {
    [T: Trace] Vec<T>, T, capacity;
    [T: Trace] VecDeque<T>, T, capacity;
    [T: Trace] LinkedList<T>, T, len;
    [T: Trace] BinaryHeap<T>, T, capacity;
    [T: Trace] BTreeSet<T>, T, len;
    [T: Trace, S: 'static] HashSet<T, S>, T, capacity;
}

/// Collections of keys and values.
macro_rules! map {
    ($([$($generics:tt)*] $type:ty, $capacity:ident);* $(;)?) => {$(
        // SAFETY: each key and value is owned and asked once.
        unsafe impl<K: Trace, V: Trace, $($generics)*> Trace for $type {
            #[inline]
            fn trace(&self, tracer: &mut Tracer<'_>) {
                tracer.inside(|tracer| {
                    for (key, value) in self {
                        tracer.value(key);
                        tracer.value(value);
                    }
                });
            }
            fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
                tracer.owned(self.$capacity() * size_of::<(K, V)>());
                for (index, (key, value)) in self.iter().enumerate() {
                    tracer.index(index, key);
                    tracer.key(index, key, value);
                }
            }
            fn never_panics(&self) -> bool {
                true
            }
            #[inline]
            fn may_hold_gc(depth: TypeDepth) -> bool {
                depth.inside(K::may_hold_gc) || depth.inside(V::may_hold_gc)
            }
        }
    )*};
}
#[cfg(any(feature = "indexmap", feature = "hashbrown"))]
pub(crate) use map;

map! {
    [] BTreeMap<K, V>, len;
    [S: 'static] HashMap<K, V, S>, capacity;
}

/// Ranges.
macro_rules! range {
    ($($name:ident { $($field:ident),* }),*) => {$(
        // SAFETY: both ends are owned and asked once.
        unsafe impl<T: Trace> Trace for std::ops::$name<T> {
            fn trace(&self, tracer: &mut Tracer<'_>) {
                $(tracer.value(&self.$field);)*
            }
            fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
                $(tracer.field(stringify!($field), &self.$field);)*
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

range! { Range { start, end }, RangeFrom { start }, RangeTo { end } }

/// Tuples.
macro_rules! tuple {
    ($($name:ident $index:tt),*) => {
        // SAFETY: each element is owned and asked once.
        unsafe impl<$($name: Trace),*> Trace for ($($name,)*) {
            #[inline]
            fn trace(&self, tracer: &mut Tracer<'_>) {
                $(tracer.value(&self.$index);)*
            }
            fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
                $(tracer.field(stringify!($index), &self.$index);)*
            }
            fn never_panics(&self) -> bool {
                true
            }
            fn key_never_panics(&self) -> bool {
                true $(&& self.$index.key_never_panics())*
            }
            #[inline]
            fn may_hold_gc(depth: TypeDepth) -> bool {
                false $(|| depth.inside($name::may_hold_gc))*
            }
            fn edge_key(&self) -> Option<String> {
                let parts = [$(self.$index.edge_key()?),*];
                Some(format!("({})", parts.join(", ")))
            }
        }
    };
}

tuple! { A 0 }
tuple! { A 0, B 1 }
tuple! { A 0, B 1, C 2 }
tuple! { A 0, B 1, C 2, D 3 }
tuple! { A 0, B 1, C 2, D 3, E 4 }
tuple! { A 0, B 1, C 2, D 3, E 4, F 5 }
tuple! { A 0, B 1, C 2, D 3, E 4, F 5, G 6 }
tuple! { A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7 }
tuple! { A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8 }
tuple! { A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9 }
tuple! { A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10 }
tuple! { A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11 }
