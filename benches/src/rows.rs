//! The rows of the comparison: names, kinds, and what each stresses.

/// Who competes in a row, and what of it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Allocators; one operation, again and again.
    Micro,
    /// Allocators; a program.
    Program,
    /// Allocators; resident memory.
    Footprint,
    /// Collectors; one operation or object.
    Gc,
}

/// A row.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What it is called, on the command line too.
    pub name: &'static str,
    /// Who competes.
    pub kind: Kind,
    /// What an operation is: times are divided by their number.
    pub operation: &'static str,
    /// What it stresses.
    pub what: &'static str,
    /// Its work is done by several threads, so instructions depend on their luck.
    pub is_threaded: bool,
    /// The two scales, in thousandths, at which its instructions are counted.
    pub counted_at: Option<(u32, u32)>,
}

const fn row(name: &'static str, kind: Kind, operation: &'static str, what: &'static str) -> Row {
    Row {
        name,
        kind,
        operation,
        what,
        is_threaded: false,
        counted_at: None,
    }
}

const fn threaded(
    name: &'static str,
    kind: Kind,
    operation: &'static str,
    what: &'static str,
) -> Row {
    Row {
        is_threaded: true,
        ..row(name, kind, operation, what)
    }
}

impl Row {
    const fn counted(self, less: u32, more: u32) -> Self {
        Self {
            counted_at: Some((less, more)),
            ..self
        }
    }
}

/// All rows, in the order of the table.
pub const ROWS: &[Row] = &[
    row(
        "pair",
        Kind::Micro,
        "pair",
        "a 40-byte box is made and freed at once",
    )
    .counted(1, 2),
    row(
        "batch",
        Kind::Micro,
        "box",
        "1000 boxes of 40 bytes are made, then freed in order",
    )
    .counted(1, 2),
    row(
        "churn",
        Kind::Micro,
        "block",
        "1000 slots; a random one is replaced by 16 to 512 bytes",
    )
    .counted(2, 4),
    row(
        "live-10MB",
        Kind::Micro,
        "block",
        "10 MB of 16 to 512 bytes are alive; a random block is replaced",
    ),
    row(
        "live-1GB",
        Kind::Micro,
        "block",
        "the same with 1 GB: what does a block cost in a large heap?",
    ),
    row(
        "zeroed",
        Kind::Micro,
        "block",
        "zeroed blocks of 64 bytes to 32 KiB",
    )
    .counted(4, 8),
    row(
        "vecgrow",
        Kind::Micro,
        "Vec",
        "4096 numbers are pushed into an empty Vec",
    )
    .counted(2, 4),
    row(
        "biggrow",
        Kind::Micro,
        "Vec",
        "capacity doubles from 64 KiB to 64 MiB; little is written",
    )
    .counted(34, 67),
    row(
        "aligned",
        Kind::Micro,
        "block",
        "blocks aligned to 16 bytes up to 4 KiB",
    )
    .counted(4, 8),
    threaded(
        "cross-thread",
        Kind::Micro,
        "box",
        "boxes made by one thread are freed by another, by the batch",
    ),
    row(
        "trees",
        Kind::Program,
        "node",
        "binary trees are built, walked and dropped",
    )
    .counted(4, 8),
    row(
        "lifetimes-small",
        Kind::Program,
        "block",
        "random lifetimes, 16 to 256 bytes",
    )
    .counted(8, 12),
    row(
        "lifetimes-mixed",
        Kind::Program,
        "block",
        "random lifetimes, 16 bytes to 8 KiB",
    )
    .counted(20, 30),
    row(
        "lifo",
        Kind::Program,
        "block",
        "bursts of 400 blocks, freed last first",
    )
    .counted(2, 4),
    row(
        "hash",
        Kind::Program,
        "word",
        "HashMap<String, Vec<String>> grows and shrinks",
    )
    .counted(20, 40),
    row(
        "btree",
        Kind::Program,
        "key",
        "BTreeMap<String, Box<u64>> with insertions and removals",
    )
    .counted(20, 40),
    row(
        "growth",
        Kind::Program,
        "Vec",
        "vectors grow to 24 MB by pushes, every byte written",
    )
    .counted(34, 67),
    threaded(
        "larson-2",
        Kind::Program,
        "block",
        "2 threads replace random blocks and hand them to the next generation",
    ),
    threaded(
        "larson-8",
        Kind::Program,
        "block",
        "the same with 8 threads",
    ),
    threaded(
        "producer",
        Kind::Program,
        "message",
        "one thread makes messages, another reads and frees them",
    ),
    threaded(
        "thread-churn",
        Kind::Program,
        "thread",
        "short threads free the last one's blocks and leave their own",
    ),
    row(
        "json",
        Kind::Program,
        "document",
        "a document is parsed into a tree, changed and printed",
    )
    .counted(4, 7),
    row(
        "regex",
        Kind::Program,
        "pattern",
        "patterns are compiled and used once",
    )
    .counted(4, 8),
    threaded(
        "tokio",
        Kind::Program,
        "message",
        "an echo server and 16 clients over loopback",
    ),
    threaded(
        "rayon",
        Kind::Program,
        "string",
        "strings are made and sorted on 2 threads",
    ),
    threaded(
        "wordgraph",
        Kind::Program,
        "word",
        "text is indexed on 2 threads: this repository's main example",
    ),
    row(
        "million-24",
        Kind::Footprint,
        "",
        "a million boxes of 24 bytes",
    ),
    row(
        "million-100",
        Kind::Footprint,
        "",
        "a million boxes of 100 bytes",
    ),
    threaded(
        "threads-200",
        Kind::Footprint,
        "",
        "200 threads with 64 sizes each; busy: alive, after: joined",
    ),
    row(
        "freed-300MB",
        Kind::Footprint,
        "",
        "300 MB of 96-byte blocks; after: freed, and idle for 2.5 s",
    ),
    row(
        "survivors",
        Kind::Footprint,
        "",
        "100 MB of 16 to 512 bytes; after: a random 2 % is left",
    ),
    row(
        "gc-new",
        Kind::Gc,
        "object",
        "an object is made and dropped",
    )
    .counted(4, 8),
    row(
        "gc-clone",
        Kind::Gc,
        "clone",
        "a handle is cloned and dropped",
    )
    .counted(2, 4),
    row(
        "gc-deref",
        Kind::Gc,
        "read",
        "a number is read through a handle",
    )
    .counted(1, 2),
    row(
        "gc-weak",
        Kind::Gc,
        "upgrade",
        "a weak handle is made, upgraded and dropped",
    )
    .counted(4, 8),
    row(
        "gc-tree",
        Kind::Gc,
        "node",
        "a tree without cycles is built and dropped",
    )
    .counted(20, 40),
    row(
        "gc-parents",
        Kind::Gc,
        "node",
        "a tree with parent links is built, dropped and collected",
    )
    .counted(40, 80),
    row(
        "gc-rings",
        Kind::Gc,
        "ring",
        "rings of two die one after the other",
    )
    .counted(10, 20),
    row(
        "gc-live",
        Kind::Gc,
        "node",
        "a full collection of a live random graph",
    )
    .counted(100, 200),
    row(
        "gc-dead",
        Kind::Gc,
        "node",
        "a full collection of the same graph, dead",
    )
    .counted(100, 200),
    row(
        "gc-churn",
        Kind::Gc,
        "ring",
        "rings of three die beside a live graph; the worst pause",
    ),
];

/// The row of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for (n, row) in ROWS.iter().enumerate() {
            assert!(ROWS[..n].iter().all(|other| other.name != row.name));
        }
    }
}
