//! Call stacks: taken by the unwinder that every Rust program has, printed as places in
//! files, without allocation.
//!
//! An address is printed as a file and an offset in it, which `addr2line -Cfie FILE OFFSET`
//! turns into a line of source. To do that here would take an allocator.

use core::cell::Cell;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::fmt::{self, Write};

/// Return addresses kept of a stack.
pub(crate) const DEPTH: usize = 24;

/// Return addresses, innermost first; zeros behind the last.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(crate) struct Stack([usize; DEPTH]);

unsafe extern "C" {
    fn _Unwind_Backtrace(
        each: unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int,
        argument: *mut c_void,
    ) -> c_int;
    fn _Unwind_GetIP(context: *mut c_void) -> usize;
}

struct Taking {
    stack: Stack,
    len: usize,
}

thread_local! {
    /// The unwinder may allocate, the first time it meets code made at run time. (In
    /// `libpymalloc.so` this is found by `__tls_get_addr`, which may allocate as well in glibc 2.39,
    /// once for each library that was loaded since.)
    static IS_TAKING: Cell<bool> = const { Cell::new(false) };
}

impl Stack {
    /// No stack was taken.
    pub(crate) const NONE: Self = Self([0; DEPTH]);

    /// The calling thread's, from the caller on; none from within the unwinder. Takes
    /// microseconds.
    #[inline(never)]
    pub(crate) fn take() -> Self {
        if IS_TAKING.replace(true) {
            return Self::NONE;
        }
        let mut taking = Taking {
            stack: Self::NONE,
            len: 0,
        };
        // SAFETY: the callback takes what is passed, which outlives the call.
        unsafe { _Unwind_Backtrace(add_frame, (&raw mut taking).cast()) };
        IS_TAKING.set(false);
        taking.stack
    }

    fn frames(&self) -> impl Iterator<Item = usize> {
        self.0.iter().copied().take_while(|address| *address != 0)
    }

    /// Whether there is none.
    pub(crate) fn is_none(&self) -> bool {
        self.0.first().is_none_or(|address| *address == 0)
    }
}

/// # Safety
/// For the unwinder: `argument` is a `Taking`.
unsafe extern "C" fn add_frame(context: *mut c_void, argument: *mut c_void) -> c_int {
    let taking: *mut Taking = argument.cast();
    // SAFETY: `take` passed it, and waits.
    let taking = unsafe { &mut *taking };
    // SAFETY: the unwinder's own context.
    let address = unsafe { _Unwind_GetIP(context) };
    // The first frame is `take` itself.
    if taking.len > 0 {
        match taking.stack.0.get_mut(taking.len - 1) {
            Some(place) => *place = address,
            None => return 5, // _URC_END_OF_STACK
        }
    }
    taking.len += 1;
    0
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, address) in self.frames().enumerate() {
            write!(f, "    #{index:<2} {address:#x}")?;
            // What is called returns behind the call.
            write_place(f, address - 1)?;
            f.write_char('\n')?;
        }
        Ok(())
    }
}

/// The file that an address was loaded from, where in it, and the symbol if it has one.
fn write_place(f: &mut fmt::Formatter<'_>, address: usize) -> fmt::Result {
    // SAFETY: numbers and pointers: zeros are one.
    let mut info: libc::Dl_info = unsafe { core::mem::zeroed() };
    // SAFETY: any address may be asked about; the answer is ours to be written.
    let found = unsafe { libc::dladdr(core::ptr::without_provenance(address), &raw mut info) };
    if found == 0 || info.dli_fname.is_null() {
        return Ok(());
    }
    write!(f, "  ")?;
    write_text(f, info.dli_fname)?;
    write!(f, " +{:#x}", address.wrapping_sub(info.dli_fbase.addr()))?;
    if !info.dli_sname.is_null() {
        write!(f, "  ")?;
        write_text(f, info.dli_sname)?;
    }
    Ok(())
}

fn write_text(f: &mut fmt::Formatter<'_>, text: *const c_char) -> fmt::Result {
    // SAFETY: the loader's own text, which lives as long as what was loaded.
    let text = unsafe { CStr::from_ptr(text) };
    write!(f, "{}", text.to_bytes().escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_has_places_in_this_file_and_ends() {
        let stack = Stack::take();
        assert!(!stack.is_none());
        let text = stack.to_string();
        assert!(text.lines().count() > 2, "{text}");
        assert!(text.contains(" +0x"), "{text}");
        assert!(Stack::NONE.is_none() && Stack::NONE.to_string().is_empty());
    }
}
