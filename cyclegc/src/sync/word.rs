//! The count word: how many handles an object has, and what the collector and the
//! threads tell each other about it.
//!
//! ```text
//!   63    62      61           60       59          58         57         0
//!  DEAD  DIRTY  COLLECTING  PINNED  MUT_TAKEN  UNSHARED  |  number of handles
//! ```
//!
//! Flags lie above the count, so that one compare finds any of them, and the overflow of
//! the count too. ARCHITECTURE.md, "cyclegc::sync", has the protocol and its proof.
//!
//! # Invariants
//!
//! 1. While a handle exists, the value is initialised and is not being dropped, except for
//!    handles inside a set that is `DEAD`.
//! 2. A tracked object without `UNSHARED` is in a list of suspects, or in the hands of the
//!    collector or of the thread that cleared the flag. `UNSHARED` is set only at birth, and
//!    by the collector in the exchange that sees exactly one handle.
//! 3. The value is traced, or asked for its edges, only between [`CountWord::pin`] and
//!    [`CountWord::unpin`], or [`CountWord::begin_proof`] and [`CountWord::end_proof`]. A
//!    `&mut` to it is given out only by [`CountWord::take_mut`], which neither overlaps.
//! 4. Who takes the count to 0 destroys the value, unless the word is `PINNED` or
//!    `COLLECTING` then: the collector does, when it clears the flag and finds 0. Once 0, the
//!    count goes up again only by whoever destroys the value.
//! 5. Every increment after `begin_proof` leaves `DIRTY` before its handle can be used.
//!
//! # Orderings
//!
//! | operation | ordering | pairs with |
//! |---|---|---|
//! | `decrement` | Release | `pass_one`, and `acquire_last` before a value is destroyed |
//! | `settle_increment` | Release | `pin`, `begin_proof`: what was written through a `&mut` |
//! | `pin`, `begin_proof` | Acquire | the above |
//! | `unpin`, `end_proof` | AcqRel | `take_mut`, and `decrement` where the count is 0 |
//! | `take_mut`, `take_last`, `upgrade` | Acquire | `unpin`, `end_proof`, `decrement`; birth |
//! | increments, `pass_two`, `condemn` | Relaxed | the order of this word, or of `pass_one` |

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::sync::types::{AtomicU64, fence, look, maybe_const};

/// The next increment must list the object: no list of suspects has it, or one has it only
/// until an old collection finds it alive like that.
pub(crate) const UNSHARED: u64 = 1 << 58;
/// `get_mut` handed out a `&mut` that may still live.
pub(crate) const MUT_TAKEN: u64 = 1 << 59;
/// The collector traces the value for its guess.
pub(crate) const PINNED: u64 = 1 << 60;
/// The object is under verdict.
pub(crate) const COLLECTING: u64 = 1 << 61;
/// The count went up since `COLLECTING` was set; or at some proof before.
pub(crate) const DIRTY: u64 = 1 << 62;
/// The object is garbage, and the collector destroys it.
pub(crate) const DEAD: u64 = 1 << 63;

/// Below it: a count without flags that may go up by one.
const LIMIT: u64 = 1 << 57;
/// The bits that count. As many handles as there are bytes of memory fit in half of it.
const COUNT: u64 = UNSHARED - 1;

/// See the module.
#[derive(Debug)]
pub(crate) struct CountWord(AtomicU64);

/// What [`CountWord::pin`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Pin {
    /// The value stays until `unpin`.
    Pinned {
        count: u64,
        /// There is one handle, as when `UNSHARED` was set by an earlier `pin`, and there
        /// was no other since.
        still_unshared: bool,
    },
    /// A `&mut` to the value may exist.
    MutTaken,
    /// There is no value.
    Gone,
}

/// What [`CountWord::upgrade`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Upgrade {
    Made {
        /// The caller must list the object.
        must_list: bool,
    },
    Dead,
    /// To be asked again after the verdict.
    UnderVerdict,
    /// To be asked again: somebody in `get_mut` is about to see the weak handle.
    Busy,
}

/// What [`CountWord::take_mut`] and [`CountWord::take_last`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Take {
    Taken,
    /// There are other handles.
    Shared,
    /// To be asked again when the collector has looked at the object.
    Busy,
}

impl CountWord {
    maybe_const! {
        #[inline]
        pub(crate) fn new(word: u64) -> Self {
            CountWord(AtomicU64::new(word))
        }
    }

    /// Number of handles.
    #[inline]
    pub(crate) fn count(&self) -> u64 {
        // ORDERING: Relaxed: some moment's number.
        self.0.load(Relaxed) & COUNT
    }

    /// Whether the value of the object was condemned.
    pub(crate) fn is_dead(&self) -> bool {
        // ORDERING: Relaxed: it is never cleared, and what the answer is good for
        // is said where it is asked.
        self.0.load(Relaxed) & DEAD != 0
    }

    /// Whether a `&mut` to the value may exist.
    pub(crate) fn is_mut_taken(&self) -> bool {
        // ORDERING: Relaxed: decides in which order objects are looked at.
        self.0.load(Relaxed) & MUT_TAKEN != 0
    }

    /// One more handle; returns the word before.
    #[inline(always)]
    pub(crate) fn increment(&self) -> u64 {
        // ORDERING: Relaxed: as `Arc`: the caller has a handle. Where the increment
        // stands in this word's order decides which flags it sees.
        self.0.fetch_add(1, Relaxed)
    }

    /// Nothing is to be done after an increment that saw this.
    #[inline(always)]
    pub(crate) const fn is_plain(before: u64) -> bool {
        before < LIMIT
    }

    /// Does what an increment owes that saw flags; true if the object must be
    /// listed now. Aborts when there are too many handles.
    pub(crate) fn settle_increment(&self, before: u64) -> bool {
        if before & COUNT >= LIMIT {
            too_many_handles();
        }
        if before & COLLECTING != 0 {
            // INVARIANT: 5.
            // ORDERING: Relaxed: who drops the handle that made this access
            // possible does so after it, with Release; see `pass_two`.
            self.0.fetch_or(DIRTY, Relaxed);
        }
        if before & (UNSHARED | MUT_TAKEN) == 0 {
            return false;
        }
        // ORDERING: Release: what was written through a `&mut`, which has ended;
        // pairs with `pin` and `begin_proof`.
        let before = self.0.fetch_and(!(UNSHARED | MUT_TAKEN), Release);
        before & UNSHARED != 0
    }

    /// One handle less; returns the word before.
    #[inline(always)]
    pub(crate) fn decrement(&self) -> u64 {
        // ORDERING: Release: all that was done with the handle comes before the
        // value's end (`acquire_last`), and before the proof that sees this count
        // (`pass_one`).
        self.0.fetch_sub(1, Release)
    }

    /// One handle less, unless it is the only one: then false.
    pub(crate) fn decrement_unless_last(&self) -> bool {
        let mut word = look(&self.0);
        while word & COUNT > 1 {
            // ORDERING: Release: as in `decrement`.
            match self
                .0
                .compare_exchange_weak(word, word - 1, Release, Relaxed)
            {
                Ok(_) => return true,
                Err(newer) => word = newer,
            }
        }
        false
    }

    /// Other handles are left, and nothing is to be done, after a decrement that saw this.
    #[inline(always)]
    pub(crate) const fn leaves_others(before: u64) -> bool {
        before.wrapping_sub(2) < LIMIT - 2
    }

    /// After a decrement that saw this, the caller must end the object.
    #[inline]
    pub(crate) const fn was_last(before: u64) -> bool {
        before & !(UNSHARED | MUT_TAKEN | DIRTY) == 1
    }

    /// All that others did with their handles comes before what follows.
    #[inline(always)]
    pub(crate) fn acquire_last(&self) {
        // ORDERING: Acquire: pairs with Release in `decrement` and `unpin`.
        // (ThreadSanitizer does not know fences.)
        if cfg!(tsan) {
            self.0.load(Acquire);
        } else {
            fence(Acquire);
        }
    }

    /// A handle for whoever is about to destroy the value (invariant 4).
    pub(crate) fn revive(&self) {
        // ORDERING: Release: the value, for `upgrade` of an object that was just made.
        self.0.fetch_add(1, Release);
    }

    /// Keeps the value for the guess; with `mark`, also sets `UNSHARED` on an object with one
    /// handle.
    pub(crate) fn pin(&self, mark: bool) -> Pin {
        let mut word = look(&self.0);
        loop {
            if word & COUNT == 0 || word & DEAD != 0 {
                return Pin::Gone;
            }
            if word & MUT_TAKEN != 0 {
                return Pin::MutTaken;
            }
            // INVARIANT: 2.
            let is_alone = mark && word & COUNT == 1;
            let unshared = if is_alone { UNSHARED } else { 0 };
            // ORDERING: Acquire: pairs with Release in `settle_increment`.
            match self
                .0
                .compare_exchange_weak(word, word | PINNED | unshared, Acquire, Relaxed)
            {
                Ok(_) => {
                    return Pin::Pinned {
                        count: word & COUNT,
                        still_unshared: is_alone && word & UNSHARED != 0,
                    };
                }
                Err(newer) => word = newer,
            }
        }
    }

    /// Ends what `pin` began; true if the last handle went meanwhile, so that the
    /// caller must end the object.
    #[must_use]
    pub(crate) fn unpin(&self) -> bool {
        // ORDERING: Release: the tracing comes before a `&mut` (`take_mut`) and before
        // the value's end (`acquire_last`). Acquire: the caller may be who ends it.
        self.0.fetch_and(!PINNED, AcqRel) & COUNT == 0
    }

    /// Puts the object under verdict; false if it has no value, or a `&mut` to it may
    /// exist.
    pub(crate) fn begin_proof(&self) -> bool {
        let mut word = look(&self.0);
        loop {
            if word & COUNT == 0 || word & (DEAD | MUT_TAKEN) != 0 {
                return false;
            }
            // What an increment left behind that was slow to leave it is not news: the
            // count has it.
            let clean = word & !DIRTY;
            // ORDERING: Acquire: as in `pin`.
            match self
                .0
                .compare_exchange_weak(word, clean | COLLECTING, Acquire, Relaxed)
            {
                Ok(_) => return true,
                Err(newer) => word = newer,
            }
        }
    }

    /// The number of handles, unless there were more since `begin_proof`.
    pub(crate) fn pass_one(&self) -> Option<u64> {
        // ORDERING: Acquire: of each handle whose decrement is seen, all that was done
        // with it; pairs with Release in `decrement`.
        let word = self.0.load(Acquire);
        (word & DIRTY == 0).then_some(word & COUNT)
    }

    /// Whether the count never went up since `begin_proof`.
    pub(crate) fn pass_two(&self) -> bool {
        // ORDERING: Relaxed: a `DIRTY` that matters was written before a decrement
        // that `pass_one` has seen.
        self.0.load(Relaxed) & DIRTY == 0
    }

    /// The verdict: alive. True if the last handle went meanwhile, so that the caller
    /// must end the object.
    #[must_use]
    pub(crate) fn end_proof(&self) -> bool {
        // ORDERING: AcqRel: as in `unpin`.
        self.0.fetch_and(!COLLECTING, AcqRel) & COUNT == 0
    }

    /// The verdict: garbage.
    pub(crate) fn condemn(&self) {
        // ORDERING: Relaxed: no thread but the collector's has access from here.
        self.0.fetch_or(DEAD, Relaxed);
    }

    /// A handle from a weak one.
    pub(crate) fn upgrade(&self) -> Upgrade {
        let mut word = look(&self.0);
        loop {
            if word & COUNT == 0 || word & DEAD != 0 {
                return Upgrade::Dead;
            }
            if word & COLLECTING != 0 {
                return Upgrade::UnderVerdict;
            }
            if word & MUT_TAKEN != 0 {
                return Upgrade::Busy;
            }
            if word & COUNT >= LIMIT {
                too_many_handles();
            }
            // ORDERING: Acquire: the value, of an object that was just made; and that
            // its weak handles were cleared, if they were (`end_proof`).
            match self
                .0
                .compare_exchange_weak(word, (word + 1) & !UNSHARED, Acquire, Relaxed)
            {
                Ok(_) => {
                    return Upgrade::Made {
                        must_list: word & UNSHARED != 0,
                    };
                }
                Err(newer) => word = newer,
            }
        }
    }

    /// Takes the right to a `&mut`, if there is one handle; the caller owns it.
    pub(crate) fn take_mut(&self) -> Take {
        self.take(|word| word | MUT_TAKEN)
    }

    /// Takes the last handle; the caller owns it.
    pub(crate) fn take_last(&self) -> Take {
        self.take(|word| word & !COUNT)
    }

    fn take(&self, change: impl Fn(u64) -> u64) -> Take {
        let mut word = look(&self.0);
        loop {
            if word & COUNT != 1 {
                return Take::Shared;
            }
            if word & (PINNED | COLLECTING) != 0 {
                return Take::Busy;
            }
            // ORDERING: Acquire: all that was done with other handles, and the
            // collector's tracing; pairs with `decrement`, `unpin` and `end_proof`.
            match self
                .0
                .compare_exchange_weak(word, change(word), Acquire, Relaxed)
            {
                Ok(_) => return Take::Taken,
                Err(newer) => word = newer,
            }
        }
    }

    /// The `&mut` of `take_mut` is not there, or not any more.
    pub(crate) fn let_mut_go(&self) {
        // ORDERING: Relaxed: the usual case, in which there is nothing to do. Who
        // calls this knows of the last `take_mut`: it used the same handle.
        if self.0.load(Relaxed) & MUT_TAKEN != 0 {
            // ORDERING: Release: as in `settle_increment`.
            self.0.fetch_and(!MUT_TAKEN, Release);
        }
    }
}

#[cold]
fn too_many_handles() -> ! {
    crate::debug::abort(format_args!("too many handles to one object"))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_compare_finds_what_a_decrement_owes() {
        for flags in [0, UNSHARED, MUT_TAKEN, PINNED, COLLECTING, DEAD] {
            assert!(!CountWord::leaves_others(flags | 1));
            assert_eq!(CountWord::leaves_others(flags | 2), flags == 0);
        }
        assert!(CountWord::leaves_others(LIMIT - 1));
        assert!(CountWord::was_last(1 | UNSHARED | MUT_TAKEN | DIRTY));
        assert!(!CountWord::was_last(1 | PINNED) && !CountWord::was_last(2 | UNSHARED));
    }

    #[test]
    fn a_second_handle_ends_what_two_pins_saw() {
        let word = CountWord::new(2);
        let pin = || {
            let Pin::Pinned { still_unshared, .. } = word.pin(true) else {
                panic!("there is a value");
            };
            assert!(!word.unpin());
            still_unshared
        };
        assert!(!pin() && !pin());
        assert_eq!(word.decrement(), 2);
        assert!(!pin() && pin());
        let before = word.increment();
        assert!(!CountWord::is_plain(before) && word.settle_increment(before));
        assert!(!pin());
        assert_eq!(word.decrement(), 2);
        assert!(!pin() && pin());
    }

    #[test]
    fn who_drops_the_last_handle_of_a_pinned_object_leaves_it() {
        let word = CountWord::new(1 | UNSHARED);
        assert!(matches!(word.pin(false), Pin::Pinned { count: 1, .. }));
        assert_eq!(word.take_mut(), Take::Busy);
        assert!(!CountWord::was_last(word.decrement()));
        assert!(word.unpin());
        assert_eq!(word.upgrade(), Upgrade::Dead);
        assert!(!word.begin_proof());
    }
}
