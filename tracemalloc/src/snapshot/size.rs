//! Sizes as CPython writes them.

use std::fmt;

/// A number of bytes, shown with the unit that leaves it three to five digits: `4855 KiB`.
///
/// [`signed`](Self::signed) shows a plus before what is not negative, as in differences.
/// (CPython: `tracemalloc._format_size`.)
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Size {
    bytes: f64,
    signed: bool,
}

impl Size {
    /// So many bytes.
    #[must_use]
    pub const fn new(bytes: f64) -> Self {
        Self {
            bytes,
            signed: false,
        }
    }

    /// So many bytes more or less than before.
    #[must_use]
    pub const fn signed(bytes: f64) -> Self {
        Self {
            bytes,
            signed: true,
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
        let mut size = self.bytes;
        for (i, unit) in UNITS.iter().enumerate() {
            let digits = usize::from(i > 0 && size.abs() < 100.0);
            if digits == 1 || size.abs() < 10.0 * 1024.0 || i + 1 == UNITS.len() {
                return if self.signed {
                    write!(f, "{size:+.digits$} {unit}")
                } else {
                    write!(f, "{size:.digits$} {unit}")
                };
            }
            size /= 1024.0;
        }
        unreachable!("the last unit takes any size")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_three_to_five_digits() {
        let shown = |bytes| Size::new(bytes).to_string();
        assert_eq!(shown(0.0), "0 B");
        assert_eq!(shown(10.0 * 1024.0 - 1.0), "10239 B");
        assert_eq!(shown(10.0 * 1024.0), "10.0 KiB");
        assert_eq!(shown(4855.0 * 1024.0), "4855 KiB");
        assert_eq!(shown(1e17), "90949 TiB");
        assert_eq!(Size::signed(0.0).to_string(), "+0 B");
        assert_eq!(Size::signed(-4428.0 * 1024.0).to_string(), "-4428 KiB");
    }
}
