//! Large blocks: whole pages between two that nobody may touch, and gone when freed.
//!
//! ```text
//!  #│ data                        │canary│#        # no access
//!   └ a page's start                      └ a page's end
//! ```
//! After a free the memory is gone at once, and its addresses stay reserved until
//! 64 others, or 256 MiB, were freed: whoever touches them faults. Growth moves the pages; of a
//! block that shrinks those behind are taken away.

use core::alloc::Layout;
use core::ptr::{NonNull, null_mut};

use super::canary;
use super::dump;
use crate::large_map::{LargeMap, Node};
use crate::os;
use crate::sync::{Mutex, MutexGuard, lock};

/// Freed blocks whose addresses are kept, at most, ...
const KEPT: usize = 64;
/// ... and their bytes.
const KEPT_BYTES: usize = 256 << 20;

/// What the lock guards.
#[derive(Debug)]
pub(crate) struct State {
    map: LargeMap,
    kept: [Option<Pages>; KEPT],
    oldest: usize,
    kept_bytes: usize,
}

// SAFETY: the nodes are touched by whoever has the state, that is, by the lock.
unsafe impl Send for State {}

static LARGE: Mutex<State> = Mutex::new(State {
    map: LargeMap::new(),
    kept: [const { None }; KEPT],
    oldest: 0,
    kept_bytes: 0,
});

/// Pages between two guards.
#[derive(Clone, Copy, Debug)]
struct Pages {
    start: *mut u8,
    size: usize,
}

impl Pages {
    fn of(block: *mut u8, size: usize) -> Self {
        Self {
            start: block,
            size: size.max(1).next_multiple_of(os::page_size()),
        }
    }

    /// Reserves them; nobody may touch them yet.
    fn reserve(size: usize, align: usize) -> Option<Self> {
        let page = os::page_size();
        let size = size.max(1).checked_next_multiple_of(page)?;
        let slack = if align > page { align } else { 0 };
        let all = size.checked_add(2 * page + slack)?;
        let reserved = os::reserve(all)?;
        let first = reserved.as_ptr().wrapping_add(page);
        let start = first.wrapping_add(first.align_offset(align.max(page)));
        let pages = Self { start, size };
        let before = start.addr() - first.addr();
        // SAFETY: the parts beyond the guards, known to nobody.
        unsafe { unmap(reserved.as_ptr(), before) };
        // SAFETY: as above.
        unsafe { unmap(start.wrapping_add(size + page), slack - before) };
        Some(pages)
    }

    /// Lets them be used.
    fn allow(self) -> bool {
        // SAFETY: reserved, and the caller's.
        unsafe { os::allow(self.start, self.size) }
    }

    /// Gives them back, guards and all.
    ///
    /// # Safety
    /// Nobody uses them.
    unsafe fn unmap(self) {
        let page = os::page_size();
        // SAFETY: the caller's promise; the guards are nobody's.
        unsafe { unmap(self.start.wrapping_sub(page), self.size + 2 * page) };
    }
}

/// # Safety
/// Nobody uses the pages.
unsafe fn unmap(start: *mut u8, size: usize) {
    if let Some(start) = NonNull::new(start)
        && size > 0
    {
        // SAFETY: the caller's promise. Where the kernel refuses, the addresses are lost.
        unsafe { os::unmap(start, size) };
    }
}

/// Takes the lock, also for a fork.
pub(crate) fn state() -> MutexGuard<'static, State> {
    lock(&LARGE)
}

/// A block, all zeros; null if memory has run out.
pub(crate) fn alloc(layout: Layout) -> *mut u8 {
    let Some(pages) = Pages::reserve(layout.size(), layout.align()) else {
        return null_mut();
    };
    let node = if pages.allow() {
        state().map.node()
    } else {
        None
    };
    let Some(node) = node else {
        // SAFETY: known to nobody.
        unsafe { pages.unmap() };
        return null_mut();
    };
    canary::write_up_to(pages.start, layout.size(), pages.size);
    state().map.insert(node, pages.start.addr(), layout.size());
    pages.start
}

/// Frees a block. What is none ends the process.
pub(crate) fn dealloc(block: *mut u8, layout: Layout) {
    let node = take(block, layout);
    let pages = Pages::of(block, layout.size());
    state().map.put_idle(node);
    keep(pages);
}

/// The block's node, out of the map; what is no block of that layout ends the process.
fn take(block: *mut u8, layout: Layout) -> &'static Node {
    let state = state();
    let Some(node) = state.map.remove(block.addr()) else {
        let was_freed = state.is_kept(block);
        let inside = state
            .map
            .find(block.addr())
            .map(|node| (node.addr(), node.size()));
        drop(state);
        dump::no_large_block(block, was_freed, inside);
    };
    drop(state);
    let size = node.size();
    if size != layout.size() || !block.addr().is_multiple_of(layout.align()) {
        dump::wrong_large_layout(block, size, layout);
    }
    let pages = Pages::of(block, size);
    if let Some(at) = canary::damage_up_to(block, size, pages.size) {
        dump::overflow(block, size, at);
    }
    node
}

/// Keeps the addresses of freed pages reserved, instead of the oldest.
fn keep(pages: Pages) {
    // SAFETY: the block was given up.
    if !unsafe { os::reserve_again(pages.start, pages.size) } {
        // At the limit of mappings. They may have to stay, but not what is in them.
        // SAFETY: as above.
        if !unsafe { os::discard(pages.start, pages.size) } {
            // SAFETY: as above; they are as they were.
            unsafe { pages.start.write_bytes(0, pages.size) };
        }
        // SAFETY: as above.
        unsafe { pages.unmap() };
        return;
    }
    let mut released = state().push(pages);
    loop {
        released = released.or_else(|| state().pop_excess());
        let Some(released) = released.take() else {
            break;
        };
        // SAFETY: freed, and no longer kept.
        unsafe { released.unmap() };
    }
}

/// Makes a block of another size of it; null, and the block as it was, where that takes a copy,
/// or memory has run out.
pub(crate) fn resize(block: *mut u8, old: Layout, new_size: usize) -> *mut u8 {
    let node = take(block, old);
    let now = Pages::of(block, old.size());
    let to = match Pages::of(block, new_size).size {
        size if size == now.size => Some(now),
        size if size < now.size => shrink(now, size),
        _ => move_to_new(now, new_size, old.align()),
    };
    let (start, size) = to.map_or((block, old.size()), |pages| (pages.start, new_size));
    let pages = Pages::of(start, size);
    if old.size() < pages.size {
        canary::clear_up_to(start, old.size(), pages.size);
    }
    canary::write_up_to(start, size, pages.size);
    state().map.insert(node, start.addr(), size);
    if to.is_some() { start } else { null_mut() }
}

/// Takes all pages away that are not in the first `size` bytes: one of them is the guard then.
fn shrink(old: Pages, size: usize) -> Option<Pages> {
    let guard = old.start.wrapping_add(size);
    // SAFETY: the caller's block, of which these pages are given up.
    if !unsafe { os::reserve_again(guard, old.size - size) } {
        return None;
    }
    // SAFETY: what lies behind the guard up to the end of the one before, nobody's.
    unsafe { unmap(guard.wrapping_add(os::page_size()), old.size - size) };
    Some(Pages {
        start: old.start,
        size,
    })
}

/// Moves pages to others, of which there are more.
fn move_to_new(old: Pages, size: usize, align: usize) -> Option<Pages> {
    let page = os::page_size();
    let guards = |pages: Pages| {
        [
            pages.start.wrapping_sub(page),
            pages.start.wrapping_add(pages.size),
        ]
    };
    let new = Pages::reserve(size, align)?;
    // SAFETY: the caller's block, between guards.
    if !unsafe { os::may_grow(old.start, old.size, new.size) } {
        // SAFETY: known to nobody.
        unsafe { new.unmap() };
        return None;
    }
    // SAFETY: the caller's block, which is in no map; the new pages are nobody's yet.
    let is_moved = unsafe { os::move_pages(old.start, old.size, new.start, new.size) };
    // What lay between the guards is gone, and may be another's by now; where nothing was moved,
    // as little is known of the new place. It is lost, if it is still there.
    for guard in guards(if is_moved { old } else { new }) {
        // SAFETY: a guard is nobody's.
        unsafe { unmap(guard, page) };
    }
    is_moved.then_some(new)
}

impl State {
    /// The size of the block that starts at an address.
    pub(crate) fn size_from(&self, address: usize) -> Option<usize> {
        let node = self.map.find(address)?;
        (node.addr() == address).then(|| node.size())
    }

    fn push(&mut self, pages: Pages) -> Option<Pages> {
        self.kept_bytes += pages.size;
        let released = self.kept.get_mut(self.oldest)?.replace(pages);
        self.oldest = (self.oldest + 1) % KEPT;
        self.kept_bytes -= released.map_or(0, |pages| pages.size);
        released
    }

    fn pop_excess(&mut self) -> Option<Pages> {
        if self.kept_bytes <= KEPT_BYTES {
            return None;
        }
        let at = (0..KEPT)
            .map(|step| (self.oldest + step) % KEPT)
            .find(|&at| self.kept.get(at).is_some_and(Option::is_some))?;
        let released = self.kept.get_mut(at)?.take();
        self.kept_bytes -= released.map_or(0, |pages| pages.size);
        released
    }

    fn is_kept(&self, block: *mut u8) -> bool {
        let starts = |pages: &Pages| pages.start == block;
        self.kept.iter().flatten().any(starts)
    }
}
