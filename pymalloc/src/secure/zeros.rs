//! Whether a block is all zeros, as a free one is that nobody wrote to.

use crate::os;
use crate::size_class::SizeClass;

/// Whether a block is looked at that was never used: not where that would touch pages that the
/// program may not.
#[inline(always)]
pub(crate) fn is_fresh_looked_at(class: SizeClass) -> bool {
    class.block_size() <= os::MIN_PAGE_SIZE / 2
}

/// Whether a free block is.
///
/// # Safety
/// It is a block of the class, nobody uses it, and it may be read.
#[inline(always)]
pub(crate) unsafe fn is_zero(block: *mut u8, class: SizeClass) -> bool {
    let words = class.block_size() / size_of::<u64>();
    // SAFETY: the caller's promise; blocks are words, aligned to one.
    are_zero(unsafe { core::slice::from_raw_parts(block.cast(), words) })
}

#[inline(always)]
fn are_zero(words: &[u64]) -> bool {
    let all = match (words.first_chunk(), words.last_chunk()) {
        (Some(first), Some(last)) => {
            let rest = words.get(4..).unwrap_or_default();
            // Eight words are the first four and the last.
            let fours = if rest.len() > 4 {
                rest.as_chunks().0
            } else {
                &[]
            };
            fours
                .iter()
                .fold(or(*first, *last), |all, four| or(all, *four))
        }
        _ => words.iter().fold([0; 4], |all, word| or(all, [*word; 4])),
    };
    all.iter().fold(0, |all, word| all | word) == 0
}

#[inline(always)]
fn or(left: [u64; 4], right: [u64; 4]) -> [u64; 4] {
    core::array::from_fn(|index| left[index] | right[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_looked_at() {
        for len in 1..=80 {
            let mut words = vec![0; len];
            assert!(are_zero(&words));
            for index in 0..len {
                words[index] = 1 << 63;
                assert!(!are_zero(&words), "word {index} of {len}");
                words[index] = 0;
            }
        }
    }
}
