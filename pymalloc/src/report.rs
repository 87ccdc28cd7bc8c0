//! What is said when a program has misused its memory, before the process ends: what, where,
//! who made the block, and the bytes around it (CPython `_PyObject_DebugDumpAddress`).
//!
//! Nothing here allocates or takes a lock of the allocator's, and whoever reports holds none: the
//! loader is asked for names, with its lock, and a handler of the program's for the end of the
//! process may allocate. The bytes around an address are
//! copied by the kernel, so that none can make a report fault; what a mode says of a block it has
//! checked before.
//!
//! The first report of a process is the only one, but for those of faults, which the program may
//! survive: another thread's waits for the end, some seconds.

use core::fmt::{self, Write};
use core::sync::atomic::AtomicI32;
use core::sync::atomic::Ordering::Relaxed;

use crate::os;
use crate::stack::Stack;
use crate::stderr::Stderr;

/// The ways to misuse memory that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misuse {
    DoubleFree,
    InvalidFree,
    WrongLayout,
    Overflow,
    Underflow,
    WriteAfterFree,
    UseAfterFree,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DoubleFree => "double free",
            Self::InvalidFree => "invalid free",
            Self::WrongLayout => "wrong layout",
            Self::Overflow => "overflow",
            Self::Underflow => "underflow",
            Self::WriteAfterFree => "write after free",
            Self::UseAfterFree => "use after free",
        })
    }
}

/// A report in the making.
#[derive(Debug)]
pub(crate) struct Report(Stderr);

impl Report {
    /// Starts one: the line that says what and where.
    pub(crate) fn new(misuse: Misuse, address: usize, what: fmt::Arguments<'_>) -> Self {
        wait_for_turn();
        let mut report = Self(Stderr::new());
        report.line(format_args!("pymalloc: {misuse}: {address:#x}: {what}"));
        report
    }

    /// A line of its own. Errors of standard error cannot be reported.
    pub(crate) fn line(&mut self, text: fmt::Arguments<'_>) {
        let _ = writeln!(self.0, "{text}");
    }

    /// A stack under a title; nothing where none was taken.
    pub(crate) fn stack(&mut self, title: &str, stack: &Stack) {
        if !stack.is_none() {
            let _ = write!(self.0, "  {title}:\n{stack}");
        }
    }

    /// The lines of 16 bytes around `address`, which is marked, from `from` up to `to`.
    pub(crate) fn bytes(&mut self, address: usize, from: usize, to: usize) {
        let mut line = from & !15;
        while line < to {
            let mut bytes = [0_u8; 16];
            let len = os::peek(line, &mut bytes);
            let is_here = address.wrapping_sub(line) < 16;
            let mark = if is_here { '>' } else { ' ' };
            let _ = write!(self.0, "  {mark} {line:#014x} ");
            for (index, byte) in bytes.get(..len).unwrap_or_default().iter().enumerate() {
                let before = if line + index == address { '[' } else { ' ' };
                let _ = write!(self.0, "{before}{byte:02x}");
            }
            let _ = writeln!(
                self.0,
                "{}",
                if len == 0 { " (cannot be read)" } else { "" }
            );
            // There is none behind the last line of the address space.
            let Some(next) = line.checked_add(16) else {
                break;
            };
            line = next;
        }
    }

    /// Some lines of bytes around an address.
    pub(crate) fn bytes_around(&mut self, address: usize) {
        let from = address.saturating_sub(32);
        self.line(format_args!("  Bytes around {address:#x}:"));
        self.bytes(address, from, address.saturating_add(48));
    }

    /// Ends the process, with the stack of the calling thread.
    pub(crate) fn abort(mut self) -> ! {
        self.stack("found at", &Stack::take());
        drop(self);
        // SAFETY: no requirements.
        unsafe { libc::abort() }
    }

    /// Ends the report, for a process that ends by another hand, if it does.
    pub(crate) fn finish(mut self) {
        self.stack("found at", &Stack::take());
        drop(self);
        forget();
    }
}

/// The thread that reports; 0 for none.
static REPORTER: AtomicI32 = AtomicI32::new(0);

/// Nobody reports: after a report that the process survives, and in the child of a fork, where
/// the one who did is not.
pub(crate) fn forget() {
    // ORDERING: Relaxed, here and below; it is decided who is first, and nothing is handed over.
    REPORTER.store(0, Relaxed);
}

/// Passes the first thread that comes. A second one waits for the process to end, but not for
/// ever: what the first waits for may be the second's. The same one, if a report goes wrong
/// itself, ends it.
fn wait_for_turn() {
    /// Ten seconds, in steps of so many milliseconds.
    const STEPS: usize = 200;
    const STEP: i64 = 50;
    let this = os::thread_id();
    for _ in 0..STEPS {
        match REPORTER.compare_exchange(0, this, Relaxed, Relaxed) {
            Ok(_) => return,
            Err(first) if first == this => break,
            Err(_) => os::sleep(STEP),
        }
    }
    // SAFETY: no requirements.
    unsafe { libc::abort() }
}
