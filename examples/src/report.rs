//! The pages a person reads: an overview, and an answer to each query.
//!
//! Nothing here depends on time, threads or memory: the same documents always
//! give the same pages.

use std::io::{self, Write};

use crate::corpus::{Corpus, Skipped};
use crate::graph::Association;
use crate::index::{Index, Occurrences, Place};
use crate::query::{Query, suggestions};
use crate::style::Style;
use crate::words::{Words, fold};

/// A page is this wide where it can be.
const WIDTH: usize = 80;
const BAR_WIDTH: usize = 36;
/// Pairs seen less often are no association, however surprising.
const LEAST_PAIR_COUNT: u64 = 3;
/// Both ends of the example path are among so many most frequent words.
const KNOWN_WORDS: usize = 200;

/// Writes pages about one index.
#[derive(Debug)]
pub struct Report<'i, W> {
    index: &'i Index,
    style: Style,
    /// Lines of each list.
    top: usize,
    out: W,
}

impl<'i, W: Write> Report<'i, W> {
    /// Writes about `index` to `out`, with at most `top` lines a list.
    pub fn new(index: &'i Index, style: Style, top: usize, out: W) -> Self {
        Self {
            index,
            style,
            top,
            out,
        }
    }

    /// What the text is about, as far as counting tells.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn overview(&mut self) -> io::Result<()> {
        self.totals()?;
        self.top_words()?;
        self.associations()?;
        self.most_connected()?;
        self.example_path()?;
        self.out.flush()
    }

    fn heading(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "\n{}", self.style.bold(text))
    }

    fn totals(&mut self) -> io::Result<()> {
        let index = self.index;
        let documents = &index.documents;
        let size_bytes: usize = documents.iter().map(|d| d.size_bytes()).sum();
        let lines: usize = documents.iter().map(|d| d.line_count()).sum();
        writeln!(
            self.out,
            "{}  {} · {} · {}",
            self.style.bold("wordgraph"),
            counted(documents.len(), "document"),
            counted(lines, "line"),
            size(size_bytes),
        )?;
        writeln!(
            self.out,
            "           {} · {} different · {} of neighbours",
            counted(as_usize(index.running_words()), "word"),
            grouped(index.words.len()),
            counted(index.graph.edge_count(), "pair"),
        )
    }

    fn top_words(&mut self) -> io::Result<()> {
        self.heading("Most frequent words")?;
        let top = self.index.top_words();
        let Some(most) = top
            .first()
            .map(|(_, occurrences)| occurrences.content_count)
        else {
            return writeln!(self.out, "  only stop-words, or no words at all");
        };
        for (word, occurrences) in top.into_iter().take(self.top) {
            let count = occurrences.content_count;
            let cells = as_usize(count) * BAR_WIDTH / as_usize(most).max(1);
            let bar = "█".repeat(cells.max(1));
            let count = grouped(as_usize(count));
            writeln!(self.out, "  {word:<22} {count:>9}  {}", self.style.dim(bar))?;
        }
        Ok(())
    }

    fn associations(&mut self) -> io::Result<()> {
        self.heading("Strongest associations")?;
        let list = self.index.graph.associations(LEAST_PAIR_COUNT);
        if list.is_empty() {
            return writeln!(
                self.out,
                "  no two words stand together {LEAST_PAIR_COUNT} times"
            );
        }
        for association in list.iter().take(self.top) {
            let (first, second) = self.in_reading_order(association);
            let pair = format!("{first} ── {second}");
            let count = format!("{} times", grouped(as_usize(association.count)));
            let note = format!("strength {:.0}", association.strength);
            writeln!(
                self.out,
                "  {pair:<34} {count:>14}  {:>14}",
                self.style.dim(note)
            )?;
        }
        Ok(())
    }

    /// The two words in the order in which they stand on their first common line.
    fn in_reading_order<'a>(&self, pair: &Association<'a>) -> (&'a str, &'a str) {
        let key = |place: Place, word: &str| {
            let mut words = Words::new(self.index.line_at(place).2);
            (place.line, words.position(|other| fold(other.text) == word))
        };
        let is_reversed = self
            .meeting(pair.first, pair.second)
            .is_some_and(|(ours, theirs)| key(theirs, pair.second) < key(ours, pair.first));
        if is_reversed {
            (pair.second, pair.first)
        } else {
            (pair.first, pair.second)
        }
    }

    fn most_connected(&mut self) -> io::Result<()> {
        self.heading("Best connected words")?;
        let list = self.index.graph.most_connected();
        if list.is_empty() {
            return writeln!(self.out, "  no word has a neighbour");
        }
        for (word, degree) in list.into_iter().take(self.top) {
            let degree = counted(degree, "neighbour");
            let start = format!("  {word:<18} {degree:>16}  ");
            let neighbours = self.neighbours(word, WIDTH.saturating_sub(start.chars().count()));
            writeln!(self.out, "{start}{}", self.style.dim(neighbours))?;
        }
        Ok(())
    }

    /// As many of the strongest neighbours of `word` as fit into `width`.
    fn neighbours(&self, word: &str, width: usize) -> String {
        let mut line = String::new();
        for (neighbour, _) in self.index.graph.strongest_neighbours(word) {
            let needed = line.chars().count() + 2 + neighbour.chars().count();
            if needed > width && !line.is_empty() {
                break;
            }
            if !line.is_empty() {
                line.push_str(", ");
            }
            line.push_str(neighbour);
        }
        line
    }

    fn example_path(&mut self) -> io::Result<()> {
        self.heading("A path through the graph")?;
        let top = self.index.top_words();
        let Some(&(from, _)) = top.first() else {
            return writeln!(self.out, "  no two words to go between");
        };
        let distances = self.index.graph.distances(from);
        let known = top.iter().take(KNOWN_WORDS);
        // The farthest; of those the most frequent, which comes first.
        let farthest = known
            .filter_map(|&(word, _)| Some((*distances.get(word)?, word)))
            .reduce(|best, next| if next.0 > best.0 { next } else { best });
        match farthest {
            Some((steps, to)) if steps > 0 => {
                let to = to.to_owned();
                self.path(from, &to)
            }
            _ => writeln!(self.out, "  no two words to go between"),
        }
    }

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

    /// The first line on which both words stand, or across whose end they meet.
    fn meeting(&self, first: &str, second: &str) -> Option<(Place, Place)> {
        let places = |word: &str| &self.index.words[word].places;
        let (ours, theirs) = (places(first), places(second));
        let meet_at = |distance: fn(usize) -> usize| {
            ours.iter().find_map(|&place| {
                let line = distance(place.line);
                let other = Place { line, ..place };
                theirs
                    .binary_search(&other)
                    .is_ok()
                    .then_some((place, other))
            })
        };
        meet_at(|line| line)
            .or_else(|| meet_at(|line| line + 1))
            .or_else(|| meet_at(|line| line.wrapping_sub(1)))
    }

    /// Words joined by lines, on as many lines of text as they need.
    fn chain(&mut self, words: &[&str]) -> io::Result<()> {
        let mut column = 0;
        for (n, word) in words.iter().enumerate() {
            let width = word.chars().count() + 4;
            let link = match n {
                0 => "  ",
                _ if column + width > WIDTH => " ──\n  ",
                _ => " ── ",
            };
            column = if link.contains('\n') {
                width
            } else {
                column + width
            };
            write!(self.out, "{link}{}", self.style.bold(word))?;
        }
        writeln!(self.out)
    }

    fn label(&self, place: Place) -> String {
        let (name, line, _) = self.index.line_at(place);
        format!("{name}:{line}")
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

    fn path(&mut self, from: &str, to: &str) -> io::Result<()> {
        let Some(path) = self.index.graph.shortest_path(from, to) else {
            return writeln!(
                self.out,
                "  no path: one of them is a stop-word or only stands among others"
            );
        };
        self.chain(&path)?;
        for pair in path.windows(2) {
            let count = as_usize(self.index.graph.count(pair[0], pair[1]));
            let step = format!("{} ── {}", pair[0], pair[1]);
            let meeting = self.meeting(pair[0], pair[1]);
            let example = meeting.map_or_else(String::new, |(place, _)| self.label(place));
            let count = counted(count, "time");
            writeln!(
                self.out,
                "    {step:<30} {count:>10}   {}",
                self.style.dim(example)
            )?;
        }
        Ok(())
    }
}

/// What was left out, one line each for what was named, one number for the rest.
///
/// # Errors
/// If `out` cannot be written.
pub fn problems(corpus: &Corpus, out: &mut impl Write) -> io::Result<()> {
    let (named, found): (Vec<&Skipped>, Vec<&Skipped>) =
        corpus.skipped.iter().partition(|skipped| skipped.was_named);
    for Skipped { name, problem, .. } in named {
        writeln!(out, "wordgraph: {name}: {problem}")?;
    }
    if let [first, ..] = found.as_slice() {
        writeln!(
            out,
            "wordgraph: left out {} found in folders, the first: {}: {}",
            counted(found.len(), "file"),
            first.name,
            first.problem,
        )?;
    }
    Ok(())
}

/// The part of `line` around `word`, at most `width` wide.
fn excerpt(line: &str, word: &str, width: usize) -> String {
    let line = line.trim().replace('\t', " ");
    let width = width.max(20);
    let letters: Vec<char> = line.chars().collect();
    if letters.len() <= width {
        return line;
    }
    // Lower case may be longer or shorter; near enough to choose a window.
    let lower = line.to_lowercase();
    let at = lower.find(word).map_or(0, |at| lower[..at].chars().count());
    let start = at.saturating_sub(width / 2).min(letters.len() - width);
    let mut window: Vec<char> = letters[start..start + width].to_vec();
    if start > 0 {
        window[0] = '…';
    }
    if start + width < letters.len() {
        window[width - 1] = '…';
    }
    window.into_iter().collect()
}

/// `1 word`, `2 words`.
fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {what}{plural}", grouped(count))
}

/// `1,234,567`.
fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn size(size_bytes: usize) -> String {
    match size_bytes {
        0..10_000 => counted(size_bytes, "byte"),
        10_000..1_000_000 => format!("{} kB", size_bytes / 1000),
        _ => format!("{:.1} MB", size_bytes as f64 / 1e6),
    }
}

fn as_usize(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::Document;
    use crate::progress::Progress;
    use std::num::NonZeroUsize;

    fn page(text: &str, write: impl Fn(&mut Report<'_, &mut Vec<u8>>)) -> String {
        let document = Document::new("a.txt".to_owned(), text.to_owned());
        let index = Index::build(vec![document], NonZeroUsize::MIN, &Progress::hidden());
        let mut out = Vec::new();
        write(&mut Report::new(&index, Style::plain(), 3, &mut out));
        String::from_utf8(out).expect("pages are UTF-8")
    }

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

    #[test]
    fn an_overview_of_almost_nothing_is_a_page_too() {
        for text in ["the", "word", "123", "a b c"] {
            let page = page(text, |report| report.overview().expect("memory takes it"));
            assert!(page.contains("A path through the graph"), "{text}: {page}");
        }
    }

    #[test]
    fn an_excerpt_shows_the_word_and_keeps_the_width() {
        let line = format!("{} needle {}", "a ".repeat(60), "b ".repeat(60));
        let part = excerpt(&line, "needle", 40);
        assert!(part.contains("needle"), "{part}");
        assert_eq!(part.chars().count(), 40);
        assert_eq!(excerpt("  short\tline ", "line", 40), "short line");
    }

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(counted(1, "word"), "1 word");
    }
}
