//! What a thread knows of tracing: the bytes it may allocate before it looks again.
//!
//! ```text
//!  budget ──spend──▶ below 0 ──▶ is_due: the state, again
//!                                 off      64 KiB more
//!                                 exact    due; the budget stays below 0
//!                                 sampled  `rest` is not used up: as much of it as 64 KiB
//!                                          else due, and a new draw
//! ```
//! A sample is due where an exponential draw runs out, so each byte is as likely as any other
//! to be the one, whatever came before: of `n` bytes in one block it is with the probability
//! `1 - exp(-n / mean)`. How far an allocation went beyond the draw does not matter.
//!
//! # Access
//! The thread alone; a signal handler on it reads, and leaves everything as it was.

use core::cell::Cell;

use super::{EXACT, MODE_BITS, OFF, SAMPLED, TRACER, state};
use crate::heap::Heap;

/// A thread looks at the state again after this many bytes.
const LOOK_AGAIN: i64 = 64 << 10;

/// In the place of a draw.
const TO_BE_DRAWN: i64 = -1;

/// The thread's part of tracing. All zeros before its first allocation.
#[derive(Debug)]
pub(crate) struct HeapTrace {
    budget: Cell<i64>,
    /// What remains of the draw when the budget has run out.
    rest: Cell<i64>,
    /// The state that the thread noticed last.
    seen: Cell<u32>,
    inside: Cell<bool>,
    quiet: Cell<bool>,
}

impl HeapTrace {
    /// Nothing noticed, no bytes to spend.
    pub(crate) const fn new() -> Self {
        Self {
            budget: Cell::new(0),
            rest: Cell::new(0),
            seen: Cell::new(OFF),
            inside: Cell::new(false),
            quiet: Cell::new(false),
        }
    }

    /// Spends bytes; whether the thread has to look again.
    #[inline(always)]
    pub(crate) fn spend(&self, size: usize) -> bool {
        let budget = self.budget.get().wrapping_sub_unsigned(size as u64);
        self.budget.set(budget);
        budget < 0
    }

    /// Spends bytes if there are that many; whether there were.
    #[inline(always)]
    pub(crate) fn spend_if_enough(&self, size: usize) -> bool {
        let budget = self.budget.get().wrapping_sub_unsigned(size as u64);
        let enough = budget >= 0;
        if enough {
            self.budget.set(budget);
        }
        enough
    }

    /// Whether every block is traced.
    #[inline(always)]
    pub(crate) fn is_exact(&self) -> bool {
        self.seen.get() & MODE_BITS == EXACT
    }

    /// Whether the thread is inside a call of the tracer's.
    pub(crate) fn is_inside(&self) -> bool {
        self.inside.get()
    }

    /// Whether allocations are not to be traced; the answer that held before.
    pub(super) fn set_quiet(&self, quiet: bool) -> bool {
        self.quiet.replace(quiet)
    }

    /// Calls the tracer, unless the thread is there already, or quiet.
    #[inline(always)]
    pub(super) fn inside(&self, call: impl FnOnce()) {
        if !self.quiet.get() {
            self.inside_even_if_quiet(call);
        }
    }

    /// Calls the tracer, unless the thread is there already.
    #[inline(always)]
    pub(super) fn inside_even_if_quiet(&self, call: impl FnOnce()) {
        if !self.inside.replace(true) {
            call();
            self.inside.set(false);
        }
    }

    /// Draws anew; inside the tracer, which cannot be asked then, later.
    fn draw(&self) {
        self.rest.set(TO_BE_DRAWN);
        self.inside_even_if_quiet(|| {
            if let Some(tracer) = TRACER.get() {
                let bytes = tracer.bytes_to_next_sample();
                self.rest.set(i64::try_from(bytes).unwrap_or(i64::MAX));
            }
        });
    }

    /// Moves bytes of the draw to the budget; whether there were enough.
    fn refill_from_draw(&self) -> bool {
        let (budget, rest) = (self.budget.get(), self.rest.get());
        if budget < 0 && rest > 0 {
            let step = rest.min(LOOK_AGAIN.max(budget.saturating_neg()));
            self.rest.set(rest - step);
            self.budget.set(budget + step);
        }
        self.budget.get() >= 0
    }
}

impl Heap {
    /// Whether an allocation is to be traced, whose bytes were more than the budget.
    pub(super) fn is_due(&self) -> bool {
        self.notice();
        let trace = &self.trace;
        match trace.seen.get() & MODE_BITS {
            EXACT => {
                trace.budget.set(-1);
                true
            }
            SAMPLED => {
                if trace.rest.get() == TO_BE_DRAWN {
                    trace.draw();
                }
                let due = !trace.refill_from_draw();
                if due {
                    trace.draw();
                    trace.budget.set(0);
                }
                due
            }
            _ => {
                trace.budget.set(LOOK_AGAIN);
                false
            }
        }
    }

    /// Learns of a state that is new to the thread.
    pub(super) fn notice(&self) {
        let (trace, now) = (&self.trace, state());
        if trace.seen.get() == now {
            return;
        }
        trace.seen.set(now);
        match now & MODE_BITS {
            EXACT => trace.budget.set(-1),
            // What the allocation under way has spent is spent of the new draw.
            SAMPLED => {
                trace.draw();
                trace.budget.set(trace.budget.get().min(0));
            }
            _ => trace.budget.set(0),
        }
        self.reopen_fronts();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(budget: i64, rest: i64) -> (bool, i64, i64) {
        let trace = HeapTrace::new();
        trace.budget.set(budget);
        trace.rest.set(rest);
        let is_enough = trace.refill_from_draw();
        (is_enough, trace.budget.get(), trace.rest.get())
    }

    #[test]
    fn a_draw_is_spent_in_steps_that_are_large_enough() {
        assert_eq!(
            with(-1, 1 << 20),
            (true, LOOK_AGAIN - 1, (1 << 20) - LOOK_AGAIN)
        );
        assert_eq!(with(-100_000, 1 << 20), (true, 0, (1 << 20) - 100_000));
        assert_eq!(with(-100_000, 30_000), (false, -70_000, 0));
        assert_eq!(with(-5, TO_BE_DRAWN), (false, -5, TO_BE_DRAWN));
        // A draw for "never", and a request that no memory is large enough for.
        let all = isize::MAX as i64;
        assert_eq!(with(-all, i64::MAX), (true, 0, 0));
        assert!(with(i64::MIN, i64::MAX).1 >= -1);
    }
}
