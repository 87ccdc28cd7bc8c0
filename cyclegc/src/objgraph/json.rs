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
    fn any_text_comes_back() {
        let text = "a\"b\\c\n\u{0}\u{1f}</script>\u{2028}ü";
        let json = quoted(text).to_string();
        assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), text);
        assert!(!json.contains('<'));
    }
}
