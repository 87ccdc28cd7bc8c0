//! `WeakValueMap`: a map that does not keep its values alive.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;

use crate::edge::EdgeTracer;
use crate::gc::Gc;
use crate::trace::{Trace, Tracer};
use crate::weak::Weak;

/// Fewer entries are not worth a sweep.
pub(crate) const SWEEP_COUNT: usize = 16;

/// The map of one flavour: of the `Gc` and the `Weak` where it is used.
macro_rules! weak_value_map {
    ($flavour:literal, $(#[$more:meta])*) => {
        /// A map whose entries vanish when their values die
        /// (`weakref.WeakValueDictionary`).
        ///
        /// Dead entries are never seen; their memory is reused or given back while
        /// others are inserted, so that at most as many dead entries as live ones are
        /// kept.
        ///
        $(#[$more])*
        /// ```
        #[doc = concat!("use ", $flavour, "::{Gc, WeakValueMap};")]
        ///
        /// let mut map = WeakValueMap::new();
        /// let value = Gc::new(1);
        /// map.insert("one", &value);
        /// assert_eq!(map.get("one"), Some(value.clone()));
        /// drop(value);
        /// assert_eq!(map.get("one"), None);
        /// ```
        pub struct WeakValueMap<K, T: ?Sized> {
            entries: HashMap<K, Weak<T>>,
            /// Entries at which the dead ones are swept out.
            sweep_at: usize,
        }

        impl<K: Hash + Eq, T: ?Sized> WeakValueMap<K, T> {
            /// An empty map.
            ///
            /// ```
            #[doc = concat!("assert!(", $flavour, "::WeakValueMap::<u8, u8>::new().is_empty());")]
            /// ```
            #[must_use]
            pub fn new() -> Self {
                WeakValueMap {
                    entries: HashMap::new(),
                    sweep_at: SWEEP_COUNT,
                }
            }

            /// Maps `key` to `value`; returns the value before, if it is alive.
            ///
            /// Amortised O(1).
            ///
            /// ```
            #[doc = concat!("use ", $flavour, "::{Gc, WeakValueMap};")]
            ///
            /// let mut map = WeakValueMap::new();
            /// let (one, two) = (Gc::new(1), Gc::new(2));
            /// assert_eq!(map.insert("key", &one), None);
            /// assert_eq!(map.insert("key", &two), Some(one));
            /// ```
            pub fn insert(&mut self, key: K, value: &Gc<T>) -> Option<Gc<T>> {
                if self.entries.len() >= self.sweep_at {
                    self.entries.retain(|_, value| value.is_alive());
                    self.sweep_at = (self.entries.len() * 2).max(SWEEP_COUNT);
                }
                let before = self.entries.insert(key, Gc::downgrade(value));
                before.and_then(|weak| weak.upgrade())
            }

            /// The value of `key`, if it is alive.
            ///
            /// Costs a look-up and an increment.
            ///
            /// ```
            #[doc = concat!("use ", $flavour, "::{Gc, WeakValueMap};")]
            ///
            /// let mut map = WeakValueMap::new();
            /// let one = Gc::new(1);
            /// map.insert(String::from("one"), &one);
            /// assert_eq!(map.get("one"), Some(one));
            /// assert_eq!(map.get("one"), None);
            /// ```
            pub fn get<Q>(&self, key: &Q) -> Option<Gc<T>>
            where
                K: std::borrow::Borrow<Q>,
                Q: Hash + Eq + ?Sized,
            {
                self.entries.get(key)?.upgrade()
            }

            /// Removes an entry; returns its value if it is alive.
            ///
            /// ```
            #[doc = concat!("use ", $flavour, "::{Gc, WeakValueMap};")]
            ///
            /// let mut map = WeakValueMap::new();
            /// let one = Gc::new(1);
            /// map.insert("one", &one);
            /// assert_eq!(map.remove("one"), Some(one));
            /// assert_eq!(map.remove("one"), None);
            /// ```
            pub fn remove<Q>(&mut self, key: &Q) -> Option<Gc<T>>
            where
                K: std::borrow::Borrow<Q>,
                Q: Hash + Eq + ?Sized,
            {
                self.entries.remove(key)?.upgrade()
            }

            /// The number of live entries; costs a look at each.
            ///
            /// ```
            #[doc = concat!("use ", $flavour, "::{Gc, WeakValueMap};")]
            ///
            /// let mut map = WeakValueMap::new();
            /// let one = Gc::new(1);
            /// map.insert("one", &one);
            /// map.insert("two", &Gc::new(2));
            /// assert_eq!(map.len(), 1);
            /// ```
            #[must_use]
            pub fn len(&self) -> usize {
                self.entries
                    .values()
                    .filter(|value| value.is_alive())
                    .count()
            }

            /// Whether no entry is alive; costs a look at each until one is.
            ///
            /// ```
            #[doc = concat!("use ", $flavour, "::{Gc, WeakValueMap};")]
            ///
            /// let mut map = WeakValueMap::new();
            /// map.insert("gone", &Gc::new(1));
            /// assert!(map.is_empty());
            /// ```
            #[must_use]
            pub fn is_empty(&self) -> bool {
                !self.entries.values().any(Weak::is_alive)
            }

            /// The live entries, in no order.
            ///
            /// ```
            #[doc = concat!("use ", $flavour, "::{Gc, WeakValueMap};")]
            ///
            /// let mut map = WeakValueMap::new();
            /// let kept = Gc::new('a');
            /// map.insert(1, &kept);
            /// map.insert(2, &Gc::new('b'));
            /// assert_eq!(map.iter().collect::<Vec<_>>(), [(&1, kept.clone())]);
            /// ```
            pub fn iter(&self) -> impl Iterator<Item = (&K, Gc<T>)> {
                self.entries
                    .iter()
                    .filter_map(|(key, value)| Some((key, value.upgrade()?)))
            }
        }

        impl<K: Hash + Eq, T: ?Sized> Default for WeakValueMap<K, T> {
            fn default() -> Self {
                Self::new()
            }
        }

        // SAFETY: each key and weak handle is owned and asked once.
        unsafe impl<K: Trace, T: ?Sized + 'static> Trace for WeakValueMap<K, T> {
            fn trace(&self, tracer: &mut Tracer<'_>) {
                tracer.value(&self.entries);
            }
            fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
                tracer.value(&self.entries);
            }
            fn never_panics(&self) -> bool {
                true
            }
        }

        impl<K: fmt::Debug, T: ?Sized + fmt::Debug> fmt::Debug for WeakValueMap<K, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let live = self.entries.iter();
                f.debug_map()
                    .entries(live.filter_map(|(key, value)| Some((key, value.upgrade()?))))
                    .finish()
            }
        }
    };
}
pub(crate) use weak_value_map;

weak_value_map! { "cyclegc", }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_entries_do_not_pile_up() {
        let mut map = WeakValueMap::new();
        let kept = Gc::new(0);
        map.insert(0, &kept);
        for key in 1..10_000 {
            map.insert(key, &Gc::new(key));
        }
        assert_eq!(map.len(), 1);
        assert!(map.entries.len() <= SWEEP_COUNT);
    }
}
