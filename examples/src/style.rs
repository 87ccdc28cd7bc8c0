//! Bold and dim on a terminal, nothing elsewhere.

use std::fmt;
use std::io::IsTerminal;

/// Whether and how to emphasise.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    is_plain: bool,
}

impl Style {
    /// For the standard output: emphasis on a terminal without `NO_COLOR`.
    #[must_use]
    pub fn for_stdout() -> Self {
        let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            is_plain: is_refused || !std::io::stdout().is_terminal(),
        }
    }

    /// No emphasis.
    #[must_use]
    pub fn plain() -> Self {
        Self { is_plain: true }
    }

    /// Something that matters.
    #[must_use]
    pub fn bold<T: fmt::Display>(self, content: T) -> Styled<T> {
        self.styled("\x1b[1m", content)
    }

    /// Something that can be overlooked.
    #[must_use]
    pub fn dim<T: fmt::Display>(self, content: T) -> Styled<T> {
        self.styled("\x1b[2m", content)
    }

    fn styled<T>(self, code: &'static str, content: T) -> Styled<T> {
        Styled {
            code: if self.is_plain { "" } else { code },
            content,
        }
    }
}

/// Content with its emphasis; width and precision apply to the content alone.
#[derive(Debug)]
pub struct Styled<T> {
    code: &'static str,
    content: T,
}

impl<T: fmt::Display> fmt::Display for Styled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code)?;
        self.content.fmt(f)?;
        if self.code.is_empty() {
            return Ok(());
        }
        f.write_str("\x1b[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn width_does_not_count_the_emphasis() {
        let style = Style { is_plain: false };
        assert_eq!(format!("{:>4}|", style.bold("ab")), "\x1b[1m  ab\x1b[0m|");
        assert_eq!(format!("{:>4}|", Style::plain().bold("ab")), "  ab|");
    }
}
