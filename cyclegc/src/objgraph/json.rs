//! Strings of JSON.

use std::fmt::{self, Write};

/// Writes a string as JSON does, quotes included.
pub(super) struct Quoted<'a>(&'a str);

pub(super) fn quoted(text: &str) -> Quoted<'_> {
    Quoted(text)
}

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                // Also what would end a script that this is in.
                '<' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                    write!(f, "\\u{:04x}", u32::from(character))?;
                }
                _ => f.write_char(character)?,
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn what_json_or_a_script_would_take_for_its_own_is_escaped() {
        let text = "a\"b\\c\n\u{1f}</script>\u{2028}\u{fc}";
        let json = "\"a\\\"b\\\\c\\n\\u001f\\u003c/script>\\u2028\u{fc}\"";
        assert_eq!(quoted(text).to_string(), json);
    }
}
