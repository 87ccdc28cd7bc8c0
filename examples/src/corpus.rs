//! Turns files and folders into documents, or says why it cannot.
//!
//! A file that was named is read or reported as a failure. A file that was only
//! found in a folder may be left out, because folders hold pictures too; it is
//! still counted and its reason kept. Hidden entries, `target` folders and
//! symbolic links found on the way are not followed.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::progress::Progress;
use crate::stop_words::Language;

/// A text and where its lines are.
#[derive(Debug)]
pub struct Document {
    /// The path as a person would write it.
    pub name: String,
    /// What its stop-words are.
    pub language: Language,
    text: String,
    /// Byte offset of the start of each line.
    line_starts: Vec<usize>,
}

impl Document {
    /// A document of this name and text.
    #[must_use]
    pub fn new(name: String, text: String) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0)
            .chain(ends)
            .filter(|&start| start < text.len())
            .collect();
        Self {
            language: Language::detect(&name, &text),
            name,
            line_starts,
            text,
        }
    }

    /// How many lines it has.
    #[must_use]
    pub fn line_count(&self) -> usize {
        self.line_starts.len()
    }

    /// Bytes of text.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.text.len()
    }

    /// The bytes of the lines in `lines`, counted from 0.
    #[must_use]
    pub fn lines_size_bytes(&self, lines: &Range<usize>) -> usize {
        self.start_of(lines.end) - self.start_of(lines.start)
    }

    /// Line number `index`, counted from 0, without its line ending.
    ///
    /// # Panics
    /// If there is no such line.
    #[must_use]
    pub fn line(&self, index: usize) -> &str {
        let line = &self.text[self.line_starts[index]..self.start_of(index + 1)];
        line.trim_end_matches(['\n', '\r'])
    }

    fn start_of(&self, line: usize) -> usize {
        self.line_starts
            .get(line)
            .copied()
            .unwrap_or(self.text.len())
    }
}

/// Why an input is not in the corpus.
#[derive(Debug)]
#[non_exhaustive]
pub enum Problem {
    /// It could not be opened or read.
    Io(io::Error),
    /// It has a NUL byte: a program, a picture, an archive.
    Binary,
    /// It starts with the mark of UTF-16.
    Utf16,
    /// The bytes from this line (counted from 1) on are not UTF-8.
    NotUtf8 {
        /// The line of the first wrong byte.
        line: usize,
        /// The wrong byte.
        byte: u8,
    },
    /// There is nothing in it.
    Empty,
    /// A folder without any file that could be read.
    NoFiles,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                f.write_str("no such file or folder; check the spelling")
            }
            Self::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                f.write_str("may not be read; check its permissions")
            }
            Self::Io(error) => write!(f, "cannot be read: {error}"),
            Self::Binary => f.write_str("binary, not text; give the text it was made from"),
            Self::Utf16 => {
                f.write_str("UTF-16, not UTF-8; convert it with: iconv -f UTF-16 -t UTF-8")
            }
            Self::NotUtf8 { line, byte } => write!(
                f,
                "not UTF-8 (byte 0x{byte:02x} in line {line}); if it is Latin-1, convert it \
                 with: iconv -f LATIN1 -t UTF-8"
            ),
            Self::Empty => f.write_str("empty; there is nothing to index"),
            Self::NoFiles => f.write_str("a folder without any text; name the files instead"),
        }
    }
}

/// An input that was left out.
#[derive(Debug)]
pub struct Skipped {
    /// The path as a person would write it.
    pub name: String,
    /// Why.
    pub problem: Problem,
    /// Whether it was asked for by name, so that leaving it out is a failure.
    pub was_named: bool,
}

/// Everything that was read, and everything that was not.
#[derive(Debug, Default)]
pub struct Corpus {
    /// The texts, sorted by name.
    pub documents: Vec<Document>,
    /// What is missing from them, sorted by name.
    pub skipped: Vec<Skipped>,
}

/// A file that is to be read.
struct Candidate {
    path: PathBuf,
    name: String,
    was_named: bool,
}

/// Which files of a folder are read.
#[derive(Clone, Copy, Debug)]
pub enum Filter<'a> {
    /// All of them.
    All,
    /// Those with one of these extensions.
    Extensions(&'a [&'a str]),
}

impl Filter<'_> {
    fn admits(self, path: &Path) -> bool {
        match self {
            Self::All => true,
            Self::Extensions(list) => path
                .extension()
                .is_some_and(|ext| list.iter().any(|&wanted| ext == wanted)),
        }
    }
}

/// Reads files and folders; `-` is the standard input.
///
/// Names are given relative to `base` where that makes them shorter.
pub fn read(
    inputs: &[PathBuf],
    filter: Filter<'_>,
    base: Option<&Path>,
    progress: &Progress,
) -> Corpus {
    let mut corpus = Corpus::default();
    let mut candidates = Vec::new();
    for input in inputs {
        let before = candidates.len();
        if input.is_dir() {
            walk(input, filter, base, &mut candidates, &mut corpus.skipped);
            if candidates.len() == before {
                corpus.skipped.push(Skipped {
                    name: name_of(input, base),
                    problem: Problem::NoFiles,
                    was_named: true,
                });
            }
        } else {
            candidates.push(Candidate {
                path: input.clone(),
                name: name_of(input, base),
                was_named: true,
            });
        }
    }
    // A file may be named and found: the named one stays.
    candidates.sort_by(|a, b| (&a.path, !a.was_named).cmp(&(&b.path, !b.was_named)));
    candidates.dedup_by(|later, earlier| later.path == earlier.path);

    progress.start("reading", candidates.len() as u64);
    for candidate in candidates {
        match read_text(&candidate.path) {
            Ok(text) => corpus.documents.push(Document::new(candidate.name, text)),
            Err(problem) => corpus.skipped.push(Skipped {
                name: candidate.name,
                problem,
                was_named: candidate.was_named,
            }),
        }
        progress.advance(1);
    }
    progress.finish();
    corpus.documents.sort_by(|a, b| a.name.cmp(&b.name));
    corpus.skipped.sort_by(|a, b| a.name.cmp(&b.name));
    corpus
}

fn name_of(path: &Path, base: Option<&Path>) -> String {
    if path == Path::new("-") {
        return "(standard input)".to_owned();
    }
    let relative = base.and_then(|base| path.strip_prefix(base).ok());
    match relative {
        Some(relative) if !relative.as_os_str().is_empty() => relative.display().to_string(),
        _ => path.display().to_string(),
    }
}

/// Adds the files below `folder`.
fn walk(
    folder: &Path,
    filter: Filter<'_>,
    base: Option<&Path>,
    candidates: &mut Vec<Candidate>,
    skipped: &mut Vec<Skipped>,
) {
    // A list of what is left to do, not recursion: folders can be nested deep.
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                skipped.push(Skipped {
                    name: name_of(&folder, base),
                    problem: Problem::Io(error),
                    was_named: false,
                });
                continue;
            }
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if is_hidden {
                continue;
            }
            if kind.is_dir() {
                if entry.file_name() != "target" {
                    folders.push(path);
                }
            } else if kind.is_file() && filter.admits(&path) {
                candidates.push(Candidate {
                    name: name_of(&path, base),
                    path,
                    was_named: false,
                });
            }
        }
    }
}

/// The text of one file.
fn read_text(path: &Path) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        io::stdin().lock().read_to_end(&mut bytes)
    } else {
        fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes))
    }
    .map_err(Problem::Io)?;
    decode(bytes)
}

/// The text in `bytes`, without a byte order mark.
fn decode(mut bytes: Vec<u8>) -> Result<String, Problem> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Problem::Utf16);
    }
    if bytes.contains(&0) {
        return Err(Problem::Binary);
    }
    if bytes.starts_with(&[0xef, 0xbb, 0xbf]) {
        bytes.drain(..3);
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Problem::Empty);
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        Problem::NotUtf8 {
            line: 1 + bytes[..good].iter().filter(|&&b| b == b'\n').count(),
            byte: bytes[good],
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_with_and_without_a_last_newline() {
        for (text, lines) in [
            ("one\ntwo", vec!["one", "two"]),
            ("one\r\n\r\ntwo\n", vec!["one", "", "two"]),
            ("one\n\n", vec!["one", ""]),
        ] {
            let document = Document::new("a".to_owned(), text.to_owned());
            let found: Vec<_> = (0..document.line_count())
                .map(|n| document.line(n))
                .collect();
            assert_eq!(found, lines, "{text:?}");
            assert_eq!(
                document.lines_size_bytes(&(0..document.line_count())),
                text.len()
            );
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_told_apart() {
        let decode = |bytes: &[u8]| decode(bytes.to_vec());
        assert_eq!(decode(b"\xef\xbb\xbfhi").unwrap(), "hi");
        assert!(matches!(decode(b" \n\t"), Err(Problem::Empty)));
        assert!(matches!(decode(b"\x7fELF\0\0"), Err(Problem::Binary)));
        assert!(matches!(decode(b"\xff\xfeh\0i\0"), Err(Problem::Utf16)));
        assert!(matches!(
            decode(b"one\ngr\xfcn"),
            Err(Problem::NotUtf8 {
                line: 2,
                byte: 0xfc
            })
        ));
    }

    #[test]
    fn a_missing_file_is_reported_and_the_others_are_read() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let inputs = [here.join("Cargo.toml"), here.join("no-such-file")];
        let corpus = read(&inputs, Filter::All, Some(here), &Progress::hidden());
        assert_eq!(corpus.documents.len(), 1);
        assert_eq!(corpus.documents[0].name, "Cargo.toml");
        assert_eq!(corpus.skipped.len(), 1);
        assert_eq!(corpus.skipped[0].name, "no-such-file");
        assert!(corpus.skipped[0].was_named);
    }

    #[test]
    fn a_file_that_is_named_and_found_is_read_once() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let source = here.join("src");
        let inputs = [source.clone(), source.join("lib.rs")];
        let corpus = read(
            &inputs,
            Filter::Extensions(&["rs"]),
            None,
            &Progress::hidden(),
        );
        let of_lib = |document: &&Document| document.name.ends_with("lib.rs");
        assert_eq!(corpus.documents.iter().filter(of_lib).count(), 1);
        assert!(corpus.documents.len() > 5);
    }
}
