//! Objects that collections leave alone.

use crate::generation::{Generation, PERMANENT};
use crate::module::generation_sizes;
use crate::state::{self, State};

/// Takes all tracked objects out of the collections to come (`gc.freeze`).
///
/// They still die by counting. The counts of [`count`](crate::count) become
/// 0.
///
/// ```
/// use cyclegc::Gc;
///
/// let list = Gc::new(vec![Gc::new(1)]);
/// cyclegc::freeze();
/// assert_eq!(cyclegc::frozen_count(), 1);
/// cyclegc::unfreeze();
/// assert_eq!(cyclegc::frozen_count(), 0);
/// # drop(list);
/// ```
pub fn freeze() {
    state::with(|state| {
        if state.collecting.get() {
            return;
        }
        if state.epochs.must_renumber() {
            state.renumber_epochs();
        }
        for generation in 0..PERMANENT {
            move_suspects(state, generation, PERMANENT);
        }
        state.epochs.freeze();
        state.reset_young_count();
        state.counts.reset();
        state.frozen_live.set(state.tracked_count());
    });
}

/// Makes frozen objects old again (`gc.unfreeze`).
///
/// ```
/// cyclegc::freeze();
/// cyclegc::unfreeze();
/// assert_eq!(cyclegc::frozen_count(), 0);
/// ```
pub fn unfreeze() {
    state::with(|state| {
        if state.collecting.get() {
            return;
        }
        move_suspects(state, PERMANENT, Generation::Old.index());
        state.epochs.unfreeze();
        state.frozen_live.set(0);
    });
}

fn move_suspects(state: &State, from: usize, to: usize) {
    let mut objects = Vec::new();
    state.suspects[from].drain_to(&mut objects);
    for object in objects {
        // SAFETY: a suspect is tracked and alive, and its array was emptied.
        unsafe { state.add_suspect(object, to) };
    }
}

/// The number of frozen objects (`gc.get_freeze_count`).
///
/// Costs a visit to every tracked object.
///
/// ```
/// assert_eq!(cyclegc::frozen_count(), 0);
/// ```
#[must_use]
pub fn frozen_count() -> usize {
    state::with(|state| generation_sizes(state)[PERMANENT])
}
