//! A pthread key whose destructor is told of a thread's exit.
//!
//! It is made when it is first asked for, without a lock: the child of a fork would find that
//! held by a thread that it has not got.

use core::ffi::c_void;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering::Relaxed;

type Destructor = unsafe extern "C" fn(*mut c_void);

/// A key that is made once.
#[derive(Debug)]
pub(crate) struct ExitKey {
    /// The key plus [`MADE`]; 0 before the first call, 1 if there was none to be had.
    known: AtomicUsize,
    exits: Destructor,
}

const MADE: usize = 2;

impl ExitKey {
    /// Not made yet. The destructor takes whatever threads store under the key.
    pub(crate) const fn new(exits: Destructor) -> Self {
        Self {
            known: AtomicUsize::new(0),
            exits,
        }
    }

    /// The key; `None` if the process had none left.
    pub(crate) fn get(&self) -> Option<libc::pthread_key_t> {
        // ORDERING: Relaxed, here and below: a key is a number, which stands for itself.
        let mut known = self.known.load(Relaxed);
        if known == 0 {
            let mut key = 0;
            // SAFETY: the key is writable, the destructor takes what is stored.
            let made = unsafe { libc::pthread_key_create(&raw mut key, Some(self.exits)) } == 0;
            let new = if made { key as usize + MADE } else { 1 };
            known = match self.known.compare_exchange(0, new, Relaxed, Relaxed) {
                Ok(_) => new,
                Err(others) => {
                    if made {
                        // SAFETY: just made, told to nobody: another thread was first.
                        unsafe { libc::pthread_key_delete(key) };
                    }
                    others
                }
            };
        }
        known
            .checked_sub(MADE)
            .map(|key| key as libc::pthread_key_t)
    }
}
