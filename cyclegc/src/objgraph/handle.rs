//! `Handle`: what one can ask about.

use std::ptr::NonNull;

use crate::any::AnyGc;
use crate::gc::Gc;
use crate::sync;

/// A handle to an object: a [`Gc`] or an [`AnyGc`], or one of [`sync`].
///
/// Functions that ask about an object take one by reference, so that asking adds no
/// handle to those that are counted.
///
/// ```
/// use cyclegc::{AnyGc, Gc, objgraph};
///
/// let list = Gc::new(vec![Gc::new(1)]);
/// let any = AnyGc::from(&list);
/// let graph = objgraph::snapshot();
/// assert_eq!(graph.find(&list), graph.find(&any));
/// ```
pub trait Handle: sealed::Sealed {
    /// The object's header.
    #[doc(hidden)]
    fn object(&self) -> NonNull<()>;

    /// Whether threads share the object.
    #[doc(hidden)]
    fn is_shared(&self) -> bool;

    /// What no other handle has.
    #[doc(hidden)]
    fn identity(&self) -> usize;
}

impl<T: ?Sized> Handle for Gc<T> {
    fn object(&self) -> NonNull<()> {
        self.header().cast()
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn identity(&self) -> usize {
        self.identity()
    }
}

impl Handle for AnyGc {
    fn object(&self) -> NonNull<()> {
        self.header().cast()
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn identity(&self) -> usize {
        self.identity()
    }
}

impl<T: ?Sized> Handle for sync::Gc<T> {
    fn object(&self) -> NonNull<()> {
        self.object().0.cast()
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn identity(&self) -> usize {
        self.identity()
    }
}

impl Handle for sync::AnyGc {
    fn object(&self) -> NonNull<()> {
        self.object().0.cast()
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn identity(&self) -> usize {
        self.identity()
    }
}

mod sealed {
    use super::{AnyGc, Gc, sync};

    pub trait Sealed: Sized {}

    impl<T: ?Sized> Sealed for Gc<T> {}
    impl Sealed for AnyGc {}
    impl<T: ?Sized> Sealed for sync::Gc<T> {}
    impl Sealed for sync::AnyGc {}
}
