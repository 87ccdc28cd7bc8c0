//! Equal values share one object: interned values and small integers.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::rc::Rc;

use crate::gc::Gc;
use crate::trace::Trace;
use crate::weak::Weak;

/// Gives equal values one object; entries die with their last user.
///
/// Cloning an interner gives a handle to the same table. CPython:
/// `sys.intern`, for values of any type.
///
/// ```
/// use cyclegc::{Gc, intern::Interner};
///
/// let names = Interner::<str>::new();
/// let first = names.intern("spam");
/// let second = names.intern("spam");
/// assert!(Gc::ptr_eq(&first, &second));
/// drop((first, second));
/// assert_eq!(names.len(), 0);
/// ```
pub struct Interner<T: ?Sized> {
    table: Rc<RefCell<Table<T>>>,
    hasher: RandomState,
}

/// Weak handles by the hash of their values.
type Table<T> = HashMap<u64, Vec<Weak<T>>>;

impl<T: ?Sized + Hash + Eq + 'static> Interner<T> {
    /// An empty interner.
    ///
    /// ```
    /// assert!(cyclegc::intern::Interner::<str>::new().is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Interner {
            table: Rc::default(),
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
    /// use cyclegc::{Gc, intern::Interner};
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
        if let Some(found) = self.find(hash, value.borrow()) {
            return found;
        }
        let made: Gc<T> = value.into();
        let table = Rc::downgrade(&self.table);
        let entry = Weak::with_callback(&made, move || {
            if let Some(table) = table.upgrade() {
                sweep(&table, hash);
            }
        });
        self.table.borrow_mut().entry(hash).or_default().push(entry);
        made
    }

    /// The object of a value, if it is interned.
    ///
    /// ```
    /// let numbers = cyclegc::intern::Interner::<u64>::new();
    /// let seven = numbers.intern(7);
    /// assert_eq!(numbers.get(&7), Some(seven));
    /// assert_eq!(numbers.get(&8), None);
    /// ```
    pub fn get(&self, value: &T) -> Option<Gc<T>> {
        self.find(self.hasher.hash_one(value), value)
    }

    fn find(&self, hash: u64, value: &T) -> Option<Gc<T>> {
        let candidates: Vec<Gc<T>> = {
            let table = self.table.borrow();
            table.get(&hash)?.iter().filter_map(Weak::upgrade).collect()
        };
        candidates.into_iter().find(|found| **found == *value)
    }

    /// The number of interned values; costs a look at each.
    ///
    /// ```
    /// let numbers = cyclegc::intern::Interner::<u64>::new();
    /// let kept = (numbers.intern(1), numbers.intern(1), numbers.intern(2));
    /// assert_eq!(numbers.len(), 2);
    /// # drop(kept);
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.borrow().values().map(Vec::len).sum()
    }

    /// Whether nothing is interned.
    ///
    /// ```
    /// let numbers = cyclegc::intern::Interner::<u64>::new();
    /// drop(numbers.intern(1));
    /// assert!(numbers.is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Removes the dead entries with this hash.
fn sweep<T: ?Sized>(table: &RefCell<Table<T>>, hash: u64) {
    let mut table = table.borrow_mut();
    if let Some(entries) = table.get_mut(&hash) {
        entries.retain(Weak::is_alive);
        if entries.is_empty() {
            table.remove(&hash);
        }
    }
}

impl<T: ?Sized + Hash + Eq + 'static> Default for Interner<T> {
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

/// Integers that always share their objects (CPython `_PY_NSMALLNEGINTS`,
/// `_PY_NSMALLPOSINTS`).
const SMALL: std::ops::RangeInclusive<i64> = -5..=256;

thread_local! {
    static SMALL_INTS: Vec<Gc<i64>> = SMALL.map(Gc::new).collect();
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
        if !SMALL.contains(&value) {
            return Gc::new(value);
        }
        let index = usize::try_from(value - SMALL.start()).unwrap_or(0);
        // Without the table, when the thread ends, a new object does as well.
        SMALL_INTS
            .try_with(|table| table[index].clone())
            .unwrap_or_else(|_| Gc::new(value))
    }
}

// SAFETY: it reports nothing: the table may be shared, and is weak.
unsafe impl<T: ?Sized + 'static> Trace for Interner<T> {
    fn trace(&self, _: &mut crate::trace::Tracer<'_>) {}

    fn never_panics(&self) -> bool {
        true
    }

    fn may_hold_gc(_: crate::trace::TypeDepth) -> bool {
        false
    }
}
