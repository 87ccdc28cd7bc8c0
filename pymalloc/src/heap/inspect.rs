//! What statistics and checks look at.

use super::{Heap, State};
use crate::block::Block;
use crate::pool::Held;
use crate::registry::Member;
use crate::size_class::SizeClass;

impl Heap {
    /// The thread's record, if it is enlisted.
    pub(crate) fn member(&self) -> Option<&'static Member> {
        self.member.get()
    }

    /// Whether the thread is enlisted.
    pub(crate) fn is_live(&self) -> bool {
        self.state.get() == State::Live
    }

    /// The free blocks at hand of a class.
    pub(crate) fn blocks(&self, class: SizeClass) -> impl Iterator<Item = *mut Block> {
        self.front(class).blocks()
    }

    /// The number of them that the front's counters give.
    pub(crate) fn blocks_counted(&self, class: SizeClass) -> u32 {
        self.front(class).len()
    }

    /// The pools of a class that the thread owns and knows to have room.
    pub(crate) fn pools(&self, class: SizeClass) -> impl Iterator<Item = Held> {
        self.front(class).pools().iter()
    }
}
