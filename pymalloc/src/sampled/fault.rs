//! The handler for `SIGSEGV`: an access to a slot or a guard is reported, then given back to
//! who handled the signal before.
//!
//! ```text
//!  access ── fault ─▶ first: ours? ─ no ─▶ the handler that was there before
//!    ▲ ▲                       │ yes
//!    │ └─── again ◀────────────┘ second is the handler now
//!    │         └─ fault ─▶ second: the report
//!    └─── again ◀───────────────┘ the one before is the handler now
//!              └─ fault ─▶ the program ends as it would have
//! ```
//! The first runs on the stack that is kept for signals, because the fault may be a stack's
//! overflow, and that stack is too small for a report. A fault in a slot is none, so that
//! the second may use the thread's own.
//!
//! Both run where the program faulted, maybe within any of its locks, but in none of the
//! allocator's: nothing in here or below touches a sampled block.
//!
//! # Limits
//! - A handler that was there before, and is not for this, is called with the signals blocked that it
//!   asked for, but on the stack that is kept for signals; `SA_RESETHAND` is not heard. One that
//!   another thread puts in at the same moment is lost.
//! - If the second try succeeds, because the slot has a new block by then, the second handler stays
//!   until the next fault: a stack's overflow then ends the process without a word.

use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr::{null, null_mut};

use super::{dump, slots};

type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

/// What handled the signal before.
struct Previous(UnsafeCell<MaybeUninit<libc::sigaction>>);

// SAFETY: written once, under the slots' lock, before the handler can run.
unsafe impl Sync for Previous {}

static PREVIOUS: Previous = Previous(UnsafeCell::new(MaybeUninit::zeroed()));

/// Puts the handler in. For whoever reserves the slots, once.
pub(super) fn install() {
    // Beforehand: another thread may be in the handler before the call that puts it in returns.
    // SAFETY: nothing is changed; the place is valid, and nobody reads it yet.
    unsafe { libc::sigaction(libc::SIGSEGV, null(), PREVIOUS.0.get().cast()) };
    handle_by(first, libc::SA_ONSTACK);
}

fn handle_by(handler: Handler, flag: c_int) {
    // SAFETY: numbers and pointers: zeros are one.
    let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER | flag;
    // SAFETY: valid; the handlers can be called at any time.
    unsafe { libc::sigaction(libc::SIGSEGV, &raw const action, null_mut()) };
}

fn handle_as_before() {
    let previous: *const libc::sigaction = PREVIOUS.0.get().cast();
    // SAFETY: written by `install`, never again.
    unsafe { libc::sigaction(libc::SIGSEGV, previous, null_mut()) };
}

extern "C" fn first(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    if address_in_slots(info).is_some() {
        handle_by(second, 0);
    } else {
        pass_on(signal, info, context);
    }
}

extern "C" fn second(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let Some(address) = address_in_slots(info) else {
        // Another thread's, which comes again, for the first.
        handle_by(first, libc::SA_ONSTACK);
        if was_sent(info) {
            pass_on(signal, info, context);
        }
        return;
    };
    let record = slots::try_lock().and_then(|slots| slots.near(address));
    dump::fault(address, was_write(context), record.as_ref());
    handle_as_before();
}

/// Whether somebody sent the signal: it does not come again by itself.
fn was_sent(info: *mut libc::siginfo_t) -> bool {
    // SAFETY: the kernel's, for the length of the call. Codes above 0 are the kernel's own.
    unsafe { (*info).si_code <= 0 }
}

/// The address of a fault in the slots.
fn address_in_slots(info: *mut libc::siginfo_t) -> Option<usize> {
    let is_fault = !was_sent(info);
    // SAFETY: the kernel's, for the length of the call.
    let info = unsafe { &*info };
    // SAFETY: of this signal, there is an address.
    let address = unsafe { info.si_addr() }.addr();
    (is_fault && slots::contains(address)).then_some(address)
}

/// Does what was done before this handler.
fn pass_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let previous: *const libc::sigaction = PREVIOUS.0.get().cast();
    // SAFETY: written by `install`, never again.
    let previous = unsafe { &*previous };
    match previous.sa_sigaction {
        libc::SIG_IGN if was_sent(info) => {}
        libc::SIG_DFL | libc::SIG_IGN => {
            // A fault comes again at once, a signal that was sent has to be sent again.
            handle_as_before();
            if was_sent(info) {
                // SAFETY: no requirements.
                unsafe { libc::raise(signal) };
            }
        }
        handler if previous.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: the flag says what the handler is.
            let handler = unsafe { core::mem::transmute::<usize, Handler>(handler) };
            blocking(previous, signal, || handler(signal, info, context));
        }
        handler => {
            // SAFETY: without the flag it is of this kind.
            let handler = unsafe { core::mem::transmute::<usize, extern "C" fn(c_int)>(handler) };
            blocking(previous, signal, || handler(signal));
        }
    }
}

/// Calls a handler with the signals blocked that it was to be called with.
fn blocking(action: &libc::sigaction, signal: c_int, handler: impl FnOnce()) {
    let mut blocked = action.sa_mask;
    if action.sa_flags & libc::SA_NODEFER == 0 {
        // SAFETY: a set of signals, and a signal.
        unsafe { libc::sigaddset(&raw mut blocked, signal) };
    }
    let mut before = blocked;
    // SAFETY: sets of signals.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const blocked, &raw mut before) };
    handler();
    // SAFETY: as above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, null_mut()) };
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
