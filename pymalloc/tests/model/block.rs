//! What the model knows of a live block.

use std::alloc::Layout;

use super::crew::Address;
use super::pattern::Pattern;

/// A live block.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) address: Address,
    pub(super) layout: Layout,
    pub(super) usable: usize,
    pub(super) pattern: Pattern,
}

impl Block {
    pub(super) fn start(&self) -> usize {
        self.address.0.addr()
    }

    /// One past the last usable byte. An empty block still has an address of
    /// its own, so it counts as one byte.
    pub(super) fn end(&self) -> usize {
        self.start() + self.usable.max(1)
    }

    pub(super) fn check(&self, when: &str) {
        assert!(
            self.pattern.is_at(self.address.0, self.usable),
            "{when}: the bytes of a live block changed: {:?}",
            self.layout
        );
    }
}
