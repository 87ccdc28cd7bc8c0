//! `ORDERINGS.md`, which has a row for every ordering in the workspace; and whether it has.
//!
//! ```text
//!  ### FILE: `ATOMIC`, ...                      a heading for each atomic
//!  | `function` | ordering | ... | shown by |   a row for each of its orderings, two for AcqRel
//!  | FILE | `ATOMIC`, ... | why |               and the atomics whose operations are all Relaxed
//! ```
//! Rows of one function and one ordering stand in the order of the source.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::{fs, io};

use crate::sites::{self, Ordering, Site};

/// The folders whose source is looked at.
const SOURCES: [&str; 6] = [
    "cyclegc/derive/src",
    "cyclegc/src",
    "examples/src",
    "pymalloc/capi/src",
    "pymalloc/src",
    "tracemalloc/src",
];

/// What the document says.
pub(crate) struct Table {
    pub(crate) rows: Vec<Row>,
    /// File and name of each atomic.
    atomics: BTreeSet<(String, String)>,
}

/// One way to weaken the workspace.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) file: String,
    pub(crate) function: String,
    pub(crate) weakening: Weakening,
    pub(crate) shown: Shown,
}

/// An ordering, or one half of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Weakening {
    from: Ordering,
    /// As the document calls it.
    name: &'static str,
    /// What takes its place.
    to: &'static str,
}

const WEAKENINGS: [Weakening; 6] = [
    weakening(Ordering::Acquire, "Acquire", "Relaxed"),
    weakening(Ordering::Release, "Release", "Relaxed"),
    weakening(Ordering::AcqRel, "Acquire of AcqRel", "Release"),
    weakening(Ordering::AcqRel, "Release of AcqRel", "Acquire"),
    weakening(Ordering::SeqCst, "SeqCst", "AcqRel"),
    weakening(Ordering::Fence, "fence", ""),
];

const fn weakening(from: Ordering, name: &'static str, to: &'static str) -> Weakening {
    Weakening { from, name, to }
}

/// What turns red.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shown {
    /// Models whose names contain this.
    Model(String),
    /// A test under ThreadSanitizer: its file, or none for one in the library; its name.
    Sanitizer(Option<String>, String),
    /// Nothing: the row argues.
    Argued,
    /// Nothing, because the ordering is stronger than needed: the row says why.
    Spare,
}

impl Table {
    /// Reads the document.
    pub(crate) fn read(root: &Path) -> io::Result<Table> {
        let text = fs::read_to_string(root.join("loom-tests/ORDERINGS.md"))?;
        let mut table = Table {
            rows: Vec::new(),
            atomics: BTreeSet::new(),
        };
        let mut file = "";
        for (number, line) in text.lines().enumerate() {
            if let Some(heading) = line.strip_prefix("### ") {
                let names;
                (file, names) = heading.split_once(": ").unwrap_or((heading, ""));
                table.name_atomics(file, names);
            }
            let Some(cells) = line.strip_prefix("| ") else {
                continue;
            };
            let cells: Vec<&str> = cells.trim_end_matches(" |").split(" | ").collect();
            match cells[..] {
                [of, names, _] if of.ends_with(".rs") => table.name_atomics(of, names),
                [function, ordering, _, _, shown] if function.starts_with('`') => {
                    let row = row(file, function, ordering, shown);
                    let problem =
                        || io::Error::other(format!("ORDERINGS.md:{}: {line}", number + 1));
                    table.rows.push(row.ok_or_else(problem)?);
                }
                _ => (),
            }
        }
        Ok(table)
    }

    fn name_atomics(&mut self, file: &str, names: &str) {
        let names = names.split('`').skip(1).step_by(2);
        self.atomics
            .extend(names.map(|name| (file.to_owned(), name.to_owned())));
    }

    /// How the document differs from the source.
    pub(crate) fn differences(&self, root: &Path) -> io::Result<Vec<String>> {
        let mut counts: BTreeMap<_, i32> = BTreeMap::new();
        let mut declared = BTreeSet::new();
        for (file, source) in sources(root)? {
            for site in sites::sites(&source) {
                for weakening in WEAKENINGS.iter().filter(|one| one.from == site.ordering) {
                    let key = (file.clone(), site.function.clone(), weakening.name);
                    *counts.entry(key).or_insert(0) += 1;
                }
            }
            let atomics = sites::atomics(&source).into_iter();
            declared.extend(atomics.map(|name| (file.clone(), name)));
        }
        for row in &self.rows {
            let key = (row.file.clone(), row.function.clone(), row.weakening.name);
            *counts.entry(key).or_insert(0) -= 1;
        }
        let of_rows = counts.iter().filter(|(_, count)| **count != 0).map(
            |((file, function, name), count)| {
                let problem = if *count > 0 { "lacks" } else { "has too many" };
                format!("{problem} {}: {file}, `{function}`, {name}", count.abs())
            },
        );
        let unnamed = declared.difference(&self.atomics);
        let gone = self.atomics.difference(&declared);
        let of_atomics = unnamed
            .map(|(file, name)| format!("does not name an atomic: {file}, `{name}`"))
            .chain(gone.map(|(file, name)| {
                format!("names what is no atomic's declaration: {file}, `{name}`")
            }));
        Ok(of_rows.chain(of_atomics).collect())
    }

    /// The source of a file with these rows of it weakened; none if it lacks one.
    pub(crate) fn weaken(&self, source: &str, rows: &[usize]) -> Option<String> {
        let mut edits: BTreeMap<usize, (usize, &str)> = BTreeMap::new();
        for index in rows {
            let place = self.place_of(source, *index)?;
            let to = self.rows[*index].weakening.to;
            let edit = edits.entry(place.start).or_insert((place.end, to));
            // Both halves of one ordering.
            if edit.1 != to {
                edit.1 = "Relaxed";
            }
        }
        let mut weakened = source.to_owned();
        for (start, (end, to)) in edits.into_iter().rev() {
            // The file need not have imported it.
            let path = match to {
                "" => "()",
                _ if source[..start].ends_with("::") => "",
                _ => "::core::sync::atomic::Ordering::",
            };
            weakened.replace_range(start..end, &format!("{path}{to}"));
        }
        Some(weakened)
    }

    /// Where a row's ordering stands in the source.
    fn place_of(&self, source: &str, index: usize) -> Option<Range<usize>> {
        let row = &self.rows[index];
        let key = |row: &Row| (row.file.clone(), row.function.clone(), row.weakening);
        let before = self.rows[..index].iter();
        let turn = before.filter(|other| key(other) == key(row)).count();
        let is_one =
            |site: &Site| site.function == row.function && site.ordering == row.weakening.from;
        let site = sites::sites(source).into_iter().filter(is_one).nth(turn);
        site.map(|site| site.place)
    }
}

impl Row {
    /// What is weakened.
    pub(crate) fn name(&self) -> String {
        format!("{}: {}, {}", self.file, self.function, self.weakening.name)
    }
}

fn row(file: &str, function: &str, ordering: &str, shown: &str) -> Option<Row> {
    let weakening = WEAKENINGS.into_iter().find(|one| one.name == ordering)?;
    let (how, what) = shown.split_once(": ")?;
    let test = || what.strip_prefix('`')?.strip_suffix('`').map(str::to_owned);
    let shown = match how {
        "loom" => Shown::Model(test()?),
        "tsan" => {
            let test = test()?;
            match test.split_once('/') {
                Some((file, name)) => Shown::Sanitizer(Some(file.to_owned()), name.to_owned()),
                None => Shown::Sanitizer(None, test),
            }
        }
        "argued" => Shown::Argued,
        "spare" => Shown::Spare,
        _ => return None,
    };
    Some(Row {
        file: file.to_owned(),
        function: function.trim_matches('`').to_owned(),
        weakening,
        shown,
    })
}

/// Every file of source, by its path below the root.
fn sources(root: &Path) -> io::Result<Vec<(String, String)>> {
    let mut folders: Vec<String> = SOURCES.map(str::to_owned).into();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if path.ends_with(".rs") {
                let source = fs::read_to_string(entry.path())?;
                files.push((path, source));
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
    }

    #[test]
    fn every_atomic_and_every_ordering_is_in_the_table() {
        let table = Table::read(root()).unwrap();
        let differences = table.differences(root()).unwrap();
        assert!(
            differences.is_empty(),
            "loom-tests/ORDERINGS.md\n  {}\n\
             A row says what an ordering pairs with, what goes wrong without it, and which model \
             or test fails then; AcqRel has two, and rows of one function stand in the order of \
             the source. An atomic with no ordering but Relaxed is named in the last table.\n\
             `.ci/long audit TEXT` tries the rows whose file or function has the text.",
            differences.join("\n  ")
        );
    }

    #[test]
    fn every_row_weakens_what_it_says() {
        let table = Table::read(root()).unwrap();
        for (index, row) in table.rows.iter().enumerate() {
            let source = fs::read_to_string(root().join(&row.file)).unwrap();
            let weakened = table.weaken(&source, &[index]);
            let weakened = weakened.unwrap_or_else(|| panic!("not there: {}", row.name()));
            assert!(
                sites::sites(&weakened) != sites::sites(&source),
                "{}",
                row.name()
            );
        }
    }

    /// In the tests of the crate that the row is of, or in its models.
    #[test]
    fn every_row_names_tests_that_there_are() {
        let all = sources(root()).unwrap();
        let folders = [
            "loom-tests/tests",
            "loom-tests/cyclegc/tests/sync",
            "pymalloc/tests",
        ];
        let read = |folder: &&str| -> Vec<String> {
            let files = fs::read_dir(root().join(folder)).unwrap().flatten();
            files
                .filter_map(|file| fs::read_to_string(file.path()).ok())
                .collect()
        };
        let tests: Vec<String> = folders.iter().flat_map(read).collect();
        for row in Table::read(root()).unwrap().rows {
            let is_there = match &row.shown {
                Shown::Model(part) => {
                    let is_model = |line: &str| line.starts_with("fn ") && line.contains(&**part);
                    tests.iter().any(|text| text.lines().any(is_model))
                }
                Shown::Sanitizer(Some(_), name) => tests
                    .iter()
                    .any(|text| text.contains(&format!("fn {name}()"))),
                Shown::Sanitizer(None, name) => {
                    let is_in = |source: &str| source.contains(&format!("fn {name}()"));
                    all.iter()
                        .any(|(file, source)| *file == row.file && is_in(source))
                }
                Shown::Argued | Shown::Spare => true,
            };
            assert!(is_there, "{}: no such test: {:?}", row.name(), row.shown);
        }
    }
}
