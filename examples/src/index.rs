//! The inverted index and its construction on several threads.
//!
//! ```text
//!  documents ── cut at empty lines ──> sections
//!     worker 1:  section -> Part ─┐
//!     worker 2:  section -> Part ─┼─ channel ──> merge, one thread ──> Index
//!     worker n:  section -> Part ─┘
//! ```
//!
//! Workers take the next section from a shared counter. What a worker
//! allocated, the merging thread keeps or frees.
//!
//! # Invariants
//! 1. Where a section ends depends on the text alone, and merging commutes up
//!    to the order of `places`, which is sorted at the end: the index is the
//!    same for any number of threads.
//! 2. A line belongs to one section, so no place occurs twice.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::ops::{Bound, Range};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::corpus::Document;
use crate::graph::Graph;
use crate::progress::Progress;
use crate::words::{Words, fold_into};

/// A section is closed at the first empty line after this many bytes.
const SECTION_BYTES: usize = 64 * 1024;
/// Parts a worker may be ahead of the merging thread.
const PARTS_IN_FLIGHT: usize = 2;

/// A line that holds a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Which document, counted from 0.
    pub document: usize,
    /// Which line of it, counted from 0.
    pub line: usize,
}

/// What is known about one word.
#[derive(Debug, Default)]
pub struct Occurrences {
    /// The lines it stands on, in order.
    pub places: Vec<Place>,
    /// How often it stands there.
    pub count: u64,
    /// How often it does so where it is not a stop-word.
    pub content_count: u64,
}

impl Occurrences {
    fn merge(&mut self, mut other: Self) {
        self.places.append(&mut other.places);
        self.count += other.count;
        self.content_count += other.content_count;
    }
}

/// Every word of the documents, where it stands and next to which others.
#[derive(Debug, Default)]
pub struct Index {
    /// The texts.
    pub documents: Vec<Document>,
    /// The words in alphabetical order, so that a prefix is a range.
    pub words: BTreeMap<String, Occurrences>,
    /// Neighbours, stop-words left out.
    pub graph: Graph,
}

/// The index of one section, made by a worker.
#[derive(Default)]
struct Part {
    words: HashMap<String, Occurrences>,
    graph: Graph,
    size_bytes: usize,
}

/// Consecutive lines of a document.
struct Section {
    document: usize,
    lines: Range<usize>,
}

impl Index {
    /// Indexes `documents` on `threads` threads beside the calling one.
    #[must_use]
    pub fn build(documents: Vec<Document>, threads: NonZeroUsize, progress: &Progress) -> Self {
        let sections = sections(&documents);
        let size_bytes: usize = documents.iter().map(Document::size_bytes).sum();
        progress.start("indexing", size_bytes as u64);

        let next_section = AtomicUsize::new(0);
        let (parts_in, parts_out) = mpsc::sync_channel(threads.get() * PARTS_IN_FLIGHT);
        let mut words = BTreeMap::new();
        let mut graph = Graph::default();
        thread::scope(|scope| {
            let spawn = |_| {
                let parts_in = parts_in.clone();
                let (documents, sections, next_section) = (&documents, &sections, &next_section);
                scope.spawn(move || {
                    // ORDERING: Relaxed: a ticket; the sections were written before
                    // the threads were born.
                    let tickets = || next_section.fetch_add(1, Ordering::Relaxed);
                    while let Some(section) = sections.get(tickets()) {
                        let part = Part::of(section, &documents[section.document]);
                        if parts_in.send(part).is_err() {
                            break;
                        }
                    }
                })
            };
            let workers: Vec<_> = (0..threads.get()).map(spawn).collect();
            // The workers hold the other ends: the channel closes with the last.
            drop(parts_in);
            for part in parts_out {
                let size_bytes = part.size_bytes;
                part.merge_into(&mut words, &mut graph);
                progress.advance(size_bytes as u64);
            }
            // The scope would only wait for their closures. A thread that has ended
            // has also given its memory to the others.
            for worker in workers {
                if let Err(panic) = worker.join() {
                    std::panic::resume_unwind(panic);
                }
            }
        });
        for occurrences in words.values_mut() {
            // INVARIANT: 1; places of different sections come in any order.
            occurrences.places.sort_unstable();
        }
        progress.finish();
        Self {
            documents,
            words,
            graph,
        }
    }

    /// The words that start with `prefix`, in alphabetical order.
    pub fn with_prefix<'i>(
        &'i self,
        prefix: &'i str,
    ) -> impl Iterator<Item = (&'i str, &'i Occurrences)> {
        let from = self
            .words
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        from.map(|(word, occurrences)| (word.as_str(), occurrences))
            .take_while(move |(word, _)| word.starts_with(prefix))
    }

    /// The most frequent words, stop-words left out.
    #[must_use]
    pub fn top_words(&self) -> Vec<(&str, &Occurrences)> {
        let words = self.words.iter();
        let mut list: Vec<_> = words
            .map(|(word, occurrences)| (word.as_str(), occurrences))
            .filter(|(_, occurrences)| occurrences.content_count > 0)
            .collect();
        list.sort_by(|(a, x), (b, y)| y.content_count.cmp(&x.content_count).then(a.cmp(b)));
        list
    }

    /// Words of text, repetitions included.
    #[must_use]
    pub fn running_words(&self) -> u64 {
        self.words
            .values()
            .map(|occurrences| occurrences.count)
            .sum()
    }

    /// `name:line` and the text of a line.
    #[must_use]
    pub fn line_at(&self, place: Place) -> (&str, usize, &str) {
        let document = &self.documents[place.document];
        (&document.name, place.line + 1, document.line(place.line))
    }
}

/// Cuts the documents at empty lines into pieces of about `SECTION_BYTES`.
///
/// No sentence goes across an empty line, so no neighbours are lost.
fn sections(documents: &[Document]) -> Vec<Section> {
    let mut sections = Vec::new();
    for (document, text) in documents.iter().enumerate() {
        let mut start = 0;
        for line in 0..text.line_count() {
            let lines = start..line + 1;
            let is_last = lines.end == text.line_count();
            let may_end = text.line(line).trim().is_empty();
            if is_last || (may_end && text.lines_size_bytes(&lines) >= SECTION_BYTES) {
                start = lines.end;
                sections.push(Section { document, lines });
            }
        }
    }
    sections
}

impl Part {
    fn of(section: &Section, text: &Document) -> Self {
        let mut part = Self {
            size_bytes: text.lines_size_bytes(&section.lines),
            ..Self::default()
        };
        let mut key = String::new();
        // The last word that was not a stop-word; empty: none in this sentence.
        let mut previous = String::new();
        for line in section.lines.clone() {
            let place = Place {
                document: section.document,
                line,
            };
            if text.line(line).trim().is_empty() {
                previous.clear();
            }
            let mut words = Words::new(text.line(line));
            for word in words.by_ref() {
                fold_into(word.text, &mut key);
                if word.after_break {
                    previous.clear();
                }
                let is_content = !text.language.is_stop_word(&key);
                part.record(&key, place, is_content);
                if is_content {
                    if !previous.is_empty() {
                        part.graph.connect(&previous, &key);
                    }
                    std::mem::swap(&mut previous, &mut key);
                }
            }
            if words.ends_with_break() {
                previous.clear();
            }
        }
        part
    }

    fn record(&mut self, key: &str, place: Place, is_content: bool) {
        if !self.words.contains_key(key) {
            self.words.insert(key.to_owned(), Occurrences::default());
        }
        let occurrences = self.words.get_mut(key).expect("inserted above");
        occurrences.count += 1;
        occurrences.content_count += u64::from(is_content);
        // INVARIANT: 2; the words of a line come one after the other.
        if occurrences.places.last() != Some(&place) {
            occurrences.places.push(place);
        }
    }

    fn merge_into(self, words: &mut BTreeMap<String, Occurrences>, graph: &mut Graph) {
        for (word, occurrences) in self.words {
            words.entry(word).or_default().merge(occurrences);
        }
        graph.merge(self.graph);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index_of(texts: &[(&str, &str)], threads: usize) -> Index {
        let documents = texts
            .iter()
            .map(|&(name, text)| Document::new(name.to_owned(), text.to_owned()))
            .collect();
        let threads = NonZeroUsize::new(threads).expect("a thread");
        Index::build(documents, threads, &Progress::hidden())
    }

    #[test]
    fn every_line_of_a_word_is_found_once() {
        let index = index_of(
            &[
                ("a", "Arena here\nand there\narena, ARENA"),
                ("b", "an arena"),
            ],
            2,
        );
        let arena = &index.words["arena"];
        let lines: Vec<_> = arena.places.iter().map(|p| (p.document, p.line)).collect();
        assert_eq!(lines, [(0, 0), (0, 2), (1, 0)]);
        assert_eq!(arena.count, 4);
        assert_eq!(index.line_at(arena.places[1]), ("a", 3, "arena, ARENA"));
        assert_eq!(index.running_words(), 8);
    }

    #[test]
    fn neighbours_skip_stop_words_and_cross_lines_but_not_sentences() {
        let index = index_of(&[("a", "the pool of the\narena. Block\n\nlist")], 1);
        assert_eq!(index.graph.count("pool", "arena"), 1);
        assert_eq!(index.graph.count("arena", "block"), 0, "a full stop");
        assert_eq!(index.graph.count("block", "list"), 0, "an empty line");
        assert_eq!(index.graph.degree("the"), 0, "a stop-word");
        assert_eq!(index.words["the"].count, 2, "it is indexed all the same");
    }

    #[test]
    fn a_prefix_is_a_range() {
        let index = index_of(&[("a", "pool pools pooled poor Pol über übel")], 1);
        let with = |prefix| -> Vec<_> { index.with_prefix(prefix).map(|(word, _)| word).collect() };
        assert_eq!(with("pool"), ["pool", "pooled", "pools"]);
        assert_eq!(with("üb"), ["übel", "über"]);
        assert!(with("x").is_empty());
        assert_eq!(with("").len(), index.words.len());
    }

    #[test]
    fn top_words_leave_stop_words_out() {
        let index = index_of(&[("a", "the the the heap heap pool")], 1);
        let top: Vec<_> = index.top_words().iter().map(|(word, _)| *word).collect();
        assert_eq!(top, ["heap", "pool"]);
    }

    #[test]
    fn a_large_text_gives_the_same_index_on_any_number_of_threads() {
        let mut text = String::new();
        for n in 0_u32..40_000 {
            let word = |n: u32| char::from(b'a' + u8::try_from(n % 26).expect("a letter"));
            text.push_str(&format!("x{}{} ", word(n), word(n / 7)));
            if n % 9 == 0 {
                text.push_str("\n\n");
            }
        }
        let texts = [("a", text.as_str()), ("b", "xaa xbb"), ("c", text.as_str())];
        let one = index_of(&texts, 1);
        assert!(sections(&one.documents).len() > 4);
        for threads in [2, 5] {
            let many = index_of(&texts, threads);
            assert_eq!(one.words.len(), many.words.len());
            for (word, occurrences) in &one.words {
                assert_eq!(occurrences.places, many.words[word].places, "{word}");
                assert_eq!(
                    one.graph.strongest_neighbours(word),
                    many.graph.strongest_neighbours(word)
                );
            }
        }
    }

    #[test]
    fn cutting_at_empty_lines_loses_no_neighbours() {
        let paragraph = "alpha beta\ngamma delta\n".repeat(20);
        let text = format!("{paragraph}\n").repeat(200);
        let index = index_of(&[("a", &text)], 3);
        assert!(sections(&index.documents).len() > 1);
        // 40 lines a paragraph, one pair a line and one across each line break.
        assert_eq!(index.graph.count("alpha", "beta"), 20 * 200);
        assert_eq!(index.graph.count("beta", "gamma"), 20 * 200);
        assert_eq!(index.graph.count("delta", "alpha"), 19 * 200);
    }
}
