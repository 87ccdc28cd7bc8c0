//! Reads text, indexes it on several threads under `PyMalloc`, answers queries.
//!
//! ```sh
//! cargo run --release -p examples --bin wordgraph
//! cargo run --release -p examples --bin wordgraph -- README.md --query arena
//! ```
//!
//! Pages go to the standard output, problems and the bar to the standard error.
//! Status 0: all went well. 1: some named input was left out, the rest was
//! indexed. 2: nothing could be done.

use std::io::{self, BufRead, BufWriter, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use clap::Parser;
use examples::corpus::{self, Corpus, Filter};
use examples::index::Index;
use examples::memory::{Log, Megabytes};
use examples::progress::Progress;
use examples::query::Query;
use examples::report::{self, Report};
use examples::style::Style;

#[global_allocator]
static GLOBAL: pymalloc::PyMalloc = pymalloc::PyMalloc;

/// What is read of this repository when no input is named.
const OWN_EXTENSIONS: &[&str] = &["md", "rs", "toml"];

const EXAMPLES: &str = "\
Queries:
  WORD      the lines it stands on, its neighbours, longer words
  START*    the words that start so
  FROM..TO  the shortest path from one word to another

Examples:
  wordgraph                                    this repository's sources and docs
  wordgraph book.txt --query 'whale'           one text, one word
  wordgraph docs/ -q 'alloc*' -q arena..thread a folder, two queries
  zcat log.gz | wordgraph - --top 20           the standard input";

/// Indexes text and shows how its words hang together.
#[derive(Debug, Parser)]
#[command(name = "wordgraph", version, after_help = EXAMPLES)]
struct Options {
    /// Texts and folders of texts; - is the standard input [default: this
    /// repository's sources and docs]
    #[arg(value_name = "FILE_OR_DIR")]
    inputs: Vec<PathBuf>,

    /// Asks for a word, START* or FROM..TO; may be given several times
    #[arg(short, long = "query", value_name = "QUERY")]
    queries: Vec<Query>,

    /// Reads queries from the standard input until :quit
    #[arg(short, long)]
    interactive: bool,

    /// Threads that index [default: one for each core]
    #[arg(short, long, value_name = "N")]
    threads: Option<NonZeroUsize>,

    /// The most lines of a list
    #[arg(long, value_name = "N", default_value = "10")]
    top: NonZeroUsize,

    /// Draws the progress bar even where the standard error is no terminal
    #[arg(long)]
    progress: bool,

    /// Ends with the allocator's whole table, as CPython prints it
    #[arg(long, conflicts_with = "no_stats")]
    malloc_stats: bool,

    /// Leaves out time and memory, which differ from run to run
    #[arg(long)]
    no_stats: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(status) => status,
        // The reader of a pipe has seen enough: `wordgraph | head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wordgraph: cannot write: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> io::Result<ExitCode> {
    let reads_input = options.inputs.iter().any(|input| input == Path::new("-"));
    if options.interactive && reads_input {
        eprintln!("wordgraph: the standard input cannot be both text and queries; name a file");
        return Ok(ExitCode::from(2));
    }
    let mut memory = Log::default();
    memory.note("at the start");

    let started = Instant::now();
    let progress = Progress::new(options.progress);
    let corpus = read(options, &progress);
    report::problems(&corpus, &mut io::stderr())?;
    let named_is_missing = corpus.skipped.iter().any(|skipped| skipped.was_named);
    if corpus.documents.is_empty() {
        eprintln!("wordgraph: nothing to index; name a text file, or see --help");
        return Ok(ExitCode::from(2));
    }
    memory.note("texts read");
    let threads = options.threads.unwrap_or_else(default_threads);
    let index = Index::build(corpus.documents, threads, &progress);
    let took = started.elapsed();
    memory.note("index built");

    let style = Style::for_stdout();
    let out = BufWriter::new(io::stdout());
    let mut report = Report::new(&index, style, options.top.get(), out);
    report.overview()?;
    for query in &options.queries {
        report.answer(query)?;
    }
    if options.interactive {
        converse(&mut report)?;
    }
    drop(report);

    if !options.no_stats {
        memory.note("queries answered");
        drop(index);
        memory.note("index dropped");
        let given_back = Megabytes(pymalloc::trim());
        memory.note("after trim()");

        let mut out = io::stdout().lock();
        let (seconds, threads) = (took.as_secs_f64(), threads.get());
        let heading = format!("Memory, reading and indexing {seconds:.2} s on {threads} threads");
        writeln!(out, "\n{}", style.bold(heading))?;
        memory.write_steps(style, &mut out)?;
        writeln!(out, "  trim() gave back {given_back}")?;
        memory.write_classes(style, &mut out)?;
        if options.malloc_stats {
            memory.write_table(style, &mut out)?;
        }
    }
    Ok(ExitCode::from(u8::from(named_is_missing)))
}

fn read(options: &Options, progress: &Progress) -> Corpus {
    if options.inputs.is_empty() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let repository = here.parent().unwrap_or(here);
        let filter = Filter::Extensions(OWN_EXTENSIONS);
        return corpus::read(&[repository.to_owned()], filter, Some(repository), progress);
    }
    corpus::read(&options.inputs, Filter::All, None, progress)
}

fn default_threads() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// Answers queries from the standard input until its end or `:quit`.
fn converse<W: Write>(report: &mut Report<'_, W>) -> io::Result<()> {
    const HELP: &str = "WORD, START* or FROM..TO; :top for the overview, :quit to leave";
    let is_terminal = io::stdin().is_terminal();
    let mut line = Vec::new();
    if is_terminal {
        eprintln!("\n{HELP}");
    }
    loop {
        if is_terminal {
            eprint!("wordgraph> ");
        }
        line.clear();
        if io::stdin().lock().read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        // A wrong byte makes an unknown word, not the end of the conversation.
        match String::from_utf8_lossy(&line).trim() {
            "" => {}
            ":quit" | ":q" => return Ok(()),
            ":help" | ":h" => eprintln!("{HELP}"),
            ":top" => report.overview()?,
            text => match text.parse() {
                Ok(query) => report.answer(&query)?,
                Err(error) => eprintln!("{error}"),
            },
        }
    }
}
