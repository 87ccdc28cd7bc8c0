//! What tracing asks of a heap.

use super::{Heap, State};
use crate::size_class::SizeClass;

impl Heap {
    /// Gives the fronts the capacity that the state of tracing wants.
    pub(crate) fn reopen_fronts(&self) {
        if self.state.get() == State::Live {
            for class in SizeClass::all() {
                self.front(class).reopen(self.front_capacity(class));
            }
        }
    }

    /// The block that was freed last, of a class whose front has not been used since.
    pub(crate) fn freed_last(&self, class: SizeClass) -> *mut u8 {
        self.front(class).first().cast()
    }

    /// Whether the front has more blocks than it would with tracing off.
    pub(crate) fn is_overfull(&self, class: SizeClass) -> bool {
        let most = match self.state.get() {
            State::Live => self.list_capacity(class),
            State::New | State::Guest => 0,
        };
        self.front(class).current_len() > most
    }
}
