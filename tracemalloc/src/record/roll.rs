//! The names of threads, those that have exited included: who allocated it may be gone.
//!
//! Numbers are given in the order of the threads' first blocks, from 1, and never twice; a thread
//! keeps its own to its last block, in the destructors of thread-locals, too. The first 32,767 have
//! a line here; what comes later has a number and no name.

use std::ptr::null_mut;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};

use super::memory;
use crate::snapshot::ThreadName;

/// The highest number with a line.
pub(super) const LAST_NAMED: u64 = (1 << 15) - 1;

const LINES: usize = LAST_NAMED as usize + 1;

/// What the kernel calls a thread: up to 15 bytes and a zero, and its id there while it lives.
#[derive(Debug)]
struct Line {
    name: [AtomicU64; 2],
    tid: AtomicU32,
}

static ROLL: AtomicPtr<Line> = AtomicPtr::new(null_mut());
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Makes room, once, before the first thread. Not for two threads at once.
pub(super) fn prepare() {
    // ORDERING: Relaxed; who made room did so before, by the rule above.
    if ROLL.load(Relaxed).is_null()
        && let Some(start) = memory::map(LINES * size_of::<Line>())
    {
        // ORDERING: Release publishes the lines; pairs with `line`.
        ROLL.store(start.as_ptr().cast(), Release);
    }
}

fn line(number: u64) -> Option<&'static Line> {
    // ORDERING: Acquire receives the lines; pairs with `prepare`.
    let lines = ROLL.load(Acquire);
    if lines.is_null() || number > LAST_NAMED {
        return None;
    }
    // SAFETY: there are that many, never unmapped; zeros are a line.
    Some(unsafe { &*lines.wrapping_add(number as usize) })
}

/// Gives the calling thread its number.
pub(super) fn enter() -> u64 {
    let number = NEXT.fetch_add(1, Relaxed);
    if let Some(line) = line(number) {
        line.set_name();
        // SAFETY: a question without side effects.
        let tid = unsafe { libc::syscall(libc::SYS_gettid) };
        line.tid.store(u32::try_from(tid).unwrap_or(0), Relaxed);
    }
    number
}

/// Notes what the calling thread is called at its end: many are named after they have begun.
pub(super) fn leave(number: u64) {
    if let Some(line) = line(number) {
        line.set_name();
        line.tid.store(0, Relaxed);
    }
}

/// Notes that a thread is gone without a word: that of the parent, in the child of a fork.
pub(super) fn forget(number: u64) {
    if let Some(line) = line(number) {
        line.tid.store(0, Relaxed);
    }
}

impl Line {
    fn set_name(&self) {
        let mut name = [0_u64; 2];
        // SAFETY: the kernel writes up to 16 bytes.
        unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
        for (place, word) in self.name.iter().zip(name) {
            place.store(word, Relaxed);
        }
    }

    fn name(&self) -> String {
        let tid = self.tid.load(Relaxed);
        if tid != 0
            && let Ok(name) = std::fs::read_to_string(format!("/proc/self/task/{tid}/comm"))
        {
            return name.trim_end().to_owned();
        }
        let mut bytes = [0; 16];
        for (place, word) in bytes.chunks_exact_mut(8).zip(&self.name) {
            place.copy_from_slice(&word.load(Relaxed).to_ne_bytes());
        }
        let len = bytes.iter().position(|&byte| byte == 0).unwrap_or(16);
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    }
}

/// The names of the threads with these numbers, as far as they have any. Outside the hook.
pub(super) fn names(numbers: impl IntoIterator<Item = u64>) -> Vec<ThreadName> {
    let named = |thread| {
        let name = line(thread)?.name();
        (!name.is_empty()).then_some(ThreadName { thread, name })
    };
    numbers.into_iter().filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::super::control;
    use super::super::unordered::in_two_threads;
    use super::*;

    #[test]
    fn who_learns_that_there_are_lines_can_use_them() {
        in_two_threads(
            || {
                let _control = control();
                prepare();
                1
            },
            |_| {
                let number = enter();
                assert_eq!(names([number]).len(), 1);
                leave(number);
            },
        );
    }
}
