//! Numbers that look random and are the same in every run.

/// Marsaglia's xorshift with 64 bits of state.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Starts the one sequence that all measurements share.
    #[must_use]
    pub fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    /// Starts the `n`-th of many sequences: one a thread.
    #[must_use]
    pub fn nth(n: usize) -> Self {
        let mut random =
            Self(0x9e37_79b9_7f4a_7c15 ^ (n as u64 + 1).wrapping_mul(0xd134_2543_de82_ef95));
        random.next();
        random
    }

    /// The next 64 bits.
    #[inline]
    #[expect(
        clippy::should_implement_trait,
        reason = "it never ends, so an Option says nothing"
    )]
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `limit`, which is not 0.
    #[inline]
    pub fn below(&mut self, limit: usize) -> usize {
        // The remainder keeps it below a usize.
        (self.next() % limit as u64) as usize
    }

    /// Puts `items` into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_loses_nothing_and_moves_something() {
        let mut items: Vec<_> = (0..1000).collect();
        Random::new().shuffle(&mut items);
        assert!(!items.is_sorted());
        items.sort_unstable();
        assert!(items.iter().copied().eq(0..1000));
    }

    #[test]
    fn each_thread_has_a_sequence_of_its_own() {
        let first = |n| Random::nth(n).next();
        let mut firsts: Vec<_> = (0..100).map(first).collect();
        firsts.sort_unstable();
        firsts.dedup();
        assert_eq!(firsts.len(), 100);
    }
}
