//! An inverted index and a word graph over text, built on several threads.
//!
//! The programs in `src/bin` run on it under [`pymalloc::PyMalloc`]. The
//! modules, each leaning only on those below it:
//!
//! ```text
//!  bin/wordgraph   options, interactive mode, exit status
//!  report          the pages a person reads;  layout: what fits into a line
//!  query           WORD, PREFIX*, FROM..TO and their answers
//!  index           workers build parts, one thread merges them
//!  graph           who stands next to whom, how often, how far apart
//!  corpus          files and folders -> documents, or why not
//!  words           text -> words;  stop_words: which of them say little
//!  memory progress style   the process's memory; the bar; bold and dim
//!  png             uncompressed pictures, for `real-programs.sh`
//! ```
//!
//! The index is a stress test for an allocator that happens to be useful: a
//! million small owned strings, maps and trees, most of them allocated by a
//! worker thread and freed by the thread that merges.

pub mod corpus;
pub mod graph;
pub mod index;
mod layout;
pub mod memory;
pub mod png;
pub mod progress;
pub mod query;
pub mod report;
pub mod stop_words;
pub mod style;
pub mod words;
