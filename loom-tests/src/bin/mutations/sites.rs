//! Finds atomics in Rust source, and the operations on them that order something.
//!
//! By tokens: comments, literals, `use` declarations and modules called `tests` are passed
//! over. No macro is expanded, so what a macro is given is looked at as it stands.

use std::ops::Range;

/// An operation that orders something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    /// The innermost function around it; empty outside of all.
    pub(crate) function: String,
    pub(crate) ordering: Ordering,
    /// The bytes of the source that say so: of a fence the whole call.
    pub(crate) place: Range<usize>,
}

/// More than Relaxed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ordering {
    Acquire,
    Release,
    AcqRel,
    SeqCst,
    /// A fence of whatever ordering.
    Fence,
}

impl Ordering {
    fn of(word: &str) -> Option<Self> {
        match word {
            "Acquire" => Some(Ordering::Acquire),
            "Release" => Some(Ordering::Release),
            "AcqRel" => Some(Ordering::AcqRel),
            "SeqCst" => Some(Ordering::SeqCst),
            _ => None,
        }
    }
}

/// A word or a mark, and where it starts.
type Token<'a> = (usize, &'a str);

/// What is ordered in a file, in the order of the source.
pub(crate) fn sites(source: &str) -> Vec<Site> {
    let tokens = tokens_that_ship(source);
    let mut sites = Vec::new();
    // Functions around, and the depth of braces inside each.
    let mut around: Vec<(&str, usize)> = Vec::new();
    let (mut depth, mut brackets, mut named) = (0_usize, 0_usize, None);
    for (index, &(at, word)) in tokens.iter().enumerate() {
        let next = word_at(&tokens, index + 1);
        match word {
            "fn" if next != "(" => named = Some(next),
            "(" | "[" => brackets += 1,
            ")" | "]" => brackets = brackets.saturating_sub(1),
            // A declaration: there is no body.
            ";" if brackets == 0 => named = None,
            "{" => {
                depth += 1;
                around.extend(named.take().map(|name| (name, depth)));
            }
            "}" => {
                around.pop_if(|(_, inside)| *inside == depth);
                depth = depth.saturating_sub(1);
            }
            "fence" if next == "(" => {
                let end = tokens[index..].iter().find(|(_, word)| *word == ")");
                sites.push(Site {
                    function: around.last().map_or("", |(name, _)| name).to_owned(),
                    ordering: Ordering::Fence,
                    place: at..end.map_or(at, |(end, _)| end + 1),
                });
            }
            _ => {
                let is_fence = index >= 2 && word_at(&tokens, index - 2) == "fence";
                let ordering = Ordering::of(word).filter(|_| !is_fence);
                sites.extend(ordering.map(|ordering| Site {
                    function: around.last().map_or("", |(name, _)| name).to_owned(),
                    ordering,
                    place: at..at + word.len(),
                }));
            }
        }
    }
    sites
}

/// The names of the atomics that a file declares: variables, fields, types of one field, and
/// other names of types.
pub(crate) fn atomics(source: &str) -> Vec<String> {
    let tokens = tokens_that_ship(source);
    let mut names = Vec::new();
    for (index, (_, word)) in tokens.iter().enumerate() {
        let is_type = word
            .strip_prefix("Atomic")
            .is_some_and(|rest| rest.starts_with(char::is_uppercase));
        // `AtomicBool::new(..)`: a value.
        if !is_type || word_at(&tokens, index + 1) == ":" && word_at(&tokens, index + 2) == ":" {
            continue;
        }
        let mut before = index;
        while before >= 3
            && word_at(&tokens, before - 1) == ":"
            && word_at(&tokens, before - 2) == ":"
        {
            before -= 3;
        }
        let back = |count: usize| before.checked_sub(count).map_or("", |at| tokens[at].1);
        let name = match (back(1), back(2), back(3)) {
            (":", name, _) | ("[", ":", name) | ("=" | "(", name, _) | ("[", "(", name) => name,
            _ => continue,
        };
        if name.starts_with(|first: char| first.is_alphabetic()) {
            names.push(name.to_owned());
        }
    }
    names
}

fn word_at<'a>(tokens: &[Token<'a>], index: usize) -> &'a str {
    tokens.get(index).map_or("", |(_, word)| word)
}

/// The tokens without `use` declarations and modules of tests.
fn tokens_that_ship(source: &str) -> Vec<Token<'_>> {
    let all = tokens(source);
    let mut kept = Vec::new();
    let mut index = 0;
    while index < all.len() {
        let words = [0, 1, 2].map(|step| word_at(&all, index + step));
        match words {
            ["use", ..] => index = after(&all, index, ";"),
            ["mod", "tests", "{"] => index = after_braces(&all, index + 2),
            _ => {
                kept.push(all[index]);
                index += 1;
            }
        }
    }
    kept
}

/// Behind the next token that is this word.
fn after(tokens: &[Token<'_>], from: usize, word: &str) -> usize {
    let rest = &tokens[from..];
    let found = rest.iter().position(|(_, other)| *other == word);
    from + found.map_or(rest.len(), |found| found + 1)
}

/// Behind the brace that closes the one at `from`.
fn after_braces(tokens: &[Token<'_>], from: usize) -> usize {
    let mut depth = 0_usize;
    for (index, (_, word)) in tokens.iter().enumerate().skip(from) {
        match *word {
            "{" => depth += 1,
            "}" if depth == 1 => return index + 1,
            "}" => depth = depth.saturating_sub(1),
            _ => (),
        }
    }
    tokens.len()
}

fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = source[at..].chars().next() {
        let rest = &source[at..];
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if first == '"' {
            text_len(rest)
        } else if first == '\'' {
            quote_len(rest)
        } else if is_word(first) {
            let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            match raw_text_len(&rest[len..]) {
                Some(text) if matches!(&rest[..len], "r" | "br" | "cr") => len + text,
                _ => {
                    tokens.push((at, &rest[..len]));
                    len
                }
            }
        } else {
            let len = first.len_utf8();
            if !first.is_whitespace() {
                tokens.push((at, &rest[..len]));
            }
            len
        };
        at += len;
    }
    tokens
}

/// Length of a string literal that starts here.
fn text_len(rest: &str) -> usize {
    let mut is_escaped = true;
    for (index, byte) in rest.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return index + 1,
            _ => (),
        }
    }
    rest.len()
}

/// Length of what follows the `r` of a raw string.
fn raw_text_len(rest: &str) -> Option<usize> {
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let text = rest[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(hashes + 1 + text.find(&end)? + end.len())
}

/// Length of a character, or of the quote that a lifetime starts with.
fn quote_len(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((escaped, c))) => {
            let behind = escaped + c.len_utf8();
            rest[behind..].find('\'').map_or(1, |end| behind + end + 1)
        }
        (_, Some((end, '\''))) => end + 1,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r##"
        use std::sync::atomic::{AtomicU8, Ordering::{Acquire, Release}};
        static LAST: AtomicU8 = AtomicU8::new(0);
        struct Word(AtomicU64);
        struct Line { name: [AtomicU64; 2], of: &'static AtomicU32, slots: AtomicPtr<AtomicU8> }
        type Slot = core::sync::atomic::AtomicPtr<AtomicU64>;
        trait Named { fn named(&self); }
        impl Word {
            /// Not an `Acquire`.
            fn get(&self, of: [u8; 2]) -> u64 { // Release
                let quote = ('"', '\'', "Acquire \" Acquire", r#"Release"#);
                fn inner<'a>(word: &'a AtomicU8) -> u8 { word.swap(1, Ordering::AcqRel) }
                if self.0.compare_exchange(0, 1, Acquire, Relaxed).is_ok() { fence(Acquire); }
                self.0.load(Acquire)
            }
        }
        #[cfg(test)]
        mod tests { fn claim() { WORD.load(SeqCst); } }
        fn last() { LAST.store(1, Release) }
    "##;

    #[test]
    fn an_ordering_is_found_in_its_function_and_nothing_else_is() {
        let found = sites(SOURCE);
        let found: Vec<_> = found
            .iter()
            .map(|site| (&*site.function, site.ordering, &SOURCE[site.place.clone()]))
            .collect();
        let expected = [
            ("inner", Ordering::AcqRel, "AcqRel"),
            ("get", Ordering::Acquire, "Acquire"),
            ("get", Ordering::Fence, "fence(Acquire)"),
            ("get", Ordering::Acquire, "Acquire"),
            ("last", Ordering::Release, "Release"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn an_atomic_is_found_where_it_is_declared() {
        assert_eq!(atomics(SOURCE), ["LAST", "Word", "name", "slots", "Slot"]);
    }
}
