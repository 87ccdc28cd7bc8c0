//! Which bytes are samples, and what a sample stands for.
//!
//! Samples are the points of a Poisson process along the bytes that a thread allocates, `period`
//! bytes apart on average. A block of `n` bytes is recorded if a point falls into it, which has
//! the chance `p = 1 - exp(-n / period)`, whatever came before. It then stands for `1 / p` blocks
//! of its size (Horvitz and Thompson 1952): the sum over all samples is right on average, for
//! each size and in each part of the program, however few samples there are. Its variance is
//! estimated by the sum of `(1 - p) / p²`, times `n²` for bytes.

/// The chance of a block of `size` bytes to be a sample.
pub(super) fn chance(size: usize, period: u64) -> f64 {
    -(-(size as f64) / period as f64).exp_m1()
}

/// The bytes to the next sample: an exponential variate, from 53 random bits. Rounded down: `n`
/// bytes are more than the whole number if and only if they are more than the variate.
pub(super) fn draw(random: u64, period: u64) -> u64 {
    // In (0, 1], so that the logarithm is finite.
    let uniform = ((random >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    (-uniform.ln() * period as f64) as u64
}

/// The next number of a sequence (SplitMix64), whose state is passed on.
pub(super) fn next_random(state: u64) -> (u64, u64) {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut x = state;
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31), state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_hit_a_block_as_often_as_its_chance_says() {
        const PERIOD: u64 = 10_000;
        let mut state = 1;
        let draws: Vec<u64> = std::iter::repeat_with(|| {
            let (random, next) = next_random(state);
            state = next;
            draw(random, PERIOD)
        })
        .take(1_000_000)
        .collect();
        for size in [1, 100, 10_000, 50_000] {
            let hits = draws.iter().filter(|&&draw| size as u64 > draw).count() as f64;
            let p = chance(size, PERIOD);
            let likely = p * draws.len() as f64;
            let deviation = (likely * (1.0 - p)).sqrt();
            assert!(
                (hits - likely).abs() < 5.0 * deviation,
                "{size}: {hits} {likely}"
            );
        }
    }
}
