//! Names of links and types.
//!
//! A million links have few different names: texts are stored once, and an index
//! at the end of a name, as in `.children[3]`, is kept as a number beside it.

use std::collections::HashMap;
use std::fmt;

use super::hash::FastHash;

/// The name of a link: a text, and an index if the name ends with one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Name {
    text: u32,
    index: u32,
}

impl Name {
    /// Equal for equal names.
    pub(super) fn key(self) -> (u32, u32) {
        (self.text, self.index)
    }

    /// The name with any index, if it has one.
    pub(super) fn shape(self) -> (u32, bool) {
        (self.text, self.index != NO_INDEX)
    }
}

const NO_INDEX: u32 = u32::MAX;

/// The texts, one after the other.
#[derive(Default)]
pub(super) struct Names {
    texts: String,
    ends: Vec<u32>,
}

/// Finds the texts that are there already.
#[derive(Default)]
pub(super) struct NameTable {
    names: Names,
    numbers: HashMap<Box<str>, u32, FastHash>,
}

impl NameTable {
    /// The name for `text`.
    pub(super) fn intern(&mut self, text: &str) -> Name {
        let (text, index) = split_index(text);
        let number = match self.numbers.get(text) {
            Some(number) => *number,
            None => {
                let number = self.names.push(text);
                self.numbers.insert(text.into(), number);
                number
            }
        };
        Name {
            text: number,
            index,
        }
    }

    pub(super) fn finish(self) -> Names {
        self.names
    }
}

impl Names {
    fn push(&mut self, text: &str) -> u32 {
        let number = u32::try_from(self.ends.len()).expect("fewer than 2^32 names");
        self.texts.push_str(text);
        let end = u32::try_from(self.texts.len()).expect("names of less than 4 GiB");
        self.ends.push(end);
        number
    }

    /// The text of a name without its index, and the index.
    pub(super) fn parts(&self, name: Name) -> (&str, Option<u32>) {
        let number = name.text as usize;
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]) as usize;
        let text = &self.texts[start..self.ends[number] as usize];
        (text, (name.index != NO_INDEX).then_some(name.index))
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.texts.capacity() + self.ends.capacity() * size_of::<u32>()
    }
}

/// Writes a name as it was.
pub(super) fn write_name(
    f: &mut dyn fmt::Write,
    (text, index): (&str, Option<u32>),
) -> fmt::Result {
    f.write_str(text)?;
    match index {
        Some(index) => write!(f, "[{index}]"),
        None => Ok(()),
    }
}

/// `.children[3]` as `.children` and 3; all of it and [`NO_INDEX`] if there is no such
/// number.
fn split_index(text: &str) -> (&str, u32) {
    let split = || {
        let (before, digits) = text.strip_suffix(']')?.rsplit_once('[')?;
        // So that the name is written as it was.
        let plain = digits.bytes().all(|b| b.is_ascii_digit());
        let leads_with_zero = digits.len() > 1 && digits.starts_with('0');
        let index = digits.parse().ok()?;
        (plain && !leads_with_zero && index != NO_INDEX).then_some((before, index))
    };
    split().unwrap_or((text, NO_INDEX))
}

/// A type's name without the modules: `RefCell<Vec<Node>>` for
/// `core::cell::RefCell<alloc::vec::Vec<app::Node>>` (objgraph's `shortnames`).
///
/// ```
/// use cyclegc::objgraph::short_type_name;
///
/// let long = std::any::type_name::<std::cell::RefCell<Vec<&'static str>>>();
/// assert_eq!(short_type_name(long), "RefCell<Vec<&str>>");
/// ```
#[must_use]
pub fn short_type_name(name: &str) -> String {
    let mut short = String::with_capacity(name.len());
    let mut segment = 0;
    let mut characters = name.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            ':' if characters.peek() == Some(&':') => {
                characters.next();
                // `<T as Trait>::Item` keeps what is before.
                if short.ends_with('>') {
                    short.push_str("::");
                } else {
                    short.truncate(segment);
                }
            }
            _ => {
                short.push(character);
                if !character.is_alphanumeric() && !matches!(character, '_' | '{' | '}' | '#') {
                    segment = short.len();
                }
            }
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_as_they_were() {
        let mut table = NameTable::default();
        let texts = [
            ".next",
            "[0]",
            ".children[3]",
            ".children[03]",
            "[-1]",
            "[]",
            "",
            "[\"k[7]\"]",
            "[4294967295]",
            "[4294967294]",
            ".map[7].0",
            "ü[+1]",
        ];
        let names = texts.map(|text| table.intern(text));
        assert_eq!(table.intern(".children[4]").text, names[2].text);
        let stored = table.finish();
        for (text, name) in texts.iter().zip(names) {
            let mut written = String::new();
            write_name(&mut written, stored.parts(name)).expect("a string");
            assert_eq!(written, *text);
        }
    }

    #[test]
    fn types_are_shortened_inside_brackets_too() {
        for (long, short) in [
            ("u8", "u8"),
            ("a::b::C", "C"),
            ("alloc::vec::Vec<(a::B, &c::D)>", "Vec<(B, &D)>"),
            ("[core::option::Option<a::B>; 3]", "[Option<B>; 3]"),
            ("dyn a::b::Shape", "dyn Shape"),
            ("<a::B as c::D>::E", "<B as D>::E"),
            ("a::f::{{closure}}", "{{closure}}"),
        ] {
            assert_eq!(short_type_name(long), short);
        }
    }
}
