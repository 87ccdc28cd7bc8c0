//! Equal values share one object: interned values and small integers.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::rc::Rc;

use crate::gc::Gc;
use crate::trace::{Trace, Tracer};
use crate::type_depth::TypeDepth;
use crate::weak::Weak;

/// Weak handles by the hash of their values.
pub(crate) struct Table<W> {
    pub(crate) entries: HashMap<u64, Vec<Entry<W>>>,
    /// The number of the next entry.
    pub(crate) next: u64,
}

pub(crate) struct Entry<W> {
    pub(crate) value: W,
    pub(crate) number: u64,
    /// The thread that made it.
    pub(crate) by: usize,
}

impl<W> Table<W> {
    pub(crate) fn new() -> Self {
        Table {
            entries: HashMap::new(),
            next: 0,
        }
    }

    /// The entries with a hash.
    pub(crate) fn with_hash(&self, hash: u64) -> impl Iterator<Item = &Entry<W>> {
        self.entries.get(&hash).into_iter().flatten()
    }

    /// Adds an entry.
    pub(crate) fn add(&mut self, hash: u64, value: W, by: usize) {
        let number = self.next;
        self.next += 1;
        let entries = self.entries.entry(hash).or_default();
        entries.push(Entry { value, number, by });
    }

    /// Removes the dead entries with a hash.
    pub(crate) fn sweep(&mut self, hash: u64, is_alive: impl Fn(&W) -> bool) {
        if let Some(entries) = self.entries.get_mut(&hash) {
            entries.retain(|entry| is_alive(&entry.value));
            if entries.is_empty() {
                self.entries.remove(&hash);
            }
        }
    }
}

/// The interner of one flavour: of the `Gc` and the `Weak` where it is used, and with these
/// bounds of its values. `upgrade` gives what iterates over a handle, if there is one, and
/// drops none while the table is locked.
macro_rules! interner {
    (
        $flavour:literal, [$($bound:tt)*], $(#[$more:meta])*
        shared: $Shared:ident, cell: $Cell:ident, lock: $lock:path,
        upgrade: $upgrade:path, this_thread: $this_thread:expr
    ) => {
        /// Gives equal values one object; entries die with their last user.
        ///
        /// Cloning an interner gives a handle to the same table. CPython:
        /// `sys.intern`, for values of any type.
        ///
        $(#[$more])*
        /// ```
        #[doc = concat!("use ", $flavour, "::{Gc, intern::Interner};")]
        ///
        /// let names = Interner::<str>::new();
        /// let first = names.intern("spam");
        /// let second = names.intern("spam");
        /// assert!(Gc::ptr_eq(&first, &second));
        /// drop((first, second));
        /// assert_eq!(names.len(), 0);
        /// ```
        pub struct Interner<T: ?Sized> {
            table: $Shared<$Cell<Table<Weak<T>>>>,
            hasher: RandomState,
        }

        impl<T: ?Sized + Hash + Eq $($bound)* + 'static> Interner<T> {
            /// An empty interner.
            ///
            /// ```
            #[doc = concat!("assert!(", $flavour, "::intern::Interner::<str>::new().is_empty());")]
            /// ```
            #[must_use]
            pub fn new() -> Self {
                Interner {
                    table: $Shared::new($Cell::new(Table::new())),
                    hasher: RandomState::new(),
                }
            }

            /// The object of all values equal to `value`; made if there is none.
            ///
            /// Costs a hash and a look-up; a new entry also an object and a weak
            /// reference with a callback. `T`'s `Hash`, `Eq` and conversion may use the
            /// interner; what they intern meanwhile is not looked at again.
            ///
            /// ```
            #[doc = concat!("use ", $flavour, "::{Gc, intern::Interner};")]
            ///
            /// let names = Interner::<str>::new();
            /// let made = Gc::<str>::from("eggs");
            /// // A handle becomes the shared object itself.
            /// assert!(Gc::ptr_eq(&names.intern(made.clone()), &made));
            /// assert!(Gc::ptr_eq(&names.intern("eggs"), &made));
            /// ```
            pub fn intern<V>(&self, value: V) -> Gc<T>
            where
                V: std::borrow::Borrow<T> + Into<Gc<T>>,
            {
                let hash = self.hasher.hash_one(value.borrow());
                let (found, mut seen) = self.find(hash, value.borrow());
                if let Some(found) = found {
                    return found;
                }
                let made: Gc<T> = value.into();
                let table = $Shared::downgrade(&self.table);
                let entry = Weak::with_callback(&made, move || {
                    if let Some(table) = table.upgrade() {
                        $lock(&table).sweep(hash, Weak::is_alive);
                    }
                });
                let this_thread = $this_thread;
                loop {
                    let mut table = $lock(&self.table);
                    // Another thread may have been quicker.
                    let news: Vec<_> = table
                        .with_hash(hash)
                        .filter(|entry| entry.number >= seen && entry.by != this_thread)
                        .map(|entry| $upgrade(&entry.value))
                        .collect();
                    if news.is_empty() {
                        table.add(hash, entry, this_thread);
                        return made;
                    }
                    seen = table.next;
                    drop(table);
                    if let Some(found) = news.into_iter().flatten().find(|new| **new == *made) {
                        return found;
                    }
                }
            }

            /// The object of a value, if it is interned.
            ///
            /// ```
            #[doc = concat!("let numbers = ", $flavour, "::intern::Interner::<u64>::new();")]
            /// let seven = numbers.intern(7);
            /// assert_eq!(numbers.get(&7), Some(seven));
            /// assert_eq!(numbers.get(&8), None);
            /// ```
            pub fn get(&self, value: &T) -> Option<Gc<T>> {
                self.find(self.hasher.hash_one(value), value).0
            }

            /// The object of a value, and the number of the first entry that was not
            /// looked at.
            fn find(&self, hash: u64, value: &T) -> (Option<Gc<T>>, u64) {
                let table = $lock(&self.table);
                let seen = table.next;
                let entries = table.with_hash(hash);
                let upgraded: Vec<_> = entries.map(|entry| $upgrade(&entry.value)).collect();
                // `Eq` and destructors are code of a user.
                drop(table);
                let found = upgraded.into_iter().flatten().find(|found| **found == *value);
                (found, seen)
            }

            /// The number of interned values; costs a look at each.
            ///
            /// ```
            #[doc = concat!("let numbers = ", $flavour, "::intern::Interner::<u64>::new();")]
            /// let kept = (numbers.intern(1), numbers.intern(1), numbers.intern(2));
            /// assert_eq!(numbers.len(), 2);
            /// # drop(kept);
            /// ```
            #[must_use]
            pub fn len(&self) -> usize {
                $lock(&self.table).entries.values().map(Vec::len).sum()
            }

            /// Whether nothing is interned.
            ///
            /// ```
            #[doc = concat!("let numbers = ", $flavour, "::intern::Interner::<u64>::new();")]
            /// drop(numbers.intern(1));
            /// assert!(numbers.is_empty());
            /// ```
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }
        }

        impl<T: ?Sized + Hash + Eq $($bound)* + 'static> Default for Interner<T> {
            fn default() -> Self {
                Self::new()
            }
        }

        impl<T: ?Sized> Clone for Interner<T> {
            fn clone(&self) -> Self {
                Interner {
                    table: self.table.clone(),
                    hasher: self.hasher.clone(),
                }
            }
        }

        impl<T: ?Sized> fmt::Debug for Interner<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct("Interner").finish_non_exhaustive()
            }
        }

        // SAFETY: it reports nothing: the table may be shared, and is weak.
        unsafe impl<T: ?Sized + 'static> Trace for Interner<T> {
            fn trace(&self, _: &mut Tracer<'_>) {}

            fn never_panics(&self) -> bool {
                true
            }

            fn may_hold_gc(_: TypeDepth) -> bool {
                false
            }
        }
    };
}
pub(crate) use interner;

interner! {
    "cyclegc", [],
    shared: Rc, cell: RefCell, lock: RefCell::borrow_mut,
    upgrade: Weak::upgrade, this_thread: 0
}

/// Integers that always share their objects (CPython `_PY_NSMALLNEGINTS`,
/// `_PY_NSMALLPOSINTS`).
const SMALL: std::ops::RangeInclusive<i64> = -5..=256;

/// The objects of all small integers.
pub(crate) fn small_ints<I>(make: fn(i64) -> I) -> Vec<I> {
    SMALL.map(make).collect()
}

/// Where a small integer is among them.
pub(crate) fn small_index(value: i64) -> Option<usize> {
    if !SMALL.contains(&value) {
        return None;
    }
    usize::try_from(value - SMALL.start()).ok()
}

thread_local! {
    static SMALL_INTS: Vec<Gc<i64>> = small_ints(Gc::new);
}

impl Gc<i64> {
    /// An integer; those from -5 to 256 share one object each.
    ///
    /// CPython does the same with all its integers.
    ///
    /// ```
    /// use cyclegc::Gc;
    ///
    /// assert!(Gc::ptr_eq(&Gc::small_int(256), &Gc::small_int(256)));
    /// assert!(!Gc::ptr_eq(&Gc::small_int(257), &Gc::small_int(257)));
    /// ```
    #[must_use]
    pub fn small_int(value: i64) -> Gc<i64> {
        let Some(index) = small_index(value) else {
            return Gc::new(value);
        };
        // Without the table, when the thread ends, a new object does as well.
        SMALL_INTS
            .try_with(|table| table[index].clone())
            .unwrap_or_else(|_| Gc::new(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_integers_have_places() {
        let asked = [i64::MIN, -6, -5, 0, 256, 257, i64::MAX];
        let places = [None, None, Some(0), Some(5), Some(261), None, None];
        assert_eq!(asked.map(small_index), places);
    }
}
