//! Answers to queries: lines, neighbours, longer words, paths.

use std::io::{self, Write};

use super::{Report, as_usize};
use crate::index::Occurrences;
use crate::layout::{WIDTH, counted, excerpt};
use crate::query::{Query, suggestions};

impl<W: Write> Report<'_, W> {
    /// The answer to one query.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn answer(&mut self, query: &Query) -> io::Result<()> {
        match query {
            Query::Word(word) => {
                self.heading(&format!("Query: {word}"))?;
                match self.index.words.get(word) {
                    Some(occurrences) => self.word(word, occurrences)?,
                    None => self.unknown(word)?,
                }
            }
            Query::Prefix(prefix) => {
                self.heading(&format!("Query: {prefix}*"))?;
                self.prefix(prefix)?;
            }
            Query::Path(from, to) => {
                self.heading(&format!("Query: {from}..{to}"))?;
                let is_known = |word: &&String| self.index.words.contains_key(word.as_str());
                match [from, to].into_iter().find(|word| !is_known(word)) {
                    Some(word) => self.unknown(word)?,
                    None => self.path(from, to)?,
                }
            }
        }
        self.out.flush()
    }

    fn unknown(&mut self, word: &str) -> io::Result<()> {
        let close = suggestions(self.index, word, 5);
        write!(self.out, "  '{word}' is not in the text; ")?;
        if close.is_empty() {
            let start: String = word.chars().take(3).collect();
            writeln!(
                self.out,
                "the query '{start}*' shows the words that start so"
            )
        } else {
            writeln!(self.out, "did you mean {}?", close.join(", "))
        }
    }

    fn word(&mut self, word: &str, occurrences: &Occurrences) -> io::Result<()> {
        let places = &occurrences.places;
        let count = counted(as_usize(occurrences.count), "time");
        writeln!(self.out, "  {count} on {}", counted(places.len(), "line"))?;
        let labels: Vec<_> = places
            .iter()
            .take(self.top)
            .map(|&p| self.label(p))
            .collect();
        let width = labels
            .iter()
            .map(|label| label.chars().count())
            .max()
            .unwrap_or(0);
        // Beside a long name no text would fit: then it goes below.
        let is_beside = width <= WIDTH / 2;
        for (label, &place) in labels.iter().zip(places) {
            let line = self.index.line_at(place).2;
            if is_beside {
                let text = excerpt(line, word, WIDTH.saturating_sub(4 + width));
                let label = format!("{label:<width$}");
                writeln!(self.out, "  {}  {text}", self.style.dim(label))?;
            } else {
                let text = excerpt(line, word, WIDTH - 6);
                writeln!(self.out, "  {}\n      {text}", self.style.dim(label))?;
            }
        }
        if places.len() > self.top {
            let more = places.len() - self.top;
            writeln!(self.out, "  … and {more} more; --top shows more of them")?;
        }
        let neighbours = self.index.graph.strongest_neighbours(word);
        let list: Vec<_> = neighbours
            .into_iter()
            .take(self.top)
            .map(|(neighbour, count)| format!("{neighbour} {count}"))
            .collect();
        if !list.is_empty() {
            self.list("next to", &list)?;
        }
        let longer = self.index.with_prefix(word).skip(1).take(self.top);
        let list: Vec<_> = longer.map(|(word, _)| word.to_owned()).collect();
        if !list.is_empty() {
            self.list("see also", &list)?;
        }
        Ok(())
    }

    /// `items` behind a label, on as many lines as they need.
    fn list(&mut self, label: &str, items: &[String]) -> io::Result<()> {
        let mut line = format!("  {label:<9}");
        for (n, item) in items.iter().enumerate() {
            let is_last = n + 1 == items.len();
            let item = format!("{item}{}", if is_last { "" } else { ", " });
            if line.chars().count() + item.trim_end().chars().count() > WIDTH {
                writeln!(self.out, "{}", line.trim_end())?;
                line = " ".repeat(11);
            }
            line.push_str(&item);
        }
        writeln!(self.out, "{line}")
    }

    fn prefix(&mut self, prefix: &str) -> io::Result<()> {
        let list: Vec<_> = self
            .index
            .with_prefix(prefix)
            .map(|(word, occurrences)| format!("{word} {}", occurrences.count))
            .collect();
        if list.is_empty() {
            return writeln!(
                self.out,
                "  no word starts with '{prefix}'; try fewer letters"
            );
        }
        self.list(&counted(list.len(), "word"), &list)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::page;
    use super::*;
    use crate::corpus::Document;
    use crate::index::Index;
    use crate::progress::Progress;
    use crate::style::Style;
    use std::num::NonZeroUsize;

    fn answer(text: &str, query: &str) -> String {
        let query = query.parse().expect("a query");
        page(text, |report| {
            report.answer(&query).expect("memory takes it")
        })
    }

    #[test]
    fn a_word_is_answered_with_lines_neighbours_and_longer_words() {
        let page = answer("Free lists.\nA free list is free\npool", "FREE");
        assert!(page.contains("3 times on 2 lines"), "{page}");
        assert!(page.contains("a.txt:2  A free list is free"), "{page}");
        assert!(page.contains("next to  list 2, lists 1"), "{page}");
        let page = answer("pool pools pooled", "pool");
        assert!(page.contains("see also pooled, pools"), "{page}");
    }

    #[test]
    fn a_long_name_stands_above_its_line() {
        let name = "a-folder/".repeat(9) + "a.txt";
        let document = Document::new(name.clone(), "a free list".to_owned());
        let index = Index::build(vec![document], NonZeroUsize::MIN, &Progress::hidden());
        let mut out = Vec::new();
        let query = Query::Word("free".to_owned());
        let mut report = Report::new(&index, Style::plain(), 3, &mut out);
        report.answer(&query).expect("memory takes it");
        let page = String::from_utf8(out).expect("pages are UTF-8");
        assert!(
            page.contains(&format!("  {name}:1\n      a free list\n")),
            "{page}"
        );
    }

    #[test]
    fn an_unknown_word_is_answered_with_near_ones() {
        let page = answer("arena arena", "arenaa");
        assert!(page.contains("did you mean arena?"), "{page}");
        let page = answer("arena arena", "zebra..arena");
        assert!(page.contains("'zebra' is not in the text"), "{page}");
    }

    #[test]
    fn a_path_shows_each_step() {
        let page = answer("alpha beta. beta gamma. beta gamma.", "alpha..gamma");
        assert!(page.contains("alpha ── beta ── gamma"), "{page}");
        assert!(page.contains("beta ── gamma"), "{page}");
        assert!(page.contains("2 times"), "{page}");
        let page = answer("alpha beta. gamma delta.", "alpha..delta");
        assert!(page.contains("no path"), "{page}");
    }
}
