//! Bytes as people read them.

use std::fmt;

/// Writes bytes, KiB, MiB or GiB with at most two decimals.
#[derive(Clone, Copy)]
pub(super) struct Bytes(pub(super) i64);

/// [`Bytes`] of a size.
pub(super) fn bytes(size_bytes: usize) -> Bytes {
    Bytes(i64::try_from(size_bytes).unwrap_or(i64::MAX))
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
        if self.0.unsigned_abs() < 1024 {
            return f.pad(&format!("{} B", self.0));
        }
        #[allow(clippy::cast_precision_loss, reason = "two decimals are shown")]
        let mut size = self.0 as f64 / 1024.0;
        let mut unit = 0;
        while size.abs() >= 1024.0 && unit + 1 < UNITS.len() {
            size /= 1024.0;
            unit += 1;
        }
        f.pad(&format!("{size:.2} {}", UNITS[unit]))
    }
}

#[cfg(test)]
mod tests {
    use super::Bytes;

    #[test]
    fn units_change_at_1024() {
        let texts =
            [0, 1023, 1024, -1536, 1 << 20, 5 << 30, i64::MAX].map(|n| Bytes(n).to_string());
        let expected = [
            "0 B",
            "1023 B",
            "1.00 KiB",
            "-1.50 KiB",
            "1.00 MiB",
            "5.00 GiB",
            "8388608.00 TiB",
        ];
        assert_eq!(texts, expected);
        assert_eq!(format!("{:>10}|", Bytes(5)), "       5 B|");
    }
}
