//! Objects made from other values.

use std::borrow::Cow;

use crate::gc::Gc;
use crate::gc_box;
use crate::trace::Trace;

impl<T: Trace> From<T> for Gc<T> {
    #[cfg_attr(cyclegc_provenance, track_caller)]
    fn from(value: T) -> Self {
        Gc::new(value)
    }
}

impl<T: Trace> From<Box<T>> for Gc<T> {
    /// Moves the value out of its box.
    #[cfg_attr(cyclegc_provenance, track_caller)]
    fn from(value: Box<T>) -> Self {
        Gc::new(*value)
    }
}

impl From<&str> for Gc<str> {
    /// Copies the text into an object of its own: one allocation.
    ///
    /// ```
    /// let text: cyclegc::Gc<str> = "hello".into();
    /// assert_eq!(&*text, "hello");
    /// ```
    #[cfg_attr(cyclegc_provenance, track_caller)]
    fn from(text: &str) -> Self {
        Gc::first(gc_box::from_str(text))
    }
}

impl From<String> for Gc<str> {
    #[cfg_attr(cyclegc_provenance, track_caller)]
    fn from(text: String) -> Self {
        Gc::from(&*text)
    }
}

impl From<Box<str>> for Gc<str> {
    #[cfg_attr(cyclegc_provenance, track_caller)]
    fn from(text: Box<str>) -> Self {
        Gc::from(&*text)
    }
}

impl From<Cow<'_, str>> for Gc<str> {
    #[cfg_attr(cyclegc_provenance, track_caller)]
    fn from(text: Cow<'_, str>) -> Self {
        Gc::from(&*text)
    }
}

impl<T: Trace> From<Vec<T>> for Gc<[T]> {
    /// Moves the values into one object.
    ///
    /// ```
    /// let numbers: cyclegc::Gc<[i32]> = vec![1, 2, 3].into();
    /// assert_eq!(numbers.len(), 3);
    /// ```
    #[cfg_attr(cyclegc_provenance, track_caller)]
    fn from(values: Vec<T>) -> Self {
        Gc::from_values(values)
    }
}

impl<T: Trace> From<Box<[T]>> for Gc<[T]> {
    #[cfg_attr(cyclegc_provenance, track_caller)]
    fn from(values: Box<[T]>) -> Self {
        Gc::from_values(values.into_vec())
    }
}

impl<T: Trace, const N: usize> From<[T; N]> for Gc<[T]> {
    #[cfg_attr(cyclegc_provenance, track_caller)]
    fn from(values: [T; N]) -> Self {
        Gc::from_values(Vec::from(values))
    }
}

impl<T: Trace + Clone> From<&[T]> for Gc<[T]> {
    #[cfg_attr(cyclegc_provenance, track_caller)]
    fn from(values: &[T]) -> Self {
        Gc::from_values(values.to_vec())
    }
}

impl<T: Trace> FromIterator<T> for Gc<[T]> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Gc::from_values(values.into_iter().collect())
    }
}
