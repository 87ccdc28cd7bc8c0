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

/// A kind of handle, and its method that gives the header.
macro_rules! handle {
    ([$($generics:tt)*] $type:ty, is_shared: $is_shared:literal, $object:ident $(.$field:tt)?) => {
        impl<$($generics)*> Handle for $type {
            fn object(&self) -> NonNull<()> {
                self.$object()$(.$field)?.cast()
            }

            fn is_shared(&self) -> bool {
                $is_shared
            }

            fn identity(&self) -> usize {
                self.identity()
            }
        }

        impl<$($generics)*> sealed::Sealed for $type {}
    };
}

handle! { [T: ?Sized] Gc<T>, is_shared: false, header }
handle! { [] AnyGc, is_shared: false, header }
handle! { [T: ?Sized] sync::Gc<T>, is_shared: true, object.0 }
handle! { [] sync::AnyGc, is_shared: true, object.0 }

mod sealed {
    pub trait Sealed: Sized {}
}
