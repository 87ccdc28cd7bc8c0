//! Large blocks: whole pages between two that nobody may touch, and gone when freed.
//!
//! ```text
//!  #│ data                        │canary│#        # no access
//!   └ a page's start                      └ a page's end
//! ```
//! After a free the memory is gone at once, and its addresses stay reserved until
//! 64 others, or 256 MiB, were freed: whoever touches them faults. They are given up where the
//! system refuses a request: it has no more addresses, allows no more mappings, or has no more
//! memory, which it does not tell from these. Those of a block of more than 256 MiB are not
//! kept. Growth moves the pages; of a block that shrinks those behind are taken away.

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

    /// Gives them back, guards and all; false if the kernel refuses. Then the addresses are lost,
    /// unless the caller keeps them.
    ///
    /// # Safety
    /// Nobody uses them.
    unsafe fn unmap(self) -> bool {
        let page = os::page_size();
        // SAFETY: the caller's promise; the guards are nobody's.
        unsafe { unmap(self.start.wrapping_sub(page), self.size + 2 * page) }
    }

    /// Gives the guards alone back.
    ///
    /// # Safety
    /// They guard nothing any more.
    unsafe fn unmap_guards(self) {
        let page = os::page_size();
        let guards = [
            self.start.wrapping_sub(page),
            self.start.wrapping_add(self.size),
        ];
        for guard in guards {
            // SAFETY: a guard is nobody's.
            unsafe { unmap(guard, page) };
        }
    }
}

/// # Safety
/// Nobody uses the pages.
unsafe fn unmap(start: *mut u8, size: usize) -> bool {
    match NonNull::new(start) {
        // SAFETY: the caller's promise.
        Some(start) if size > 0 => unsafe { os::unmap(start, size) },
        _ => true,
    }
}

/// Takes the lock, also for a fork.
pub(crate) fn state() -> MutexGuard<'static, State> {
    lock(&LARGE)
}

/// What the system gives; if that is nothing, it is asked once more with the addresses of freed
/// blocks given up.
pub(crate) fn insist<T>(ask: impl Fn() -> Option<T>) -> Option<T> {
    ask().or_else(|| if release_kept() { ask() } else { None })
}

/// Gives the addresses of freed blocks up, as far as the kernel takes them; whether any were.
fn release_kept() -> bool {
    let mut state = state();
    let mut released = 0;
    for place in &mut state.kept {
        if let Some(pages) = *place
            // SAFETY: freed; kept by who has the lock.
            && unsafe { pages.unmap() }
        {
            released += pages.size;
            *place = None;
        }
    }
    state.kept_bytes -= released;
    released > 0
}

/// A block, all zeros; null if memory has run out.
pub(crate) fn alloc(layout: Layout) -> *mut u8 {
    let Some((pages, node)) = insist(|| usable(layout)) else {
        return null_mut();
    };
    canary::choose_secret();
    canary::write_up_to(pages.start, layout.size(), pages.size);
    state().map.insert(node, pages.start.addr(), layout.size());
    pages.start
}

/// Pages that may be used, and a node for them.
fn usable(layout: Layout) -> Option<(Pages, &'static Node)> {
    let pages = Pages::reserve(layout.size(), layout.align())?;
    let node = if pages.allow() {
        state().map.node()
    } else {
        None
    };
    if node.is_none() {
        // SAFETY: known to nobody.
        unsafe { pages.unmap() };
    }
    Some((pages, node?))
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

/// What is no block of that layout ends the process.
pub(crate) fn check(block: *mut u8, layout: Layout) {
    let node = take(block, layout);
    state().map.insert(node, block.addr(), layout.size());
}

/// Keeps the addresses of freed pages reserved, instead of the oldest.
fn keep(pages: Pages) {
    let is_kept = pages.size <= KEPT_BYTES
        // SAFETY: the block was given up.
        && unsafe { os::reserve_again(pages.start, pages.size) };
    if !is_kept {
        // Too many, or at the limit of mappings. They may have to stay, but not what is in them.
        // SAFETY: as above.
        if unsafe { os::discard(pages.start, pages.size) } != pages.size {
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
    insist(|| {
        // SAFETY: the caller's block, of which these pages are given up.
        unsafe { os::reserve_again(guard, old.size - size) }.then_some(())
    })?;
    // SAFETY: what lies behind the guard up to the end of the one before, nobody's.
    unsafe { unmap(guard.wrapping_add(os::page_size()), old.size - size) };
    Some(Pages {
        start: old.start,
        size,
    })
}

/// Moves pages to others, of which there are more.
fn move_to_new(old: Pages, size: usize, align: usize) -> Option<Pages> {
    let new = insist(|| Pages::reserve(size, align))?;
    // By a number in its first page the new place is known again, where nothing was moved.
    // SAFETY: reserved, and known to nobody.
    let is_marked = unsafe { os::allow(new.start, os::page_size()) };
    let mark = os::random();
    if is_marked {
        // SAFETY: just allowed, and aligned to a page.
        unsafe { new.start.cast::<u64>().write(mark) };
    }
    // SAFETY: the caller's block, which is in no map; the new pages are nobody's yet.
    if is_marked && unsafe { os::move_pages(old.start, old.size, new.start, new.size) } {
        // What lay between the guards is gone, and may be another's by now.
        // SAFETY: the guards of nothing.
        unsafe { old.unmap_guards() };
        return Some(new);
    }
    if !is_marked || is_at(new.start, mark) {
        // SAFETY: known to nobody.
        unsafe { new.unmap() };
    } else {
        // The kernel had freed the place, which may be another's by now.
        // SAFETY: the guards of nothing.
        unsafe { new.unmap_guards() };
    }
    None
}

/// Whether a number lies at an address where there may be nothing.
fn is_at(address: *mut u8, number: u64) -> bool {
    let mut bytes = [0; size_of::<u64>()];
    let len = os::peek(address.addr(), &mut bytes);
    len == bytes.len() && u64::from_ne_bytes(bytes) == number
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
