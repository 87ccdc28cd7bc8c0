//! How much memory a program holds under `PyMalloc`: a table with targets.
//!
//! ```sh
//! cargo run --release -p benches --bin footprint
//! cargo run --release -p benches --bin footprint --features system
//! ```
//!
//! Every row runs in a fresh process: this program, called again with `--row`.
//! The status is 1 if a limit is broken; a goal is where it should get to.

use std::env;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::{Command, ExitCode};

use benches::workloads::{self, Reading, Workload};

#[cfg(not(feature = "system"))]
#[global_allocator]
static GLOBAL: pymalloc::PyMalloc = pymalloc::PyMalloc;

const ALLOCATOR: &str = if cfg!(feature = "system") {
    "the system allocator"
} else {
    "PyMalloc"
};

const HELP: &str = "\
Measures the resident memory of typical workloads, each in a fresh process.

Usage: footprint [TEXT ...]    only the rows whose name contains one of the texts

Build with --features system to measure the system allocator instead.";

/// What of a reading is held against the target.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Busy,
    After,
    Growth,
    HeapGrowth,
    /// What is resident after, against what was when busy.
    AfterPerBusy,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::After => "after",
            Self::Growth => "after - start",
            Self::HeapGrowth => "heap growth",
            Self::AfterPerBusy => "after / busy",
        }
    }

    fn of(self, reading: &Reading) -> f64 {
        match self {
            Self::Busy => megabytes(reading.busy_bytes),
            Self::After => megabytes(reading.after_bytes),
            Self::Growth => megabytes(reading.after_bytes) - megabytes(reading.start_bytes),
            Self::HeapGrowth => megabytes(reading.heap_growth_bytes),
            Self::AfterPerBusy => reading.after_bytes as f64 / reading.busy_bytes as f64,
        }
    }

    /// The system allocator cannot be asked for the size of its heap.
    fn is_known(self) -> bool {
        self != Self::HeapGrowth || !cfg!(feature = "system")
    }
}

/// What a row is held against: megabytes, or a ratio.
#[derive(Clone, Copy)]
struct Target {
    what: What,
    /// More fails the run.
    limit: Option<f64>,
    /// More is said.
    goal: Option<f64>,
}

const fn limit(what: What, limit: f64) -> Target {
    Target {
        what,
        limit: Some(limit),
        goal: None,
    }
}

const fn goal(what: What, goal: f64) -> Target {
    Target {
        what,
        limit: None,
        goal: Some(goal),
    }
}

impl Target {
    const fn and_goal(self, goal: f64) -> Self {
        Self {
            goal: Some(goal),
            ..self
        }
    }

    /// In words; and whether the limit, if any, is kept.
    fn judge(&self, value: f64) -> (&'static str, bool) {
        let keeps = |most: Option<f64>| most.is_none_or(|most| value <= most);
        match (keeps(self.limit), keeps(self.goal)) {
            (false, _) => ("MISSED", false),
            (true, true) => ("ok", true),
            (true, false) if self.limit.is_none() => ("goal ahead", true),
            (true, false) => ("ok, goal ahead", true),
        }
    }
}

struct Row {
    name: &'static str,
    workload: Workload,
    targets: &'static [Target],
}

/// Nothing of a thread may stay but this.
const THREADS_LEAVE: &[Target] = &[limit(What::Growth, 4.0), limit(What::HeapGrowth, 4.0)];

const ROWS: &[Row] = &[
    row("hello", workloads::hello, &[limit(What::After, 4.0)]),
    row(
        "1M x 24 bytes",
        workloads::million_of_24_bytes,
        &[limit(What::Busy, 44.0).and_goal(35.0)],
    ),
    row(
        "1M x 100 bytes",
        workloads::million_of_100_bytes,
        &[limit(What::Busy, 125.0)],
    ),
    row(
        "1000 threads, in turn",
        workloads::thousand_threads_in_turn,
        THREADS_LEAVE,
    ),
    row(
        "1000 threads, by 50",
        workloads::thousand_threads_in_batches,
        THREADS_LEAVE,
    ),
    row(
        "1000 threads to 64K, in turn",
        workloads::thousand_threads_in_turn_spread,
        THREADS_LEAVE,
    ),
    row(
        "1000 threads to 64K, by 50",
        workloads::thousand_threads_in_batches_spread,
        THREADS_LEAVE,
    ),
    row(
        "200 threads alive",
        workloads::two_hundred_threads_alive,
        &[
            limit(What::Busy, 40.0).and_goal(20.0),
            limit(What::After, 12.0),
        ],
    ),
    row(
        "300 MB freed in order",
        workloads::freed_in_order,
        &[limit(What::After, 15.0).and_goal(8.0)],
    ),
    row(
        "300 MB freed at random",
        workloads::freed_in_random_order,
        &[goal(What::After, 15.0)],
    ),
    row(
        "100 MB mixed, freed at random",
        workloads::mixed_freed_in_random_order,
        &[goal(What::After, 15.0)],
    ),
    row("2 % survive", workloads::survivors, &[]),
    row(
        "2 % survive, refilled",
        workloads::refilled_after_survivors,
        &[limit(What::AfterPerBusy, 1.05)],
    ),
];

const fn row(name: &'static str, workload: Workload, targets: &'static [Target]) -> Row {
    Row {
        name,
        workload,
        targets,
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.as_slice() {
        [option, name] if option == "--row" => measure_here(name),
        [option] if option == "--help" || option == "-h" => {
            println!("{HELP}");
            ExitCode::SUCCESS
        }
        [option, ..] if option.starts_with('-') => {
            eprintln!("footprint: unknown option '{option}'; see --help");
            ExitCode::from(2)
        }
        texts => table(texts),
    }
}

/// In the child: runs one row and prints its reading.
fn measure_here(name: &str) -> ExitCode {
    let Some(row) = ROWS.iter().find(|row| row.name == name) else {
        eprintln!("footprint: no row is called '{name}'");
        return ExitCode::from(2);
    };
    let reading = (row.workload)();
    println!(
        "{} {} {} {}",
        reading.start_bytes, reading.busy_bytes, reading.after_bytes, reading.heap_growth_bytes
    );
    ExitCode::SUCCESS
}

/// In the parent: runs one row in a fresh process.
fn measure(row: &Row) -> Result<Reading, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(program)
        .args(["--row", row.name])
        .output()
        .map_err(|error| error.to_string())?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<usize> = stdout.split_whitespace().flat_map(str::parse).collect();
    match numbers.as_slice() {
        &[start_bytes, busy_bytes, after_bytes, heap_growth_bytes] if output.status.success() => {
            Ok(Reading {
                start_bytes,
                busy_bytes,
                after_bytes,
                heap_growth_bytes,
            })
        }
        _ => {
            let stderr = String::from_utf8_lossy(&output.stderr);
            Err(format!("{}: {}", output.status, stderr.trim()))
        }
    }
}

fn table(texts: &[String]) -> ExitCode {
    let is_wanted =
        |row: &&Row| texts.is_empty() || texts.iter().any(|text| row.name.contains(text.as_str()));
    let rows: Vec<&Row> = ROWS.iter().filter(is_wanted).collect();
    if rows.is_empty() {
        eprintln!(
            "footprint: no row has '{}' in its name; the rows:",
            texts.join("' or '")
        );
        for row in ROWS {
            eprintln!("  {}", row.name);
        }
        return ExitCode::from(2);
    }
    println!("Resident memory under {ALLOCATOR}, in MB\n");
    println!(
        "{:<30} {:>6} {:>6} {:>6}   {:<13} {:>6} {:>6} {:>5}",
        "", "start", "busy", "after", "target", "is", "limit", "goal"
    );
    let mut missed = 0;
    for row in rows {
        let (lines, misses) = lines_of(row, measure(row));
        print!("{lines}");
        // A row takes seconds: show each as soon as it is there.
        let _ = io::stdout().flush();
        missed += misses;
    }
    if missed == 0 {
        println!("\nAll limits are kept.");
        return ExitCode::SUCCESS;
    }
    println!("\nLimits broken: {missed}.");
    ExitCode::FAILURE
}

/// The lines of a row, one for each target, and how many of them are missed.
fn lines_of(row: &Row, reading: Result<Reading, String>) -> (String, usize) {
    let name = row.name;
    let reading = match reading {
        Ok(reading) => reading,
        Err(error) => return (format!("{name:<30} FAILED: {error}\n"), 1),
    };
    let start = megabytes(reading.start_bytes);
    let busy = megabytes(reading.busy_bytes);
    let after = megabytes(reading.after_bytes);
    let mut text = format!("{name:<30} {start:>6.1} {busy:>6.1} {after:>6.1}   ");
    let mut missed = 0;
    let targets = row.targets.iter().filter(|target| target.what.is_known());
    for (n, target) in targets.enumerate() {
        if n > 0 {
            text.push_str(&" ".repeat(54));
        }
        let digits = if target.what == What::AfterPerBusy {
            2
        } else {
            1
        };
        let show = |number: Option<f64>| match number {
            Some(number) => format!("{number:.digits$}"),
            None => "-".to_owned(),
        };
        let value = target.what.of(&reading);
        let (verdict, is_kept) = target.judge(value);
        missed += usize::from(!is_kept);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<13} {:>6} {:>6} {:>5}  {verdict}",
            target.what.name(),
            show(Some(value)),
            show(target.limit),
            show(target.goal),
        );
    }
    if row.targets.is_empty() {
        text.push_str("none: for information\n");
    }
    (text, missed)
}

fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: Row = row(
        "row",
        workloads::hello,
        &[limit(What::Busy, 40.0), limit(What::Growth, 4.0)],
    );

    fn reading(busy_bytes: usize, after_bytes: usize) -> Result<Reading, String> {
        Ok(Reading {
            start_bytes: 2_000_000,
            busy_bytes,
            after_bytes,
            heap_growth_bytes: 0,
        })
    }

    #[test]
    fn each_target_is_judged_by_itself() {
        let (text, missed) = lines_of(&ROW, reading(40_000_000, 6_200_000));
        assert_eq!(missed, 1, "{text}");
        assert!(text.lines().next().is_some_and(|line| line.ends_with("ok")));
        assert!(text.trim_end().ends_with("MISSED"), "{text}");
        let (text, missed) = lines_of(&ROW, reading(40_000_000, 6_000_000));
        assert_eq!(missed, 0, "{text}");
    }

    #[test]
    fn a_goal_is_said_but_fails_nothing() {
        let target = limit(What::After, 15.0).and_goal(8.0);
        assert_eq!(target.judge(8.0), ("ok", true));
        assert_eq!(target.judge(15.0), ("ok, goal ahead", true));
        assert_eq!(target.judge(15.1), ("MISSED", false));
        assert_eq!(goal(What::After, 15.0).judge(99.0), ("goal ahead", true));
    }

    #[test]
    fn a_child_that_fails_is_a_miss() {
        let (text, missed) = lines_of(&ROW, Err("signal: 11".to_owned()));
        assert_eq!(missed, 1);
        assert!(text.contains("FAILED: signal: 11"), "{text}");
    }

    #[test]
    fn names_are_unique_because_the_child_finds_its_row_by_name() {
        for (n, row) in ROWS.iter().enumerate() {
            assert!(ROWS[..n].iter().all(|other| other.name != row.name));
        }
    }
}
