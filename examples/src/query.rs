//! Questions to the index: a word, the start of a word, a way between two.

use std::fmt;
use std::str::FromStr;

use crate::index::Index;
use crate::words::{Words, fold};

/// A question, its words folded as the index folds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// `WORD`: where it stands and next to what.
    Word(String),
    /// `START*`: the words that start so.
    Prefix(String),
    /// `FROM..TO`: the shortest way from one to the other in the graph.
    Path(String, String),
}

/// A text that is no question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseQueryError {
    text: String,
}

impl fmt::Display for ParseQueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "'{}' is no query; write WORD, START* or FROM..TO, each of them one word",
            self.text
        )
    }
}

impl std::error::Error for ParseQueryError {}

impl FromStr for Query {
    type Err = ParseQueryError;

    fn from_str(text: &str) -> Result<Self, ParseQueryError> {
        let text = text.trim();
        let query = if let Some((from, to)) = text.split_once("..") {
            one_word(from)
                .zip(one_word(to))
                .map(|(a, b)| Self::Path(a, b))
        } else if let Some(start) = text.strip_suffix('*') {
            one_word(start).map(Self::Prefix)
        } else {
            one_word(text).map(Self::Word)
        };
        query.ok_or_else(|| ParseQueryError {
            text: text.to_owned(),
        })
    }
}

/// The only word in `text`, which must hold nothing else.
fn one_word(text: &str) -> Option<String> {
    let text = text.trim();
    let word = Words::new(text).next()?;
    (word.text == text).then(|| fold(text))
}

/// Words of the index that `word`, which is not in it, may have meant: those
/// that differ least, the most frequent first.
#[must_use]
pub fn suggestions<'i>(index: &'i Index, word: &str, most: usize) -> Vec<&'i str> {
    let wanted: Vec<char> = word.chars().collect();
    // One mistake in three letters is too many to guess.
    let most_edits = (wanted.len() / 3).clamp(1, 2);
    let mut list = Vec::new();
    for (candidate, occurrences) in &index.words {
        let letters: Vec<char> = candidate.chars().collect();
        if letters.len().abs_diff(wanted.len()) <= most_edits && letters.len() > 1 {
            let edits = edit_distance(&wanted, &letters);
            if edits <= most_edits {
                list.push((
                    edits,
                    std::cmp::Reverse(occurrences.count),
                    candidate.as_str(),
                ));
            }
        }
    }
    list.sort_unstable();
    list.into_iter().take(most).map(|(.., word)| word).collect()
}

/// How many letters to insert, drop or replace to turn `a` into `b`.
fn edit_distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::Document;
    use crate::progress::Progress;
    use std::num::NonZeroUsize;

    #[test]
    fn the_three_kinds_of_query_are_told_apart() {
        let parse = |text: &str| text.parse::<Query>();
        assert_eq!(parse(" Straße "), Ok(Query::Word("straße".into())));
        assert_eq!(parse("Pool*"), Ok(Query::Prefix("pool".into())));
        assert_eq!(
            parse("arena .. Thread"),
            Ok(Query::Path("arena".into(), "thread".into()))
        );
        assert_eq!(parse("don't"), Ok(Query::Word("don't".into())));
    }

    #[test]
    fn what_is_no_query_is_refused_with_the_way_to_write_one() {
        for text in [
            "",
            "   ",
            "*",
            "..",
            "a..",
            "two words",
            "3.5",
            "a..b..c",
            "po*ol",
        ] {
            let error = text.parse::<Query>().expect_err(text);
            assert!(error.to_string().contains("FROM..TO"), "{text}");
        }
    }

    #[test]
    fn edit_distance_counts_letters() {
        let distance = |a: &str, b: &str| {
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            edit_distance(&letters(a), &letters(b))
        };
        assert_eq!(distance("arena", "arena"), 0);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "über"), 4);
        assert_eq!(distance("straße", "strasse"), 2);
    }

    #[test]
    fn suggestions_are_near_and_frequent_first() {
        let text = "arena arena arenas area thread".to_owned();
        let document = Document::new("a".to_owned(), text);
        let index = Index::build(vec![document], NonZeroUsize::MIN, &Progress::hidden());
        assert_eq!(suggestions(&index, "arina", 3), ["arena"]);
        assert_eq!(
            suggestions(&index, "arenax", 3),
            ["arena", "arenas", "area"]
        );
        assert!(suggestions(&index, "zebra", 3).is_empty());
    }
}
