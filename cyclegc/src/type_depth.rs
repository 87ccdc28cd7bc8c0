//! `TypeDepth`: an end to questions about types that contain themselves.

/// How deep a question about nested types has gone.
///
/// A type such as `enum Expr { Add(Box<Expr>, Box<Expr>) }` contains itself;
/// after a few steps [`Trace::may_hold_gc`](crate::Trace::may_hold_gc) gives up and says `true`.
///
/// ```
/// use cyclegc::{Gc, Trace, TypeDepth};
///
/// assert!(!<Vec<u8>>::may_hold_gc(TypeDepth::START));
/// assert!(<Vec<Gc<u8>>>::may_hold_gc(TypeDepth::START));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TypeDepth(u8);

impl TypeDepth {
    /// Nothing was asked yet.
    pub const START: TypeDepth = TypeDepth(0);

    /// Asks about one more type inside; `true` when this is too deep.
    ///
    /// ```
    /// use cyclegc::{Gc, Trace, Tracer, TypeDepth};
    ///
    /// struct Wrapper<T>(T);
    ///
    /// // SAFETY: what is owned is asked once.
    /// unsafe impl<T: Trace> Trace for Wrapper<T> {
    ///     fn trace(&self, tracer: &mut Tracer<'_>) {
    ///         tracer.value(&self.0);
    ///     }
    ///     fn may_hold_gc(depth: TypeDepth) -> bool {
    ///         depth.inside(T::may_hold_gc)
    ///     }
    /// }
    ///
    /// assert!(!Gc::is_tracked(&Gc::new(Wrapper(1))));
    /// assert!(Gc::is_tracked(&Gc::new(Wrapper(Gc::new(1)))));
    /// ```
    #[inline]
    #[must_use]
    pub fn inside(self, ask: impl FnOnce(TypeDepth) -> bool) -> bool {
        self.0 >= 8 || ask(TypeDepth(self.0 + 1))
    }
}
