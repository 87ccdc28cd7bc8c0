//! Objects made from other values.

use std::borrow::Cow;

use crate::sync::gc::Gc;
use crate::sync::gc_box;
use crate::trace::Trace;

impl<T: Trace + Send + Sync> From<T> for Gc<T> {
    fn from(value: T) -> Self {
        Gc::new(value)
    }
}

impl<T: Trace + Send + Sync> From<Box<T>> for Gc<T> {
    /// Moves the value out of its box.
    fn from(value: Box<T>) -> Self {
        Gc::new(*value)
    }
}

impl From<&str> for Gc<str> {
    /// Copies the text into an object of its own: one allocation.
    ///
    /// ```
    /// let text: cyclegc::sync::Gc<str> = "hello".into();
    /// assert_eq!(&*text, "hello");
    /// ```
    fn from(text: &str) -> Self {
        Gc::from_box(gc_box::from_str(text))
    }
}

impl From<String> for Gc<str> {
    fn from(text: String) -> Self {
        Gc::from(&*text)
    }
}

impl From<Box<str>> for Gc<str> {
    fn from(text: Box<str>) -> Self {
        Gc::from(&*text)
    }
}

impl From<Cow<'_, str>> for Gc<str> {
    fn from(text: Cow<'_, str>) -> Self {
        Gc::from(&*text)
    }
}

impl<T: Trace + Send + Sync> From<Vec<T>> for Gc<[T]> {
    /// Moves the values into one object.
    ///
    /// ```
    /// let numbers: cyclegc::sync::Gc<[i32]> = vec![1, 2, 3].into();
    /// assert_eq!(numbers.len(), 3);
    /// ```
    fn from(values: Vec<T>) -> Self {
        Gc::from_values(values)
    }
}

impl<T: Trace + Send + Sync> From<Box<[T]>> for Gc<[T]> {
    fn from(values: Box<[T]>) -> Self {
        Gc::from_values(values.into_vec())
    }
}

impl<T: Trace + Send + Sync, const N: usize> From<[T; N]> for Gc<[T]> {
    fn from(values: [T; N]) -> Self {
        Gc::from_values(Vec::from(values))
    }
}

impl<T: Trace + Send + Sync + Clone> From<&[T]> for Gc<[T]> {
    fn from(values: &[T]) -> Self {
        Gc::from_values(values.to_vec())
    }
}

impl<T: Trace + Send + Sync> FromIterator<T> for Gc<[T]> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Gc::from_values(values.into_iter().collect())
    }
}
