//! The pages a person reads: an overview here, an answer to each query in `answer`.
//!
//! Nothing here depends on time, threads or memory: the same documents always
//! give the same pages.

mod answer;

use std::io::{self, Write};

use crate::corpus::{Corpus, Skipped};
use crate::graph::Association;
use crate::index::{Index, Place};
use crate::layout::{WIDTH, counted, grouped, size};
use crate::style::Style;
use crate::words::{Words, fold};

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

fn as_usize(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::Document;
    use crate::progress::Progress;
    use std::num::NonZeroUsize;

    pub(super) fn page(text: &str, write: impl Fn(&mut Report<'_, &mut Vec<u8>>)) -> String {
        let document = Document::new("a.txt".to_owned(), text.to_owned());
        let index = Index::build(vec![document], NonZeroUsize::MIN, &Progress::hidden());
        let mut out = Vec::new();
        write(&mut Report::new(&index, Style::plain(), 3, &mut out));
        String::from_utf8(out).expect("pages are UTF-8")
    }

    #[test]
    fn an_overview_of_almost_nothing_is_a_page_too() {
        for text in ["the", "word", "123", "a b c"] {
            let page = page(text, |report| report.overview().expect("memory takes it"));
            assert!(page.contains("A path through the graph"), "{text}: {page}");
        }
    }
}
