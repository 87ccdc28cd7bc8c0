//! What was measured, and what of it is compared.
//!
//! A `Line` is one row seen through one `Metric`: a value for each contender, less
//! is better, and the ratio of ours to the best rival's.

use std::time::Duration;

use super::build::Built;
use super::machine::Machine;
use super::options::Options;
use crate::report::Report;
use crate::rows::{Kind, Row};

/// Resident memory at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) at: Duration,
    pub(super) bytes: usize,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) report: Report,
    /// Empty if nobody looked.
    pub(super) samples: Vec<Sample>,
}

/// How it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Ran,
    /// It cannot do what the row asks for.
    Cannot,
    /// It crashed, failed or took too long.
    Died(String),
    /// It computed something else than the others.
    Wrong,
}

/// One contender in one row.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) row: &'static Row,
    /// Index into `Results::built`.
    pub(super) built: usize,
    pub(super) outcome: Outcome,
    pub(super) reports: Vec<Report>,
    pub(super) samples: Vec<Sample>,
    pub(super) instructions: Option<Result<f64, String>>,
}

impl Cell {
    pub(super) fn new(row: &'static Row, built: usize) -> Self {
        Self {
            row,
            built,
            outcome: Outcome::Ran,
            reports: Vec::new(),
            samples: Vec::new(),
            instructions: None,
        }
    }

    pub(super) fn add(&mut self, run: Run) {
        self.reports.push(run.report);
        if !run.samples.is_empty() {
            self.samples = run.samples;
        }
    }

    /// What its work came to; `None` where a program checks itself, or did not run.
    fn checksum(&self) -> Option<u64> {
        let checksum = self.reports.first()?.checksum;
        (checksum != 0).then_some(checksum)
    }

    fn values(&self, metric: Metric) -> Vec<f64> {
        let value = |report: &Report| metric.of(report);
        match metric {
            Metric::Instructions => self.instructions.iter().flatten().copied().collect(),
            _ if self.outcome != Outcome::Ran => Vec::new(),
            _ => self.reports.iter().filter_map(value).collect(),
        }
    }

    /// What is shown and compared: the least of all runs, which others disturbed least.
    pub(super) fn least(&self, metric: Metric) -> Option<f64> {
        self.values(metric).into_iter().min_by(f64::total_cmp)
    }

    pub(super) fn median(&self, metric: Metric) -> Option<f64> {
        let mut values = self.values(metric);
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }

    /// Why there is no value.
    pub(super) fn excuse(&self, metric: Metric) -> &'static str {
        match (&self.outcome, metric, &self.instructions) {
            (Outcome::Cannot, ..) => "-",
            (Outcome::Died(_), ..) => "died",
            (Outcome::Wrong, ..) => "WRONG",
            (_, Metric::Instructions, Some(Err(_))) => "dies",
            _ => "-",
        }
    }
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metric {
    /// User and system time of all threads, in ns an operation.
    Cpu,
    /// From start to end, in ns an operation.
    Wall,
    /// Instructions an operation.
    Instructions,
    /// The most that was resident, in MB.
    Peak,
    /// Resident while the row held the most, in MB.
    Busy,
    /// Resident after the row, in MB.
    After,
    /// The longest step, in ms.
    Pause,
}

impl Metric {
    /// `None` where the row does not say.
    fn of(self, report: &Report) -> Option<f64> {
        let per_operation = |time: Duration| time.as_nanos() as f64 / report.ops.max(1) as f64;
        let megabytes = |bytes: usize| bytes as f64 / 1e6;
        let value = match self {
            Self::Cpu => per_operation(report.cpu()),
            Self::Wall => per_operation(report.wall),
            Self::Instructions => return None,
            Self::Peak => megabytes(report.peak_bytes),
            Self::Busy => megabytes(report.busy_bytes),
            Self::After => megabytes(report.after_bytes),
            Self::Pause => report.pause.as_secs_f64() * 1e3,
        };
        (value > 0.0).then_some(value)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "user+sys",
            Self::Wall => "wall",
            Self::Instructions => "instructions",
            Self::Peak => "peak",
            Self::Busy => "busy",
            Self::After => "after",
            Self::Pause => "worst pause",
        }
    }

    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::Cpu | Self::Wall => "ns",
            Self::Instructions => "",
            Self::Peak | Self::Busy | Self::After => "MB",
            Self::Pause => "ms",
        }
    }
}

/// A part of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section {
    pub(super) title: &'static str,
    kinds: &'static [Kind],
    lto: bool,
    metrics: &'static [Metric],
}

const ALLOCATORS: &[Kind] = &[Kind::Micro, Kind::Program];

/// All parts, in the order of the table.
pub(super) const SECTIONS: &[Section] = &[
    Section {
        title: "Allocators, LTO: user+sys, ns an operation",
        kinds: ALLOCATORS,
        lto: true,
        metrics: &[Metric::Cpu],
    },
    Section {
        title: "Allocators, LTO: wall time, ns an operation",
        kinds: ALLOCATORS,
        lto: true,
        metrics: &[Metric::Wall],
    },
    Section {
        title: "Allocators, no LTO: user+sys, ns an operation",
        kinds: ALLOCATORS,
        lto: false,
        metrics: &[Metric::Cpu],
    },
    Section {
        title: "Allocators, LTO: instructions an operation",
        kinds: ALLOCATORS,
        lto: true,
        metrics: &[Metric::Instructions],
    },
    Section {
        title: "Allocators, no LTO: instructions an operation",
        kinds: ALLOCATORS,
        lto: false,
        metrics: &[Metric::Instructions],
    },
    Section {
        title: "Allocators: peak resident memory, MB",
        kinds: &[Kind::Program],
        lto: true,
        metrics: &[Metric::Peak],
    },
    Section {
        title: "Allocators: resident memory while busy and after, MB",
        kinds: &[Kind::Footprint],
        lto: true,
        metrics: &[Metric::Busy, Metric::After],
    },
    Section {
        title: "Collectors: user+sys, ns an operation",
        kinds: &[Kind::Gc],
        lto: true,
        metrics: &[Metric::Cpu],
    },
    Section {
        title: "Collectors: worst pause, ms",
        kinds: &[Kind::Gc],
        lto: true,
        metrics: &[Metric::Pause],
    },
    Section {
        title: "Collectors: instructions an operation",
        kinds: &[Kind::Gc],
        lto: true,
        metrics: &[Metric::Instructions],
    },
    Section {
        title: "Collectors: peak resident memory, MB",
        kinds: &[Kind::Gc],
        lto: true,
        metrics: &[Metric::Peak],
    },
];

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) row: &'static Row,
    pub(super) metric: Metric,
    pub(super) lto: bool,
}

/// Ours against the best rival.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verdict {
    /// Ours over the best rival's: below 1 we win.
    pub(super) ratio: Option<f64>,
    /// Who that is.
    pub(super) best_rival: String,
}

/// Everything.
#[derive(Debug)]
pub(super) struct Results {
    pub(super) machine: Machine,
    pub(super) options: Options,
    pub(super) built: Vec<Built>,
    /// A line for each that is missing, and why.
    pub(super) skipped: Vec<String>,
    pub(super) cells: Vec<Cell>,
}

impl Results {
    pub(super) fn new(
        machine: Machine,
        options: Options,
        built: Vec<Built>,
        skipped: Vec<String>,
    ) -> Self {
        Self {
            machine,
            options,
            built,
            skipped,
            cells: Vec::new(),
        }
    }

    /// Adds the cells of one row, whose checksums must agree.
    pub(super) fn add_row(&mut self, mut cells: Vec<Cell>) {
        let checksums: Vec<u64> = cells.iter().filter_map(Cell::checksum).collect();
        let votes = |sum: u64| checksums.iter().filter(|other| **other == sum).count();
        let right = checksums.iter().copied().max_by_key(|sum| votes(*sum));
        for cell in &mut cells {
            if cell.checksum().is_some_and(|sum| Some(sum) != right) {
                cell.outcome = Outcome::Wrong;
            }
        }
        self.cells.append(&mut cells);
    }

    /// Those who have a value, or an excuse, in at least one of the section's lines.
    pub(super) fn columns(&self, section: &Section) -> Vec<usize> {
        let competes = |n: &usize| {
            let built = &self.built[*n];
            let is_row = |cell: &&Cell| cell.built == *n && section.kinds.contains(&cell.row.kind);
            built.lto == section.lto && self.cells.iter().any(|cell| is_row(&cell))
        };
        (0..self.built.len()).filter(competes).collect()
    }

    /// The section's lines that have a value.
    pub(super) fn lines(&self, section: &Section) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        for cell in &self.cells {
            if !section.kinds.contains(&cell.row.kind) || self.built[cell.built].lto != section.lto
            {
                continue;
            }
            for metric in section.metrics {
                let is_same =
                    |line: &Line| line.row.name == cell.row.name && line.metric == *metric;
                if cell.least(*metric).is_some() && !lines.iter().any(is_same) {
                    lines.push(Line {
                        row: cell.row,
                        metric: *metric,
                        lto: section.lto,
                    });
                }
            }
        }
        lines
    }

    /// The line's cell of one contender.
    pub(super) fn cell(&self, line: Line, built: usize) -> Option<&Cell> {
        let is_it = |cell: &&Cell| cell.row.name == line.row.name && cell.built == built;
        self.cells.iter().find(is_it)
    }

    /// Who wins by how much; `None` if no rival has a value.
    pub(super) fn verdict(&self, line: Line) -> Option<Verdict> {
        let mut ours: Option<f64> = None;
        let mut best: Option<(f64, &str)> = None;
        for (n, built) in self.built.iter().enumerate() {
            let value = self.cell(line, n).and_then(|cell| cell.least(line.metric));
            let Some(value) = value.filter(|_| built.lto == line.lto) else {
                continue;
            };
            if built.contender.is_ours {
                // The flavour for threads competes beside the first, not for it.
                ours.get_or_insert(value);
            } else if best.is_none_or(|(least, _)| value < least) {
                best = Some((value, built.contender.name));
            }
        }
        let (least, name) = best?;
        Some(Verdict {
            ratio: ours.map(|ours| ours / least),
            best_rival: name.to_owned(),
        })
    }
}
