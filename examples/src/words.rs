//! Splits text into words.
//!
//! A word is a run of letters, with digits allowed after the first letter:
//! `Straße`, `naïve`, `x86`, `u32`. Four cases need more than that:
//!
//! - Combining marks belong to the letter before them; [`fold_into`] composes
//!   them, so that both spellings of `é` are one word.
//! - A soft hyphen is an invisible place to break a line: it is dropped.
//! - An apostrophe between letters joins (`don't`, `O'Brien`), except after a
//!   French elision, which is a word of its own (`l'eau` is `l` and `eau`).
//! - Everything else splits, `_` and `-` included: `free_list` is two words.
//!
//! `ß` is not folded to `ss`: `Maße` (sizes) and `Masse` (mass) are two words.

use unicode_normalization::char::is_combining_mark;
use unicode_normalization::{UnicodeNormalization, is_nfc};

const SOFT_HYPHEN: char = '\u{ad}';

/// French words that lose their vowel before another: `l'eau`, `qu'il`.
const ELISIONS: [&str; 13] = [
    "c", "d", "j", "jusqu", "l", "lorsqu", "m", "n", "puisqu", "qu", "quoiqu", "s", "t",
];

/// One word of a line, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word<'t> {
    /// The word as written; [`fold_into`] makes the key of it.
    pub text: &'t str,
    /// Whether a sentence, a clause or a table cell ended before this word.
    pub after_break: bool,
}

/// The words of one line, in order.
#[derive(Clone, Debug)]
pub struct Words<'t> {
    rest: &'t str,
    /// A break was seen since the last word.
    broke: bool,
}

impl<'t> Words<'t> {
    /// Starts at the beginning of `line`.
    #[must_use]
    pub fn new(line: &'t str) -> Self {
        Self {
            rest: line,
            broke: false,
        }
    }

    /// Whether a break follows the last word; ask after the last one.
    #[must_use]
    pub fn ends_with_break(&self) -> bool {
        self.broke
    }
}

impl<'t> Iterator for Words<'t> {
    type Item = Word<'t>;

    fn next(&mut self) -> Option<Word<'t>> {
        let mut chars = self.rest.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if c.is_alphabetic() {
                let after_break = std::mem::take(&mut self.broke);
                let from = &self.rest[at..];
                let (text, rest) = from.split_at(word_len(from));
                self.rest = rest;
                return Some(Word { text, after_break });
            }
            let next = chars.peek().map(|&(_, next)| next);
            self.broke |= is_break(c, next);
        }
        self.rest = "";
        None
    }
}

/// Bytes of the word that `text` starts with.
fn word_len(text: &str) -> usize {
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c.is_alphanumeric() || c == SOFT_HYPHEN || is_combining_mark(c) {
            continue;
        }
        let letter_follows = chars.peek().is_some_and(|&(_, next)| next.is_alphabetic());
        if is_apostrophe(c) && letter_follows && joins(&text[..at]) {
            continue;
        }
        return at;
    }
    text.len()
}

/// Whether an apostrophe after `before` is part of the word.
fn joins(before: &str) -> bool {
    if before.contains(is_apostrophe) {
        return true;
    }
    // Of the words of one letter only I'm and O'Brien take one; b'x' is code.
    let is_letter = before.chars().nth(1).is_none();
    if is_letter {
        return matches!(before, "I" | "i" | "O" | "o");
    }
    !ELISIONS.contains(&before.to_lowercase().as_str())
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}')
}

/// Whether `c`, with `next` after it, keeps the words around it apart.
fn is_break(c: char, next: Option<char>) -> bool {
    match c {
        '{' | '}' | '|' | '…' | '¿' | '¡' => true,
        // Inside a number, a path or a name (`3.5`, `a::b`) these join.
        '.' | '!' | '?' | ';' | ':' => next.is_none_or(|next| !next.is_alphanumeric() && next != c),
        _ => false,
    }
}

/// Replaces `key` by the form of `word` under which it is indexed.
///
/// Lower case, composed (NFC), without soft hyphens, with the typewriter's
/// apostrophe.
pub fn fold_into(word: &str, key: &mut String) {
    key.clear();
    if word.is_ascii() {
        key.push_str(word);
        key.make_ascii_lowercase();
        return;
    }
    // The whole word at once: the lower case of a final sigma depends on it.
    for c in word.to_lowercase().chars() {
        match c {
            SOFT_HYPHEN => {}
            c if is_apostrophe(c) => key.push('\''),
            c => key.push(c),
        }
    }
    if !is_nfc(key) {
        *key = key.nfc().collect();
    }
}

/// The form of `word` under which it is indexed.
#[must_use]
pub fn fold(word: &str) -> String {
    let mut key = String::new();
    fold_into(word, &mut key);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(line: &str) -> Vec<String> {
        Words::new(line).map(|word| fold(word.text)).collect()
    }

    #[test]
    fn german_and_french_letters_stay_in_their_words() {
        assert_eq!(
            keys("Ärger über die STRASSE, nicht die Straße"),
            ["ärger", "über", "die", "strasse", "nicht", "die", "straße"]
        );
        assert_eq!(
            keys("Où est l’œuvre naïve ?"),
            ["où", "est", "l", "œuvre", "naïve"]
        );
    }

    #[test]
    fn elisions_split_and_contractions_join() {
        assert_eq!(
            keys("l'eau qu'il boit aujourd'hui jusqu'à demain"),
            [
                "l",
                "eau",
                "qu",
                "il",
                "boit",
                "aujourd'hui",
                "jusqu",
                "à",
                "demain"
            ]
        );
        assert_eq!(
            keys("Don’t, I'm O'Brien; the threads' end"),
            ["don't", "i'm", "o'brien", "the", "threads", "end"]
        );
    }

    #[test]
    fn both_spellings_of_an_accent_are_one_word() {
        assert_eq!(keys("cafe\u{301} café"), ["café", "café"]);
    }

    #[test]
    fn soft_hyphens_vanish() {
        assert_eq!(keys("Speicher\u{ad}verwaltung"), ["speicherverwaltung"]);
    }

    #[test]
    fn code_splits_at_everything_but_letters_and_digits() {
        assert_eq!(
            keys("let free_list: &'a Vec<u32> = b'x'; // 3.5 GiB"),
            ["let", "free", "list", "a", "vec", "u32", "b", "x", "gib"]
        );
    }

    #[test]
    fn sentences_break_and_names_do_not() {
        let breaks =
            |line| -> Vec<bool> { Words::new(line).map(|word| word.after_break).collect() };
        assert_eq!(breaks("One two. Three"), [false, false, true]);
        assert_eq!(breaks("std::mem::take lib.rs"), [false; 5]);
        assert_eq!(breaks("fn f() { g(); h()"), [false, false, true, true]);
        assert_eq!(breaks("| a | b |"), [true, true]);
    }

    #[test]
    fn a_break_at_the_end_of_the_line_is_reported() {
        let end = |line| {
            let mut words = Words::new(line);
            words.by_ref().for_each(drop);
            words.ends_with_break()
        };
        assert!(end("The end."));
        assert!(!end("The end of the"));
    }

    #[test]
    fn lower_case_knows_the_final_sigma() {
        assert_eq!(keys("ΟΔΥΣΣΕΥΣ"), ["οδυσσευς"]);
    }

    #[test]
    fn lines_without_words_have_none() {
        for line in ["", "   ", "123 456", "--- ===", "\u{301}"] {
            assert_eq!(keys(line), [""; 0], "{line:?}");
        }
    }
}
