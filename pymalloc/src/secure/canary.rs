//! Eight bytes right behind a block's data, which tell when somebody wrote there.
//!
//! They are a function of their address and a secret of the process. None of them is fixed,
//! the first not either: a string's NUL one byte too far is found.

use core::num::NonZeroUsize;

use once_cell::race::OnceNonZeroUsize;

use crate::os;

/// Bytes of one.
pub(crate) const SIZE: usize = size_of::<u64>();

static SECRET: OnceNonZeroUsize = OnceNonZeroUsize::new();

/// Chooses the secret, before there is a block: whoever makes room for some calls it.
pub(crate) fn choose_secret() {
    SECRET.get_or_init(|| {
        let number = os::random() as usize;
        NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN)
    });
}

#[inline(always)]
fn value(at: *mut u8) -> u64 {
    debug_assert!(SECRET.get().is_some());
    let secret = SECRET.get().map_or(0, NonZeroUsize::get) as u64;
    let mixed = (secret ^ at.addr() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // What all bits went into comes first. A byte of zeros is what is written most often; no
    // byte is.
    mixed.to_be() | 0x0101_0101_0101_0101
}

/// Writes it behind `size` bytes.
///
/// # Safety
/// The block goes on for [`SIZE`] bytes there, and is the caller's.
#[inline(always)]
pub(crate) unsafe fn write(block: *mut u8, size: usize) {
    let at = block.wrapping_add(size);
    // SAFETY: the caller's promise; it need not be aligned.
    unsafe { at.cast::<u64>().write_unaligned(value(at)) };
}

/// Whether it is there as it was written.
///
/// # Safety
/// As for [`write`].
#[inline(always)]
pub(crate) unsafe fn is_intact(block: *mut u8, size: usize) -> bool {
    let at = block.wrapping_add(size);
    // SAFETY: the caller's promise.
    unsafe { at.cast::<u64>().read_unaligned() == value(at) }
}

/// The first byte of it that is not as it was written, where one is.
///
/// # Safety
/// As for [`write`].
pub(crate) unsafe fn damage(block: *mut u8, size: usize) -> Option<*mut u8> {
    damage_in(block.wrapping_add(size), SIZE)
}

/// As much of it as there is room for in `room` bytes of the block: the rest is guard.
pub(crate) fn write_up_to(block: *mut u8, size: usize, room: usize) {
    let at = block.wrapping_add(size);
    let bytes = value(at).to_ne_bytes();
    for (index, byte) in bytes.iter().enumerate().take(room - size) {
        // SAFETY: within the block's last page.
        unsafe { at.wrapping_add(index).write(*byte) };
    }
}

/// Zeros in its place.
pub(crate) fn clear_up_to(block: *mut u8, size: usize, room: usize) {
    // SAFETY: within the block's last page.
    unsafe {
        block
            .wrapping_add(size)
            .write_bytes(0, SIZE.min(room - size))
    };
}

/// The first byte that is not as `write_up_to` wrote it.
pub(crate) fn damage_up_to(block: *mut u8, size: usize, room: usize) -> Option<*mut u8> {
    damage_in(block.wrapping_add(size), SIZE.min(room - size))
}

fn damage_in(at: *mut u8, len: usize) -> Option<*mut u8> {
    let bytes = value(at).to_ne_bytes();
    (0..len.min(SIZE))
        .map(|index| at.wrapping_add(index))
        .zip(bytes)
        .find_map(|(at, byte)| {
            // SAFETY: the callers': it lies in the block, which is not freed yet.
            let now = unsafe { at.read() };
            (now != byte).then_some(at)
        })
}
