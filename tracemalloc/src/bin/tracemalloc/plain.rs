//! Text for a terminal: what a file says must not move the cursor, or more.

use std::borrow::Cow;
use std::io::{self, Write};

/// Passes text on, with each control character but line ends and tabs as `\u{1b}`.
pub(crate) struct Plain<'a>(pub(crate) &'a mut dyn Write);

impl Write for Plain<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let plain = plain(&String::from_utf8_lossy(text)).into_owned();
        self.0.write_all(plain.as_bytes())?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The same of a text.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    escape(text, |c| c.is_control() && !matches!(c, '\n' | '\t'))
}

/// The same of a text that is to stay in its line and its column: of line ends and tabs, too.
pub(crate) fn plain_line(text: &str) -> Cow<'_, str> {
    escape(text, char::is_control)
}

fn escape(text: &str, is_control: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_control) {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len() + 5);
    for c in text.chars() {
        if is_control(c) {
            plain.extend(c.escape_unicode());
        } else {
            plain.push(c);
        }
    }
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_not_sent() {
        let mut out = Vec::new();
        writeln!(Plain(&mut out), "a\tb\x1b[2J\rü\x7f\u{9b}1m").unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "a\tb\\u{1b}[2J\\u{d}ü\\u{7f}\\u{9b}1m\n");
    }

    #[test]
    fn a_line_has_no_end_and_no_column_either() {
        assert_eq!(plain_line("a\tb\nü"), r"a\u{9}b\u{a}ü");
        assert!(matches!(plain_line("src/a.rs"), Cow::Borrowed(_)));
    }
}
