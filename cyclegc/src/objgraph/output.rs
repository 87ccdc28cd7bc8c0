//! Text and numbers, gathered and written in large pieces.

use std::fmt;
use std::io::{self, Write};

const PIECE: usize = 64 * 1024;

/// As `print!`, but nothing happens if nobody listens there.
pub(crate) fn print_out(text: fmt::Arguments<'_>) {
    let _ = io::stdout().write_fmt(text);
}

/// Writes to `out` when there is enough; [`Self::finish`] writes the rest.
pub(super) struct Output<'a, W> {
    out: &'a mut W,
    waiting: Vec<u8>,
}

impl<'a, W: Write> Output<'a, W> {
    pub(super) fn new(out: &'a mut W) -> Self {
        Output {
            out,
            waiting: Vec::with_capacity(PIECE + 4096),
        }
    }

    pub(super) fn text(&mut self, text: &str) -> io::Result<()> {
        self.waiting.extend_from_slice(text.as_bytes());
        if self.waiting.len() >= PIECE {
            self.write_waiting()?;
        }
        Ok(())
    }

    pub(super) fn format(&mut self, arguments: fmt::Arguments<'_>) -> io::Result<()> {
        self.waiting.write_fmt(arguments)?;
        self.text("")
    }

    /// Numbers with commas between, in a fraction of the time that formatting takes.
    pub(super) fn numbers<const N: usize>(&mut self, numbers: [u64; N]) -> io::Result<()> {
        for (index, number) in numbers.into_iter().enumerate() {
            if index > 0 {
                self.waiting.push(b',');
            }
            self.number(number);
        }
        self.text("")
    }

    fn number(&mut self, mut number: u64) {
        let mut digits = [0_u8; 20];
        let mut start = digits.len();
        loop {
            start -= 1;
            #[allow(clippy::cast_possible_truncation, reason = "it is below 10")]
            {
                digits[start] = b'0' + (number % 10) as u8;
            }
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.waiting.extend_from_slice(&digits[start..]);
    }

    fn write_waiting(&mut self) -> io::Result<()> {
        self.out.write_all(&self.waiting)?;
        self.waiting.clear();
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.write_waiting()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_text_are_written_in_order() {
        let mut written = Vec::new();
        let mut out = Output::new(&mut written);
        out.text("[").expect("a vector");
        out.numbers([0, 9, 10, u64::MAX]).expect("a vector");
        out.format(format_args!(";{:>3}", 7)).expect("a vector");
        for _ in 0..PIECE {
            out.text("x").expect("a vector");
        }
        out.finish().expect("a vector");
        let text = String::from_utf8(written).expect("text");
        assert!(text.starts_with("[0,9,10,18446744073709551615;  7xxx"));
        assert_eq!(text.len(), 32 + PIECE);
    }
}
