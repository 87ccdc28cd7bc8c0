//! Objects with memory of their own.
//!
//! Those too large for a class or aligned to much, those made when the thread
//! has ended its heap, and all of them with `--cfg cyclegc_alone`. Their memory
//! is exactly theirs; before a tracked one there is its place in the heap's list:
//!
//! ```text
//!  +-------+-----+--------+-----------+
//!  | place | ... | prefix | header ...|
//!  +-------+-----+--------+-----------+
//!   tracked only   as in a block
//! ```
//!
//! # Invariants
//!
//! 1. A lone object's header has the flag `ALONE`; no other has.
//! 2. A tracked one is in `list` at the place that its memory starts with.

use std::alloc::{Layout, alloc, dealloc};
use std::ptr::NonNull;

use crate::header::{ALONE, Header, TRACKED};
use crate::slots::Slots;

/// The lone tracked objects of a thread.
pub(crate) struct Lone {
    list: Slots,
}

/// The memory for a block and the place before it, and where the block starts.
fn memory_around(block: Layout, prefix_bytes: usize, tracked: bool) -> Option<(Layout, usize)> {
    // Of a wide prefix only the last two words are used.
    let has_room = prefix_bytes >= 3 * size_of::<usize>();
    let extra = if tracked && !has_room {
        block.align()
    } else {
        0
    };
    let size = block.size().checked_add(extra)?;
    let layout = Layout::from_size_align(size, block.align()).ok()?;
    Some((layout, extra))
}

/// Where the memory of an object starts, or its block if that lies in a pool.
pub(crate) fn memory_start(header: &Header, block: Layout, prefix_bytes: usize) -> usize {
    let extra = match memory_around(block, prefix_bytes, header.has(TRACKED)) {
        Some((_, extra)) if header.has(ALONE) => extra,
        _ => 0,
    };
    std::ptr::from_ref(header).addr() - prefix_bytes - extra
}

impl Lone {
    pub(crate) const fn new() -> Self {
        Lone { list: Slots::new() }
    }

    /// The place of a new object's header, `prefix_bytes` into its block. `None`
    /// if there is no memory.
    pub(crate) fn allocate(
        &self,
        block: Layout,
        prefix_bytes: usize,
        tracked: bool,
    ) -> Option<NonNull<Header>> {
        let (layout, extra) = memory_around(block, prefix_bytes, tracked)?;
        // SAFETY: a block is not empty.
        let start = NonNull::new(unsafe { alloc(layout) })?;
        // SAFETY: the header lies in the block.
        let header = unsafe { start.add(extra + prefix_bytes) }.cast();
        if tracked {
            // INVARIANT: 2.
            // SAFETY: there is room for a word, and blocks are aligned to one.
            unsafe { start.cast::<u32>().write(self.list.insert(header)) };
        }
        Some(header)
    }

    /// Gives the memory of an object back.
    ///
    /// # Safety
    ///
    /// [`Self::allocate`] made it with these, and nothing uses it any more.
    pub(crate) unsafe fn free(
        &self,
        object: NonNull<Header>,
        block: Layout,
        prefix_bytes: usize,
        tracked: bool,
    ) {
        let Some((layout, extra)) = memory_around(block, prefix_bytes, tracked) else {
            return;
        };
        // SAFETY: the caller's: so far before it its memory starts.
        let start = unsafe { object.cast::<u8>().sub(extra + prefix_bytes) };
        if tracked {
            // SAFETY: invariant 2.
            self.list.remove(unsafe { start.cast::<u32>().read() });
        }
        // SAFETY: `allocate` got it with this layout.
        unsafe { dealloc(start.as_ptr(), layout) };
    }

    /// Appends the tracked ones.
    pub(crate) fn objects(&self, objects: &mut Vec<NonNull<Header>>) {
        self.list.copy_to(objects);
    }

    /// Gives the list's memory back if it is empty.
    pub(crate) fn trim(&self) {
        if self.list.len() == 0 {
            self.list.take_all();
        }
    }
}
