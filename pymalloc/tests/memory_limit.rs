//! Under `RLIMIT_AS` the allocator runs out as it should: null, every block
//! intact; after frees it serves again under the same limit, and after the
//! limit is raised it serves anything; nothing is lost on the way.
//!
//! Each test is a child process with a limit of its own. The allocator is
//! driven directly: what the test itself needs comes from the system.

mod model;
mod support;

use std::alloc::{GlobalAlloc, Layout};

use model::Pattern;
use pymalloc::PyMalloc;
use support::{
    Child, Random, alone, assert_heap_is_sound, bytes_in_use, in_child, mapped_bytes, may_map,
};

static SUBJECT: PyMalloc = PyMalloc;

/// What the child may map beyond what it has at the start.
const ALLOWANCE_BYTES: usize = 64 << 20;
/// At least this much of it must become blocks.
const SERVED_BYTES: usize = 24 << 20;

/// A live block, filled with the pattern of its id.
#[derive(Debug)]
struct Block {
    ptr: *mut u8,
    layout: Layout,
    id: usize,
}

impl Block {
    fn new(size: usize, id: usize) -> Option<Self> {
        let layout = Layout::from_size_align(size, 8).expect("a legal layout");
        // SAFETY: the layout is not empty.
        let ptr = unsafe { SUBJECT.alloc(layout) };
        (!ptr.is_null()).then(|| {
            let block = Self { ptr, layout, id };
            block.pattern().fill(ptr, size);
            block
        })
    }

    fn pattern(&self) -> Pattern {
        Pattern::of(self.id as u64)
    }

    #[track_caller]
    fn check(&self) {
        let size = self.layout.size();
        assert!(self.pattern().is_at(self.ptr, size), "a block of {size}");
    }

    /// Grows the block to `size`; says whether it could.
    fn grow(&mut self, size: usize) -> bool {
        // SAFETY: the block is live; the new size is legal.
        let moved = unsafe { SUBJECT.realloc(self.ptr, self.layout, size) };
        let has_moved = !moved.is_null();
        if has_moved {
            assert!(self.pattern().is_at(moved, self.layout.size()));
            self.ptr = moved;
            self.layout = Layout::from_size_align(size, 8).expect("a legal layout");
            self.pattern().fill(moved, size);
        }
        has_moved
    }

    fn free(self) {
        self.check();
        // SAFETY: the block is live, and consumed here.
        unsafe { SUBJECT.dealloc(self.ptr, self.layout) }
    }
}

/// Sets the soft limit; the hard one stays, so that it can be raised again.
fn limit_address_space(bytes: libc::rlim_t) {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is writable.
    let status = unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut limit) };
    assert_eq!(status, 0);
    limit.rlim_cur = bytes.min(limit.rlim_max);
    // SAFETY: `limit` is readable.
    let status = unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
    assert_eq!(status, 0);
}

/// Allocates until null; whatever has been served is intact then.
fn fill_up(blocks: &mut Vec<Block>, mut next_size: impl FnMut() -> usize) {
    while let Some(block) = Block::new(next_size(), blocks.len()) {
        assert!(blocks.len() < blocks.capacity(), "the limit never showed");
        blocks.push(block);
    }
    assert_heap_is_sound();
    blocks.iter().for_each(Block::check);
}

/// The story that every child lives through.
fn run_out_and_recover(mut next_size: impl FnMut() -> usize) {
    let mut blocks = Vec::with_capacity(ALLOWANCE_BYTES / 32);
    let in_use = bytes_in_use();
    limit_address_space((mapped_bytes() + ALLOWANCE_BYTES) as libc::rlim_t);

    fill_up(&mut blocks, &mut next_size);
    let served: usize = blocks.iter().map(|block| block.layout.size()).sum();
    assert!(served > SERVED_BYTES, "only {served} bytes were served");

    // A block that cannot grow stays what it was.
    let last = blocks.last_mut().expect("some were served");
    assert!(!last.grow(ALLOWANCE_BYTES));
    last.check();

    // Room that frees make is used again, under the same limit.
    let before = blocks.len();
    let half = blocks.split_off(before / 2);
    half.into_iter().for_each(Block::free);
    assert_heap_is_sound();
    fill_up(&mut blocks, &mut next_size);
    let again: usize = blocks.iter().map(|block| block.layout.size()).sum();
    assert!(again > SERVED_BYTES, "only {again} bytes after the frees");

    limit_address_space(libc::RLIM_INFINITY);
    let last = blocks.last_mut().expect("some were served");
    assert!(last.grow(ALLOWANCE_BYTES), "no growth under the new limit");
    for _ in 0..1_000 {
        let block = Block::new(next_size(), blocks.len());
        blocks.push(block.expect("the limit is gone"));
    }
    blocks.into_iter().for_each(Block::free);
    assert_eq!(bytes_in_use(), in_use);
    assert_heap_is_sound();
}

#[track_caller]
fn as_child(test: &str, story: fn()) {
    // Three times what it is given, and the story's own list.
    if !may_map(4 * ALLOWANCE_BYTES + (128 << 20)) {
        return;
    }
    if in_child(test).is_some() {
        story();
    } else {
        alone(|| {
            Child::of(test, "limited").stderr();
        });
    }
}

#[test]
fn small_blocks_run_out_and_recover() {
    as_child("small_blocks_run_out_and_recover", || {
        run_out_and_recover(|| 96);
    });
}

#[test]
fn medium_blocks_run_out_and_recover() {
    as_child("medium_blocks_run_out_and_recover", || {
        run_out_and_recover(|| 9_000);
    });
}

#[test]
fn large_blocks_run_out_and_recover() {
    as_child("large_blocks_run_out_and_recover", || {
        run_out_and_recover(|| 1_000_000);
    });
}

#[test]
fn mixed_blocks_run_out_and_recover() {
    as_child("mixed_blocks_run_out_and_recover", || {
        let mut random = Random::new(3);
        run_out_and_recover(move || random.size());
    });
}

#[test]
fn a_limit_from_the_very_start_is_null_and_not_a_crash() {
    as_child(
        "a_limit_from_the_very_start_is_null_and_not_a_crash",
        || {
            limit_address_space(mapped_bytes() as libc::rlim_t);
            let sizes = [1, 512, 513, 65_536, 65_537, 1 << 20];
            let nothing = sizes.map(|size| Block::new(size, size).is_none());
            limit_address_space(libc::RLIM_INFINITY);
            assert_eq!(nothing, [true; 6]);
            for size in sizes {
                Block::new(size, size).expect("the limit is gone").free();
            }
            assert_heap_is_sound();
        },
    );
}
