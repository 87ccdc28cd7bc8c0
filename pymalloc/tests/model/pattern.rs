//! Fill patterns: what a block's bytes are, from its id alone.

/// Bytes in one period. A prime, so that no shift by a word, a block, or a
/// page looks like the pattern itself.
const PERIOD: usize = 61;
const ZEROS: [u8; 4096] = [0; 4096];

/// The bytes that one block must hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pattern {
    period: [u8; PERIOD],
}

impl Pattern {
    /// The pattern of a block's id.
    pub(crate) fn of(id: u64) -> Self {
        let mut state = id;
        let period = std::array::from_fn(|_| {
            // Knuth's MMIX generator; its high bits are the good ones.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        });
        Self { period }
    }

    /// Writes the pattern over a block that the caller owns.
    pub(crate) fn fill(&self, start: *mut u8, len: usize) {
        let head = len.min(PERIOD);
        // SAFETY: the caller owns `len` bytes at `start`; `period` has `head`.
        unsafe { start.copy_from_nonoverlapping(self.period.as_ptr(), head) };
        let mut filled = head;
        while filled < len {
            let more = filled.min(len - filled);
            // Whole periods but for the last round: the pattern stays in step.
            let end = start.wrapping_add(filled);
            // SAFETY: `more` bytes lie before `end` and `more` behind it, all
            // in the caller's `len`.
            unsafe { end.copy_from_nonoverlapping(start, more) };
            filled += more;
        }
    }

    /// Whether a block's first `len` bytes hold the pattern.
    pub(crate) fn is_at(&self, start: *const u8, len: usize) -> bool {
        if len == 0 {
            return true;
        }
        // SAFETY: the caller owns `len` bytes here and has filled them.
        let bytes = unsafe { std::slice::from_raw_parts(start, len) };
        let head = len.min(PERIOD);
        bytes[..head] == self.period[..head] && bytes[head..] == bytes[..len - head]
    }
}

/// Whether every byte is zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes
        .chunks(ZEROS.len())
        .all(|chunk| *chunk == ZEROS[..chunk.len()])
}
