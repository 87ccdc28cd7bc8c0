//! The handler for `SIGSEGV`: an access to a slot or a guard is reported, then given back to
//! who handled the signal before.
//!
//! It runs where the program faulted, maybe within any of its locks, but in none of the
//! allocator's: nothing in here or below touches a sampled block.

use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;

use super::{dump, slots};

/// What handled the signal before.
struct Previous(UnsafeCell<MaybeUninit<libc::sigaction>>);

// SAFETY: written once, under the slots' lock, before the handler can run.
unsafe impl Sync for Previous {}

static PREVIOUS: Previous = Previous(UnsafeCell::new(MaybeUninit::zeroed()));

/// Puts the handler in. For whoever reserves the slots, once.
pub(super) fn install() {
    // SAFETY: numbers and pointers: zeros are one.
    let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = handle;
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
    // SAFETY: both are valid; the handler can be called at any time.
    unsafe { libc::sigaction(libc::SIGSEGV, &raw const action, PREVIOUS.0.get().cast()) };
}

extern "C" fn handle(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel's, for the length of the call.
    let info_now = unsafe { &*info };
    // SAFETY: of this signal, there is an address.
    let address = unsafe { info_now.si_addr() }.addr();
    if info_now.si_code > 0 && slots::contains(address) {
        let record = slots::try_lock().and_then(|slots| slots.near(address));
        dump::fault(address, was_write(context), record.as_ref());
        // The access is made again, under the handler that was there before.
        // SAFETY: written by `install`.
        unsafe { libc::sigaction(signal, PREVIOUS.0.get().cast(), core::ptr::null_mut()) };
        return;
    }
    pass_on(signal, info, context);
}

/// Does what was done before this handler.
fn pass_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let previous: *const libc::sigaction = PREVIOUS.0.get().cast();
    // SAFETY: written by `install`, never again.
    let previous = unsafe { &*previous };
    match previous.sa_sigaction {
        libc::SIG_DFL | libc::SIG_IGN => {
            // A fault comes again at once, a signal that was sent has to be sent again.
            // SAFETY: written by `install`.
            unsafe { libc::sigaction(signal, PREVIOUS.0.get().cast(), core::ptr::null_mut()) };
            // SAFETY: the kernel's, for the length of the call.
            if unsafe { (*info).si_code } <= 0 {
                // SAFETY: no requirements.
                unsafe { libc::raise(signal) };
            }
        }
        handler if previous.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: the flag says what the handler is.
            let handler = unsafe {
                core::mem::transmute::<usize, extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void)>(
                    handler,
                )
            };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: without the flag it is of this kind.
            let handler = unsafe { core::mem::transmute::<usize, extern "C" fn(c_int)>(handler) };
            handler(signal);
        }
    }
}

/// Whether the access was a write; `None` where the processor does not say.
fn was_write(context: *mut c_void) -> Option<bool> {
    #[cfg(target_arch = "x86_64")]
    {
        let context: *const libc::ucontext_t = context.cast();
        // SAFETY: the kernel passes one, for the length of the call.
        let registers = unsafe { (*context).uc_mcontext.gregs };
        // Bit 1 of a page fault's error code.
        let error = registers.get(libc::REG_ERR as usize)?;
        Some(error & 2 != 0)
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = context;
        None
    }
}
