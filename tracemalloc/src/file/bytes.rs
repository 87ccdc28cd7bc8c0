//! Numbers and texts in a payload.

/// A payload while it is written.
#[derive(Default)]
pub(super) struct Out(pub(super) Vec<u8>);

impl Out {
    /// LEB128: seven bits a byte, the lowest first.
    pub(super) fn number(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.0.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
    }

    pub(super) fn len(&mut self, n: usize) {
        self.number(n as u64);
    }

    /// The difference from `before` to `n`, small if they are near each other.
    pub(super) fn step(&mut self, before: u64, n: u64) {
        let difference = n.wrapping_sub(before) as i64;
        self.number(((difference << 1) ^ (difference >> 63)) as u64);
    }

    pub(super) fn float(&mut self, x: f64) {
        self.0.extend_from_slice(&x.to_le_bytes());
    }

    pub(super) fn blob(&mut self, bytes: &[u8]) {
        self.len(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.blob(text.as_bytes());
    }
}

/// A payload that is being read. What it yields may be any value; who reads it checks.
pub(super) struct In<'a>(pub(super) &'a [u8]);

/// What is wrong with a payload.
pub(super) type Wrong = &'static str;

const SHORT: Wrong = "a part ends too early";

impl<'a> In<'a> {
    pub(super) fn number(&mut self) -> Result<u64, Wrong> {
        let mut n = 0;
        for shift in (0..70).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or(SHORT)?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if shift == 63 && bits > 1 {
                break;
            }
            n |= bits << shift;
            if byte < 0x80 {
                return Ok(n);
            }
        }
        Err("a number is too large")
    }

    pub(super) fn size(&mut self) -> Result<usize, Wrong> {
        usize::try_from(self.number()?).map_err(|_| "an address is too large for this machine")
    }

    pub(super) fn small(&mut self) -> Result<u32, Wrong> {
        u32::try_from(self.number()?).map_err(|_| "a number is too large")
    }

    /// How many of something follow, each of which takes a byte at least: so no more than there
    /// are bytes, and room may be made for them.
    pub(super) fn count(&mut self) -> Result<usize, Wrong> {
        let count = self.size()?;
        if count > self.0.len() {
            return Err("a count is larger than what follows");
        }
        Ok(count)
    }

    pub(super) fn step(&mut self, before: u64) -> Result<u64, Wrong> {
        let n = self.number()?;
        let difference = (n >> 1) as i64 ^ -((n & 1) as i64);
        Ok(before.wrapping_add(difference as u64))
    }

    pub(super) fn float(&mut self) -> Result<f64, Wrong> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(f64::from_le_bytes(*bytes))
    }

    pub(super) fn blob(&mut self) -> Result<&'a [u8], Wrong> {
        let len = self.count()?;
        let (bytes, rest) = self.0.split_at(len);
        self.0 = rest;
        Ok(bytes)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Wrong> {
        std::str::from_utf8(self.blob()?).map_err(|_| "a name is not UTF-8")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_steps_come_back() {
        let numbers = [0, 1, 127, 128, u64::from(u32::MAX), u64::MAX - 1, u64::MAX];
        let mut out = Out::default();
        for n in numbers {
            out.number(n);
            out.step(numbers[3], n);
            out.step(n, numbers[3]);
        }
        let mut bytes = In(&out.0);
        for n in numbers {
            assert_eq!(bytes.number(), Ok(n));
            assert_eq!(bytes.step(numbers[3]), Ok(n));
            assert_eq!(bytes.step(n), Ok(numbers[3]));
        }
        assert_eq!(bytes.number(), Err(SHORT));
    }

    #[test]
    fn a_number_of_more_than_64_bits_is_refused() {
        assert!(In(&[0xff; 20]).number().is_err());
        assert!(
            In(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2])
                .number()
                .is_err()
        );
    }

    #[test]
    fn a_count_beyond_the_end_is_refused() {
        let mut out = Out::default();
        out.number(1 << 40);
        out.0.extend([0; 100]);
        assert!(In(&out.0).count().is_err());
        assert!(In(&out.0).blob().is_err());
    }
}
