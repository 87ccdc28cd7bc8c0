//! The lock of stdio's list of streams, which glibc's `fork` takes.
//!
//! The functions are public in glibc (`GLIBC_2.2.5` on x86-64) and in no header. The lock is
//! recursive. In the child of a process that had threads `fork` has reset the lock already,
//! before any handler; to reset it is what is right there in any case. They are asked for by
//! weak references: where there are none (musl, which has another lock, out of reach), nothing
//! is done.
//!
//! Source: glibc `libio/genops.c`, `posix/fork.c`; glibc's bug 19431.

use core::ffi::c_void;
use core::mem::transmute;

use crate::weak_address;

/// A function that may be missing: `None` then.
macro_rules! weak {
    ($symbol:literal) => {{
        let address = weak_address!($symbol);
        // SAFETY: null is `None`; else a function, without arguments or a result.
        unsafe { transmute::<*mut c_void, Option<extern "C" fn()>>(address) }
    }};
}

/// Locks the list.
pub(crate) fn lock_streams() {
    if let Some(lock) = weak!("_IO_list_lock") {
        lock();
    }
}

/// Unlocks it.
///
/// # Safety
/// The calling thread has locked it.
pub(crate) unsafe fn unlock_streams() {
    if let Some(unlock) = weak!("_IO_list_unlock") {
        unlock();
    }
}

/// Makes the list nobody's, in the child of a fork.
///
/// # Safety
/// The process has one thread.
pub(crate) unsafe fn reset_streams() {
    if let Some(reset) = weak!("_IO_list_resetlock") {
        reset();
    }
}
