//! The whole allocator, small, for the models in `loom-tests`: one size class, two
//! blocks a pool, two pools an arena, a front of one block, nothing retained.
//!
//! ```text
//!  World ── the shared state      Thread ── a heap      Block ── what a user holds
//! ```
//! A user's access to a block goes through the cell that links free blocks, so that
//! loom sees a race between a user and the allocator, or the next user.

use std::sync::Arc;

use crate::block;
use crate::config::ARENA_SIZE;
use crate::heap::Heap;
use crate::os;
use crate::shared::Shared;
use crate::size_class::SizeClass;

const CLASS: SizeClass = SizeClass::SMALLEST;

/// An allocator of its own.
#[derive(Clone, Debug)]
pub struct World(Arc<Shared>);

/// A thread's heap in that world. It must end with [`Thread::exit`].
#[derive(Debug)]
pub struct Thread {
    shared: Arc<Shared>,
    heap: Box<Heap>,
}

/// A block in use.
#[derive(Debug)]
pub struct Block(*mut block::Block);

// SAFETY: a block may be used and freed by any thread; loom watches the accesses.
unsafe impl Send for Block {}

impl World {
    /// A world without memory; once in each execution of a model.
    #[expect(clippy::new_without_default, reason = "it has a side effect")]
    pub fn new() -> Self {
        Self::with_pages_of(1)
    }

    /// The same, where a page of the system's holds the two pools of an arena.
    pub fn with_arenas_of_a_page() -> Self {
        Self::with_pages_of(ARENA_SIZE)
    }

    fn with_pages_of(page_size: usize) -> Self {
        os::reset(page_size);
        Self(Arc::new(Shared::new()))
    }

    /// A thread that will own pools.
    pub fn thread(&self) -> Thread {
        self.thread_with(true)
    }

    /// A thread that owns nothing: it borrows, and frees at once.
    pub fn guest(&self) -> Thread {
        self.thread_with(false)
    }

    fn thread_with(&self, willing: bool) -> Thread {
        let thread = Thread {
            shared: Arc::clone(&self.0),
            heap: Box::new(Heap::new()),
        };
        thread.heap.enlist(&self.0, willing);
        thread
    }

    /// Asks that every pool is back in its arena, and every arena on its list.
    pub fn assert_all_returned(&self) {
        let lists = self.0.arenas.lock();
        assert_eq!(lists.used_bytes(), 0, "a pool was lost");
        let arenas = lists
            .newest_region()
            .map_or(0, |region| lists.arenas_of(region).count());
        assert_eq!(lists.count_listed(), Some(arenas), "an arena was lost");
    }

    /// Asks that memory went back to the system.
    pub fn assert_given_back(&self) {
        let lists = self.0.arenas.lock();
        assert_ne!(lists.given_back, 0, "all pages are resident");
        assert_eq!(lists.dirty_bytes(), 0, "a page is resident");
    }
}

impl Thread {
    /// A block, written to by its user.
    pub fn alloc(&self) -> Block {
        let mut block: *mut u8 = self.heap.hand(CLASS).pop().cast();
        if block.is_null() {
            block = self.heap.refill(&self.shared, CLASS);
        }
        assert!(!block.is_null(), "out of memory");
        self.heap.assert_front_counted(CLASS);
        let block = Block(block.cast());
        block.touch();
        block
    }

    /// Frees a block, after a last write by its user.
    pub fn free(&self, block: Block) {
        block.touch();
        // SAFETY: the block is given up, and there is one class.
        if !unsafe { self.heap.hand(CLASS).push(block.0) } {
            self.heap.spill(&self.shared, CLASS);
        }
        self.heap.assert_front_counted(CLASS);
    }

    /// Gives every free block back, and every empty pool.
    pub fn flush(&self) {
        self.heap.flush(&self.shared);
    }

    /// Ends the thread; what it does afterwards, it does as a guest.
    pub fn exit(&self) {
        self.heap.exit(&self.shared);
    }
}

impl Block {
    /// Writes to the block, as its user.
    pub fn touch(&self) {
        // SAFETY: the block is the caller's; the word is the user's now.
        unsafe { block::Block::set_next(self.0, self.0) };
    }

    /// Where it lies.
    pub fn addr(&self) -> usize {
        self.0.addr()
    }
}
