//! What tells objects apart, and notes their deaths.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use cyclegc::Trace;

/// What every object is known by; records its death.
#[derive(Trace)]
#[trace(leaf)]
pub(crate) struct Tag {
    pub(crate) id: usize,
    pub(crate) freed: Rc<RefCell<BTreeSet<usize>>>,
}

impl Drop for Tag {
    fn drop(&mut self) {
        let new = self.freed.borrow_mut().insert(self.id);
        assert!(new, "object {} was dropped twice", self.id);
    }
}
