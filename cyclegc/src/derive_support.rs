//! What the derive's output uses; not for others.

use std::marker::PhantomData;

use crate::trace::Finalize;

/// Finds out whether `T` implements `Finalize`: its own constant comes before
/// that of the trait, but exists only if the bound holds.
#[derive(Debug)]
pub struct Finalizer<T>(PhantomData<T>);

impl<T: Finalize> Finalizer<T> {
    /// The type's finalizer.
    pub const FINALIZER: Option<fn(&T)> = Some(T::finalize);
}

/// The constant of types without a finalizer.
pub trait NoFinalizer<T> {
    /// No finalizer.
    const FINALIZER: Option<fn(&T)> = None;
}

impl<T> NoFinalizer<T> for Finalizer<T> {}

/// What `into_dyn!` needs of a handle.
pub trait Coerce {
    /// What the handle refers to.
    type Target: ?Sized;
    /// The same handle to another type.
    type Other<U: ?Sized>;

    /// Changes the static type of a handle.
    ///
    /// # Safety
    ///
    /// `coerce` does nothing but an unsizing coercion.
    unsafe fn coerce_with<U: ?Sized>(
        self,
        coerce: fn(*mut Self::Target) -> *mut U,
    ) -> Self::Other<U>;
}
