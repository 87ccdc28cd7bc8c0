//! The stack of the calling thread: the addresses that its functions return to.
//!
//! ```text
//!  frame pointers   rbp ─▶ [rbp of the caller, return address] ─▶ [.., ..] ─▶ ...
//!                   1.4 ns a frame; every function must keep one (-C force-frame-pointers)
//!  unwind tables    the rule of each address, from .eh_frame (unwind.rs)
//!                   10 ns a frame where the rule is cached
//! ```
//! Nothing is read outside the part of the thread's stack that is in use, so neither way can
//! fault, whatever the registers hold. A stack that is not the thread's own, of a coroutine or a
//! signal handler, has no frames here.

use std::arch::asm;
use std::ops::Range;

/// The registers that a walk starts from, all of one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registers {
    #[cfg_attr(
        not(feature = "framehop"),
        allow(dead_code, reason = "for unwind tables")
    )]
    pub(super) ip: usize,
    pub(super) sp: usize,
    pub(super) fp: usize,
    /// The address that the function returns to, if it has called nothing yet.
    #[cfg(target_arch = "aarch64")]
    pub(super) link: usize,
}

/// The registers of the function that this is inlined into.
#[inline(always)]
pub(super) fn registers() -> Registers {
    let (ip, sp, fp);
    #[cfg(target_arch = "aarch64")]
    let link;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: registers are read, and nothing else.
    unsafe {
        asm!(
            "lea {ip}, [rip]",
            "mov {sp}, rsp",
            "mov {fp}, rbp",
            ip = out(reg) ip,
            sp = out(reg) sp,
            fp = out(reg) fp,
            options(nomem, nostack, preserves_flags),
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: registers are read, and nothing else.
    unsafe {
        asm!(
            "adr {ip}, .",
            "mov {sp}, sp",
            "mov {fp}, x29",
            "mov {link}, x30",
            ip = out(reg) ip,
            sp = out(reg) sp,
            fp = out(reg) fp,
            link = out(reg) link,
            options(nomem, nostack, preserves_flags),
        );
    }
    Registers {
        ip,
        sp,
        fp,
        #[cfg(target_arch = "aarch64")]
        link,
    }
}

/// The part of the calling thread's stack that is in use, given where it lies in all; `None` if
/// the thread is on another stack.
pub(super) fn in_use(stack: &Range<usize>, registers: &Registers) -> Option<Range<usize>> {
    (stack.contains(&registers.sp)).then_some(registers.sp..stack.end)
}

/// The word at an address of the stack.
#[cfg_attr(
    not(feature = "framehop"),
    allow(dead_code, reason = "for unwind tables")
)]
#[inline(always)]
pub(super) fn read(in_use: &Range<usize>, address: usize) -> Option<usize> {
    const LAST: usize = size_of::<usize>() - 1;
    let inside = address >= in_use.start && address < in_use.end.wrapping_sub(LAST);
    if !inside || !address.is_multiple_of(size_of::<usize>()) {
        return None;
    }
    let place: *const usize = std::ptr::with_exposed_provenance(address);
    // SAFETY: it lies between the thread's stack pointer and the end of its stack: mapped, while
    // the thread lives. Volatile, because no object of Rust's is known there: frames are this
    // thread's own; a register that is no frame pointer may lead to what others write, such as
    // the thread-locals behind them, and then to a number that says nothing.
    Some(unsafe { place.read_volatile() })
}

/// Walks from frame pointer to frame pointer; how many addresses were found.
#[inline]
pub(super) fn by_frame_pointers(
    registers: Registers,
    in_use: &Range<usize>,
    out: &mut [usize],
) -> usize {
    const PAIR: usize = size_of::<[usize; 2]>();
    // Where a frame's two words may start, as a distance: one comparison asks for both ends.
    let Some(farthest) = in_use.len().checked_sub(PAIR) else {
        return 0;
    };
    let (mut fp, mut count) = (registers.fp, 0);
    while let Some(place) = out.get_mut(count) {
        let inside = fp.wrapping_sub(in_use.start) <= farthest;
        if !inside || !fp.is_multiple_of(size_of::<usize>()) {
            break;
        }
        let frame: *const [usize; 2] = std::ptr::with_exposed_provenance(fp);
        // SAFETY: as in `read`, for both words.
        let [next, address] = unsafe { frame.read_volatile() };
        let address = without_authentication(address);
        // No code lies on the first page: the chain has ended, or is none.
        if address < 4096 {
            break;
        }
        *place = address;
        count += 1;
        // Callers lie further up: no walk goes round in circles.
        if next <= fp {
            break;
        }
        fp = next;
    }
    count
}

/// An address without the signature that aarch64 may keep in its upper bits.
#[inline(always)]
fn without_authentication(address: usize) -> usize {
    if cfg!(target_arch = "aarch64") {
        address & ((1 << 48) - 1)
    } else {
        address
    }
}

/// Where the calling thread's stack lies; empty if the C library cannot say.
///
/// The library may allocate for the answer.
pub(super) fn stack_of_this_thread() -> Range<usize> {
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: no requirements.
    let this = unsafe { libc::pthread_self() };
    // SAFETY: the thread lives, and the attributes are initialized by it.
    let found = unsafe { libc::pthread_getattr_np(this, attributes.as_mut_ptr()) };
    if found != 0 {
        return 0..0;
    }
    let (mut start, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the attributes are initialized.
    let known =
        unsafe { libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut start, &raw mut size) };
    // SAFETY: as above; not used again.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    if known != 0 {
        return 0..0;
    }
    start.expose_provenance()..start.addr().saturating_add(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_reads_nothing_outside_the_stack_whatever_the_registers_hold() {
        let stack = stack_of_this_thread();
        let registers = registers();
        let in_use = in_use(&stack, &registers).unwrap();
        let mut out = [0; 64];
        for fp in [
            0,
            1,
            8,
            usize::MAX,
            usize::MAX - 7,
            in_use.start - 8,
            in_use.end - 8,
            in_use.end,
        ] {
            assert_eq!(
                by_frame_pointers(Registers { fp, ..registers }, &in_use, &mut out),
                0
            );
        }
        for fp in in_use.clone() {
            by_frame_pointers(Registers { fp, ..registers }, &in_use, &mut out);
        }
    }

    #[test]
    fn a_chain_that_turns_back_ends() {
        let mut words = [0_usize; 8];
        let base = words.as_ptr().addr();
        words[0] = base + 32;
        words[1] = 0x40_0000;
        words[4] = base;
        words[5] = 0x50_0000;
        let in_use = base..base + 64;
        let _ = words.as_ptr().expose_provenance();
        let mut out = [0; 8];
        let start = Registers {
            fp: base,
            ..registers()
        };
        assert_eq!(by_frame_pointers(start, &in_use, &mut out), 2);
        assert_eq!(out[..2], [0x40_0000, 0x50_0000]);
        assert_eq!(by_frame_pointers(start, &in_use, &mut out[..1]), 1);
    }
}
