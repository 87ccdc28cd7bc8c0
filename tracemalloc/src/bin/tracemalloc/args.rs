//! The command line.

use std::path::PathBuf;

use clap::{Args as ArgGroup, Parser, Subcommand};
use tracemalloc::{Filter, Format, FunctionFilter, KeyType, Snapshot, TraceFilter};

/// Who allocated what: looks at the snapshots that a traced program writes.
#[derive(Parser)]
#[command(name = "tracemalloc", version, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Shows where most memory in use was allocated
    Top {
        /// A snapshot
        file: PathBuf,
        #[command(flatten)]
        view: View,
    },
    /// Shows what changed from one snapshot to a later one
    Diff {
        /// The earlier snapshot
        old: PathBuf,
        /// The later one
        new: PathBuf,
        #[command(flatten)]
        view: View,
    },
    /// Shows which places keep more and more, from three snapshots or more in their order
    Leaks {
        /// Snapshots of one process, the oldest first
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Show what does not grow, too
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        view: View,
    },
    /// Shows a snapshot again each time that a running program has replaced it (`Dumper`)
    ///
    /// On a terminal it is a screen to move in: ? there names the keys, and all rows are in it,
    /// whatever --limit says. Anywhere else, with --plain or with --count one text follows the other.
    Live {
        /// The file that the program dumps to; it need not be there yet
        file: PathBuf,
        /// How many seconds to wait between looks at the file
        #[arg(long, default_value_t = 1.0)]
        interval: f64,
        /// End after so many snapshots, and not when interrupted
        #[arg(long)]
        count: Option<usize>,
        /// Print text on a terminal, too
        #[arg(long)]
        plain: bool,
        #[command(flatten)]
        view: View,
    },
    /// Shows what a snapshot is of, and how complete
    Info {
        /// A snapshot
        file: PathBuf,
    },
    /// Writes a snapshot in a format that another tool opens
    Export {
        /// pprof, flamegraph, folded, dhat, speedscope, csv, json or html [default: by OUTPUT's name]
        #[arg(short, long)]
        format: Option<Format>,
        #[command(flatten)]
        export: Exported,
    },
    /// Writes a flame graph of the memory in use, which any browser shows
    Flame {
        #[command(flatten)]
        export: Exported,
    },
    /// Writes a profile for `go tool pprof` and whatever else reads its format
    Pprof {
        #[command(flatten)]
        export: Exported,
    },
    /// Writes a page to explore a snapshot with, in one file
    #[command(visible_alias = "html")]
    Report {
        #[command(flatten)]
        export: Exported,
    },
    /// Draws memory over time, of a snapshot that has a timeline, as an SVG
    Plot {
        /// A snapshot
        file: PathBuf,
        /// The file to write, or - for standard output [default: FILE with .timeline.svg]
        #[arg(short, long)]
        output: Option<PathBuf>,
    },
    /// Writes a snapshot with its names, to be looked at where the program's files are not
    Symbolize {
        /// A snapshot
        file: PathBuf,
        /// The file to write, or - for standard output
        #[arg(short, long)]
        output: PathBuf,
        #[command(flatten)]
        symbols: Symbols,
    },
}

/// What a table shows.
#[derive(ArgGroup)]
pub(crate) struct View {
    /// What to add up by: filename, lineno, traceback, function, crate, thread, size-class, domain
    #[arg(short, long, default_value = "lineno")]
    pub(crate) key: KeyType,
    /// How many rows to show
    #[arg(short = 'n', long, default_value_t = 10)]
    pub(crate) limit: usize,
    /// Count a block for every frame of its traceback, and not for the most recent one alone
    #[arg(short, long)]
    pub(crate) cumulative: bool,
    #[command(flatten)]
    pub(crate) select: Select,
    #[command(flatten)]
    pub(crate) symbols: Symbols,
}

/// What is exported, and where to.
#[derive(ArgGroup)]
pub(crate) struct Exported {
    /// A snapshot
    pub(crate) file: PathBuf,
    /// The file to write, or - for standard output [default: FILE with another ending]
    #[arg(short, long)]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) select: Select,
    #[command(flatten)]
    pub(crate) symbols: Symbols,
}

/// Which blocks to look at.
#[derive(ArgGroup)]
pub(crate) struct Select {
    /// Only blocks allocated in files that match PATTERN, as '*/src/*'; may be repeated
    #[arg(short, long, value_name = "PATTERN")]
    include: Vec<String>,
    /// No blocks allocated in files that match PATTERN; may be repeated
    #[arg(short = 'x', long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Only blocks with a function that matches PATTERN in their traceback; may be repeated
    #[arg(long, value_name = "PATTERN")]
    function: Vec<String>,
    /// Match files of all frames, and not of the most recent one alone
    #[arg(long)]
    any_frame: bool,
    /// Show the frames of the standard library and the allocator, too
    #[arg(long)]
    all_frames: bool,
}

impl Select {
    /// The blocks that are asked for.
    pub(crate) fn apply(&self, snapshot: &Snapshot) -> Snapshot {
        let file = |inclusive: bool, pattern: &String| -> TraceFilter {
            let filter = Filter::new(inclusive, pattern);
            filter.all_frames(self.any_frame).into()
        };
        let mut filters: Vec<TraceFilter> = Vec::new();
        filters.extend(self.include.iter().map(|pattern| file(true, pattern)));
        filters.extend(self.exclude.iter().map(|pattern| file(false, pattern)));
        let functions = self.function.iter();
        filters.extend(functions.map(|pattern| FunctionFilter::new(true, pattern).into()));
        snapshot
            .clone()
            .show_all_frames(self.all_frames)
            .filter_traces(filters)
    }
}

/// Where names come from.
#[derive(ArgGroup)]
pub(crate) struct Symbols {
    /// A folder with the program's files, or their debug information; may be repeated
    #[arg(long, value_name = "DIR")]
    pub(crate) search: Vec<PathBuf>,
}
