//! A block of the debug hooks: its pads, and every check of them.
//!
//! ```text
//!  raw block
//! ┌───────────┬──────┬────┬───────┬────────┬──────┬────────┬────────┬──────────────┐
//! │ fd ...    │ size │ id │ align │ fd × 6 │ data │ fd × 8 │ serial │ stacks       │
//! └───────────┴──────┴────┴───────┴────────┴──────┴────────┴────────┴──────────────┘
//!   align - 16  8 big-  1    1, log2         │                8       of the allocation
//!   bytes       endian                       └ at raw + max(16, align)  and the free
//! ```
//! The size is big-endian, as CPython's, so that an underflow by one byte changes its low
//! end last, and a dump can be read.
//!
//! # Invariants
//! 1. In a live block the id is [`ID`] and every pad byte is [`FORBIDDEN`]; in a freed one
//!    the id is [`DEAD`], and so is all of the data until the block leaves the quarantine.
//! 2. Whether there are stacks never changes in a process: so the layout of a raw block is
//!    a function of size and alignment.

use core::alloc::Layout;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU8, AtomicU64};

use super::dump;
use crate::by_address::class_of;
use crate::global::{SHARED, alloc_raw, free_raw};
use crate::report::Misuse;
use crate::settings;
use crate::size_class::SizeClass;
use crate::stack::Stack;

/// The pads' bytes (CPython `PYMEM_FORBIDDENBYTE`).
pub(crate) const FORBIDDEN: u8 = 0xfd;
/// Bytes of a new block (CPython `PYMEM_CLEANBYTE`).
const CLEAN: u8 = 0xcd;
/// Bytes of a freed block (CPython `PYMEM_DEADBYTE`).
pub(crate) const DEAD: u8 = 0xdd;
/// Which allocator made the block (CPython has `r`, `m` and `o`): this one.
const ID: u8 = b'r';

/// Bytes before the data that tell about it.
const HEADER: usize = 16;
const ID_AT: usize = 8;
const ALIGN_AT: usize = 9;
const PAD_AT: usize = 10;
/// Pad bytes behind the data.
pub(crate) const TAIL_PAD: usize = 8;
const SERIAL: usize = size_of::<u64>();
const STACKS: usize = 2 * size_of::<Stack>();

/// What the caller of a free says about the block.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expect {
    Layout(Layout),
    Class(SizeClass),
    Anything,
}

impl Expect {
    fn is_met(self, block: DebugBlock) -> bool {
        match self {
            Self::Layout(layout) => layout == block.layout(),
            Self::Class(class) => SizeClass::of(block.layout()) == Some(class),
            Self::Anything => true,
        }
    }
}

/// A block, by where its data is and what it was allocated for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DebugBlock {
    data: *mut u8,
    layout: Layout,
}

// SAFETY: a block in quarantine is nobody's; it goes from thread to thread with the lock.
unsafe impl Send for DebugBlock {}

/// The block below, as the allocator's own records have it.
#[derive(Clone, Copy, Debug)]
struct Raw {
    start: *mut u8,
    size: usize,
    class: Option<SizeClass>,
}

impl Raw {
    /// The one that an address lies in; `None` where there is none.
    fn at(address: *mut u8) -> Option<Self> {
        let addr = address.addr();
        if let Some(class) = class_of(address) {
            let offset = addr & (class.pool_size() - 1);
            let size = class.block_size();
            let is_block = offset / size < class.capacity() as usize;
            return (is_block && SHARED.arenas.map.contains(addr)).then(|| Self {
                start: address.wrapping_sub(offset % size),
                size,
                class: Some(class),
            });
        }
        let (start, size) = SHARED.large.block_at(addr)?;
        Some(Self {
            start: address.wrapping_sub(addr - start),
            size,
            class: None,
        })
    }

    fn read(self, at: *mut u8) -> [u8; HEADER] {
        debug_assert!(at >= self.start && at.addr() + HEADER <= self.start.addr() + self.size);
        let at: *mut [u8; HEADER] = at.cast();
        // SAFETY: within the raw block, which is mapped; bytes need no alignment.
        unsafe { at.read() }
    }

    /// What the bytes before an address in it say, if they make sense for a block there:
    /// whether it is live, and its layout.
    fn header_of(self, data: *mut u8) -> Option<(u8, Layout)> {
        let offset = data.addr().wrapping_sub(self.start.addr());
        if !offset.is_power_of_two() || offset < HEADER || offset >= self.size {
            return None;
        }
        let header = self.read(data.wrapping_sub(HEADER));
        let mut size = [0; 8];
        size.copy_from_slice(header.get(..8)?);
        let size = usize::from_be_bytes(size);
        let align = 1_usize.checked_shl(u32::from(header[ALIGN_AT]))?;
        let layout = Layout::from_size_align(size, align).ok()?;
        let raw = raw_layout(layout)?;
        let fits = match self.class {
            Some(class) => SizeClass::of(raw) == Some(class),
            None => SizeClass::of(raw).is_none() && raw.size() <= self.size,
        };
        (fits && prefix(layout) == offset).then_some((header[ID_AT], layout))
    }

    /// The block in it, live or freed, wherever its data starts.
    fn block(self) -> Option<(u8, DebugBlock)> {
        let offsets = (HEADER.ilog2()..usize::BITS).map(|bit| 1_usize << bit);
        offsets
            .take_while(|offset| *offset < self.size)
            .find_map(|offset| {
                let data = self.start.wrapping_add(offset);
                let (id, layout) = self.header_of(data)?;
                matches!(id, ID | DEAD).then_some((id, DebugBlock { data, layout }))
            })
    }
}

/// Bytes before the data.
fn prefix(layout: Layout) -> usize {
    layout.align().max(HEADER)
}

/// Bytes behind the data.
fn tail() -> usize {
    let stacks = if settings::takes_stacks() { STACKS } else { 0 };
    TAIL_PAD + SERIAL + stacks
}

/// The layout of the raw block; `None` beyond the address space.
fn raw_layout(layout: Layout) -> Option<Layout> {
    let size = prefix(layout)
        .checked_add(layout.size())?
        .checked_add(tail())?;
    Layout::from_size_align(size, layout.align().max(HEADER)).ok()
}

impl DebugBlock {
    /// A new block; `None` if memory has run out.
    pub(super) fn new(layout: Layout, zeroed: bool) -> Option<Self> {
        static LAST_SERIAL: AtomicU64 = AtomicU64::new(0);
        let raw = alloc_raw(raw_layout(layout)?);
        if raw.is_null() {
            return None;
        }
        let block = Self {
            data: raw.wrapping_add(prefix(layout)),
            layout,
        };
        let fill = if zeroed { 0 } else { CLEAN };
        // SAFETY: the raw block is new, and has room for all parts by its layout.
        unsafe { raw.write_bytes(FORBIDDEN, prefix(layout)) };
        // SAFETY: as above.
        unsafe { block.data.write_bytes(fill, layout.size()) };
        // SAFETY: as above.
        unsafe { block.end().write_bytes(FORBIDDEN, TAIL_PAD) };
        let mut header = [FORBIDDEN; HEADER];
        for (to, from) in header.iter_mut().zip(layout.size().to_be_bytes()) {
            *to = from;
        }
        header[ID_AT] = ID;
        header[ALIGN_AT] = layout.align().ilog2() as u8;
        let place: *mut [u8; HEADER] = block.data.wrapping_sub(HEADER).cast();
        // SAFETY: as above; bytes need no alignment.
        unsafe { place.write(header) };
        // ORDERING: Relaxed; a number that no other has.
        let serial = LAST_SERIAL.fetch_add(1, Relaxed) + 1;
        // SAFETY: as above.
        unsafe { block.serial_place().write_unaligned(serial) };
        if settings::takes_stacks() {
            block.write_stack(0, &Stack::take());
            block.write_stack(1, &Stack::NONE);
        }
        Some(block)
    }

    /// The live block whose data starts at an address.
    pub(super) fn live_at(data: *mut u8) -> Option<Self> {
        let (id, layout) = Raw::at(data)?.header_of(data)?;
        (id == ID).then_some(Self { data, layout })
    }

    /// The block that somebody frees or resizes. What is wrong with it ends the process.
    pub(super) fn check(data: *mut u8, expect: Expect) -> Self {
        let Some(raw) = Raw::at(data) else {
            dump::foreign(data);
        };
        let block = match (raw.header_of(data), raw.block()) {
            (Some((ID, layout)), _) => Self { data, layout },
            (Some((DEAD, layout)), _) => dump::freed_twice(Self { data, layout }),
            (_, Some((_, other))) if other.data != data => dump::inside(data, other),
            _ => dump::no_header(data, raw.start, raw.size),
        };
        if let Some(bad) = block.bad_pad() {
            dump::bad_pad(block, bad);
        }
        if !expect.is_met(block) {
            dump::wrong_layout(block, expect);
        }
        block
    }

    /// Makes a live block a freed one. A second thread that frees it at the same time ends
    /// the process.
    pub(super) fn kill(self) -> Self {
        // SAFETY: the id lies in the raw block; whoever else frees it uses an atomic, too.
        let id = unsafe { AtomicU8::from_ptr(self.data.wrapping_sub(HEADER - ID_AT)) };
        // ORDERING: Relaxed; it is decided who is first, and nothing is handed over.
        if id.swap(DEAD, Relaxed) != ID {
            dump::freed_twice(self);
        }
        // SAFETY: the block is given up.
        unsafe { self.data.write_bytes(DEAD, self.size()) };
        if settings::takes_stacks() {
            self.write_stack(1, &Stack::take());
        }
        self
    }

    /// A freed block leaves the quarantine: nobody must have written to it.
    pub(super) fn bury(self) {
        if let Some(at) = self.damage() {
            dump::written_after_free(self, at);
        }
        if let Some(layout) = raw_layout(self.layout) {
            let raw = self.data.wrapping_sub(prefix(self.layout));
            // SAFETY: the raw block was allocated with this layout (invariant 2), and
            // nobody has it any more.
            unsafe { free_raw(raw, layout) };
        }
    }

    /// Where somebody has written to a freed block.
    pub(super) fn damage(self) -> Option<*mut u8> {
        // SAFETY: the block is in quarantine: mapped, and nobody's.
        let data = unsafe { core::slice::from_raw_parts(self.data, self.size()) };
        // All are equal, and the first is right: the C library compares quickest.
        let is_dead = data.first().is_none_or(|first| *first == DEAD)
            && data.get(1..) == data.get(..data.len().saturating_sub(1));
        if !is_dead && let Some(at) = data.iter().position(|byte| *byte != DEAD) {
            return Some(self.data.wrapping_add(at));
        }
        self.bad_pad().map(|(_, at)| at)
    }

    /// The first byte of a pad that is not what it was.
    fn bad_pad(self) -> Option<(Misuse, *mut u8)> {
        let start = self.data.wrapping_sub(prefix(self.layout));
        let parts = [
            (Misuse::Underflow, start, prefix(self.layout) - HEADER),
            (
                Misuse::Underflow,
                self.data.wrapping_sub(HEADER - PAD_AT),
                HEADER - PAD_AT,
            ),
            (Misuse::Overflow, self.end(), TAIL_PAD),
        ];
        parts.into_iter().find_map(|(misuse, from, len)| {
            // SAFETY: a part of the raw block, which is live or in quarantine.
            let part = unsafe { core::slice::from_raw_parts(from, len) };
            let at = part.iter().position(|byte| *byte != FORBIDDEN)?;
            Some((misuse, from.wrapping_add(at)))
        })
    }

    /// Where the data starts.
    pub(super) fn data(self) -> *mut u8 {
        self.data
    }

    /// Bytes that were asked for.
    pub(super) fn size(self) -> usize {
        self.layout.size()
    }

    /// What was asked for.
    pub(super) fn layout(self) -> Layout {
        self.layout
    }

    /// Bytes of the raw block.
    pub(super) fn raw_size(self) -> usize {
        raw_layout(self.layout).map_or(0, |layout| layout.size())
    }

    /// Where the data ends.
    pub(super) fn end(self) -> *mut u8 {
        self.data.wrapping_add(self.size())
    }

    fn serial_place(self) -> *mut u64 {
        self.end().wrapping_add(TAIL_PAD).cast()
    }

    /// The number of the allocation that made it.
    pub(super) fn serial(self) -> u64 {
        // SAFETY: within the raw block, which is live or in quarantine.
        unsafe { self.serial_place().read_unaligned() }
    }

    fn stack_place(self, index: usize) -> *mut Stack {
        let stacks = self.end().wrapping_add(TAIL_PAD + SERIAL);
        stacks.wrapping_add(index * size_of::<Stack>()).cast()
    }

    fn write_stack(self, index: usize, stack: &Stack) {
        // SAFETY: within the raw block, where there are stacks.
        unsafe { self.stack_place(index).write_unaligned(*stack) };
    }

    /// Where it was allocated (0) and freed (1), as far as that was noted.
    pub(super) fn stack(self, index: usize) -> Stack {
        if !settings::takes_stacks() {
            return Stack::NONE;
        }
        // SAFETY: as for `write_stack`.
        unsafe { self.stack_place(index).read_unaligned() }
    }
}
