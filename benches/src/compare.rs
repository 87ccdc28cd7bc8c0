//! The comparison: builds, runs, and shows.
//!
//! ```text
//!  options      the command line
//!  contenders   who competes: allocators, collectors, CPython
//!  build        one program a contender, with and without LTO
//!  run          one run of one program: its report, its resident memory over time
//!  count        instructions, by callgrind
//!  progress     the bar
//!  results      what was measured, and what of it is compared
//!  table        results -> text;  json, page, charts: -> files
//!  machine      what it was measured on
//! ```
//!
//! Runs are interleaved: each contender of a row runs once, then each again, in another order,
//! after a round of other rows. What else the machine does falls on all of them.

mod build;
mod charts;
mod contenders;
mod count;
mod json;
mod machine;
mod options;
mod page;
mod progress;
mod results;
mod run;
mod table;

use std::fs;
use std::io;
use std::num::NonZero;
use std::ops::Range;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ScopedJoinHandle};

use crate::rows::{Kind, ROWS, Row};
use build::Built;
use contenders::{CONTENDERS, Contender, Source};
use machine::Machine;
use options::Options;
use progress::Progress;
use results::{Cell, Metric, Outcome, Results};

/// Compares as `arguments` ask.
///
/// # Errors
/// Says what was wrong with the arguments, or which file could not be written.
pub fn compare(arguments: &[String]) -> Result<(), String> {
    let Some(options) = Options::parse(arguments)? else {
        print!("{}", options::HELP);
        return Ok(());
    };
    let rows: Vec<&Row> = ROWS.iter().filter(|row| options.wants(row)).collect();
    let competes = |contender: &&Contender| {
        options.wants_contender(contender) && rows.iter().any(|row| contender.competes_in(row))
    };
    let contenders: Vec<&Contender> = CONTENDERS.iter().filter(competes).collect();
    if rows.is_empty() || contenders.is_empty() {
        return Err("nothing is left to run; see --help".to_owned());
    }
    let root = workspace();
    let machine = Machine::describe();

    let (built, skipped) = build_all(&root, &contenders, &options, &rows)?;
    let mut results = Results::new(machine, options.clone(), built, skipped);
    measure(&mut results, &rows, &options);
    if options.instructions {
        count_instructions(&mut results, &rows, &options);
    }

    print!("{}", table::table(&results));
    if let Some(path) = &options.json {
        write(path, &json::json(&results))?;
    }
    if let Some(path) = &options.html {
        write(path, &page::page(&results))?;
    }
    Ok(())
}

/// Builds each contender once with LTO and, if a row wants it, once without.
fn build_all(
    root: &Path,
    contenders: &[&'static Contender],
    options: &Options,
    rows: &[&Row],
) -> Result<(Vec<Built>, Vec<String>), String> {
    let variants = |contender: &Contender| {
        let is_timed = |row: &Row| contender.competes_in(row) && is_timed_without_lto(row);
        let without = options.without_lto && rows.iter().any(|row| is_timed(row));
        let with = options.with_lto || !without;
        [
            (true, with),
            (false, without && !contender.is_interpreter()),
        ]
    };
    let (left_out, contenders): (Vec<&'static Contender>, Vec<_>) = contenders
        .iter()
        .copied()
        .partition(|one| options.leaves_out(one));
    let wanted: Vec<(&'static Contender, bool)> = contenders
        .iter()
        .flat_map(|contender| {
            let wanted = variants(contender)
                .into_iter()
                .filter(|(_, wanted)| *wanted);
            wanted.map(|(lto, _)| (*contender, lto))
        })
        .collect();
    let progress = Mutex::new(Progress::new("building", wanted.len()));
    let build_each = |lane: Vec<(usize, (&'static Contender, bool))>| -> Lane {
        let build = |(place, (contender, lto)): (usize, (&'static Contender, bool))| {
            locked(&progress).step(contender.name);
            let program = build::build(root, contender, lto)?.map_err(|why| {
                let line = format!("{}{}: {why}", contender.name, lto_name(lto));
                locked(&progress).say(&format!("skipped: {line}"));
                line
            });
            Ok((place, program))
        };
        lane.into_iter().map(build).collect()
    };
    // Two packages at once: one core builds much of what the allocators are made of.
    let (collectors, others) = wanted
        .into_iter()
        .enumerate()
        .partition(|(_, (contender, _))| contender.source == Source::Collectors);
    let (collectors, others) = thread::scope(|scope| {
        let collectors = scope.spawn(|| build_each(collectors));
        let others = build_each(others);
        (collectors.join(), others)
    });
    let mut programs = others?;
    programs.extend(collectors.unwrap_or_else(|panic| resume_unwind(panic))?);
    programs.sort_by_key(|(place, _)| *place);
    unlocked(progress).end();

    let mut built = Vec::new();
    let why = "--quick does without: its build takes minutes; ask for it by --allocators";
    let mut skipped: Vec<String> = left_out
        .iter()
        .map(|contender| format!("{}: {why}", contender.name))
        .collect();
    for (_, program) in programs {
        match program {
            Ok(program) => built.push(program),
            Err(line) => skipped.push(line),
        }
    }
    Ok((built, skipped))
}

/// Programs, or why there are none, with their places among all.
type Lane = Result<Vec<(usize, Result<Built, String>)>, String>;

fn locked(progress: &Mutex<Progress>) -> MutexGuard<'_, Progress> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unlocked(progress: Mutex<Progress>) -> Progress {
    progress
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
}

/// Runs everything, in passes over all rows, a round of each at most: a machine that is slow
/// for a minute is slow in one round of each.
fn measure(results: &mut Results, rows: &[&'static Row], options: &Options) {
    let plans = plans(results, rows, options);
    let runs = plans.iter().map(|plan| plan.entrants.len() * plan.rounds);
    let mut progress = Progress::new("running", runs.sum());
    let passes = plans.iter().map(|plan| plan.rounds).max().unwrap_or(0);
    let mut cells: Vec<Vec<Cell>> = plans
        .iter()
        .map(|plan| {
            let cell = |built: &usize| Cell::new(plan.row, *built);
            plan.entrants.iter().map(cell).collect()
        })
        .collect();
    for pass in 0..passes {
        for (plan, cells) in plans.iter().zip(&mut cells) {
            for round in plan.rounds_of(pass, passes) {
                // Each round begins with another: what ran just before is not always the same.
                let next = cells.len().min(1);
                cells.rotate_left(next);
                let is_common = round < options.common_rounds(plan.row);
                let best = best(cells);
                for cell in &mut *cells {
                    let built = &results.built[cell.built];
                    progress.step(&format!("{} {}", plan.row.name, built.contender.name));
                    let may_win = is_common || built.contender.is_ours || is_near(cell, best);
                    if cell.outcome != Outcome::Ran || !may_win {
                        continue;
                    }
                    // The first round also looks at resident memory over time.
                    match run::run(&built.program, plan.row, options.scale(), round == 0) {
                        Ok(run) => cell.add(run),
                        Err(outcome) => cell.outcome = outcome,
                    }
                }
            }
        }
    }
    for mut cells in cells {
        cells.sort_by_key(|cell| cell.built);
        results.add_row(cells);
    }
    progress.end();
}

/// The metrics of a row's time.
const TIMES: [Metric; 2] = [Metric::Cpu, Metric::Wall];
/// Who is slower than the best by more than this will not win.
const NEAR: f64 = 1.3;

/// The least of each so far.
fn best(cells: &[Cell]) -> [Option<f64>; TIMES.len()] {
    TIMES.map(|metric| {
        let leasts = cells.iter().filter_map(|cell| cell.least(metric));
        leasts.min_by(f64::total_cmp)
    })
}

fn is_near(cell: &Cell, best: [Option<f64>; TIMES.len()]) -> bool {
    let mut leasts = TIMES.map(|metric| cell.least(metric)).into_iter().zip(best);
    leasts.any(|times| matches!(times, (Some(least), Some(best)) if least <= NEAR * best))
}

/// One row under one build variant.
struct Plan {
    row: &'static Row,
    /// Indices into `Results::built`.
    entrants: Vec<usize>,
    rounds: usize,
}

impl Plan {
    /// Its share of the rounds in one of several passes.
    fn rounds_of(&self, pass: usize, passes: usize) -> Range<usize> {
        self.rounds * pass / passes..self.rounds * (pass + 1) / passes
    }
}

fn plans(results: &Results, rows: &[&'static Row], options: &Options) -> Vec<Plan> {
    let mut plans = Vec::new();
    for row in rows {
        for lto in [true, false] {
            if !lto && !is_timed_without_lto(row) {
                continue;
            }
            let entrants: Vec<usize> = (0..results.built.len())
                .filter(|n| results.built[*n].lto == lto)
                .filter(|n| results.built[*n].contender.competes_in(row))
                .collect();
            plans.push(Plan {
                row,
                entrants,
                rounds: options.rounds(row),
            });
        }
    }
    plans
}

/// Memory does not depend on LTO; and collectors are generic code, which is
/// compiled into the program anyway.
fn is_timed_without_lto(row: &Row) -> bool {
    matches!(row.kind, Kind::Micro | Kind::Program)
}

fn count_instructions(results: &mut Results, rows: &[&'static Row], options: &Options) {
    if let Err(why) = count::available() {
        eprintln!("instructions are not counted: {why}");
        results.skipped.push(format!("instructions: {why}"));
        return;
    }
    let is_counted = |cell: &Cell| {
        let chosen = rows.iter().any(|row| row.name == cell.row.name);
        chosen && cell.outcome == Outcome::Ran && is_counted(cell, &results.built, options.quick)
    };
    let wanted: Vec<usize> = (0..results.cells.len())
        .filter(|n| is_counted(&results.cells[*n]))
        .filter(|n| {
            !results.built[results.cells[*n].built]
                .contender
                .is_interpreter()
        })
        .collect();
    let progress = Mutex::new(Progress::new("counting", wanted.len()));
    let next = AtomicUsize::new(0);
    let count_some = || {
        let mut counts = Vec::new();
        while let Some(&n) = wanted.get(next.fetch_add(1, Relaxed)) {
            let cell = &results.cells[n];
            let built = &results.built[cell.built];
            locked(&progress).step(&format!("{} {}", cell.row.name, built.contender.name));
            counts.push((n, count::count(&built.program, cell.row)));
        }
        counts
    };
    // On all cores: what is counted does not depend on what runs beside it.
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let counts: Vec<_> = thread::scope(|scope| {
        let lanes: Vec<_> = (0..cores).map(|_| scope.spawn(count_some)).collect();
        let joined = lanes.into_iter().map(ScopedJoinHandle::join);
        joined
            .flat_map(|counts| counts.unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    });
    for (n, count) in counts {
        results.cells[n].instructions = Some(count);
    }
    unlocked(progress).end();
}

/// Counting takes fifty times as long as running: a quick comparison counts the short
/// rows of single operations, and only programs built with LTO.
fn is_counted(cell: &Cell, built: &[Built], is_quick: bool) -> bool {
    const SHORT: u32 = 40;
    let Some((_, more)) = cell.row.counted_at else {
        return false;
    };
    let is_short = matches!(cell.row.kind, Kind::Micro | Kind::Gc) && more <= SHORT;
    !is_quick || (is_short && built[cell.built].lto)
}

fn lto_name(lto: bool) -> &'static str {
    if lto { "" } else { " (no LTO)" }
}

/// The workspace this runner was built from.
fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    fs::write(path, text).map_err(failed)?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::report::Report;

    #[test]
    fn who_is_far_from_the_best_by_both_clocks_is_not_near() {
        let cell = |cpu: u64, wall: u64| {
            let mut cell = Cell::new(&ROWS[0], 0);
            cell.reports.push(Report {
                ops: 1,
                user: Duration::from_micros(cpu),
                wall: Duration::from_micros(wall),
                ..Report::default()
            });
            cell
        };
        let cells = [cell(100, 60), cell(120, 120), cell(140, 50), cell(140, 140)];
        let best = best(&cells);
        assert_eq!(best, [Some(100_000.0), Some(50_000.0)]);
        assert_eq!(
            cells.map(|cell| is_near(&cell, best)),
            [true, true, true, false]
        );
        assert!(!is_near(&Cell::new(&ROWS[0], 0), best));
    }

    #[test]
    fn passes_share_the_rounds() {
        let plan = |rounds| Plan {
            row: &ROWS[0],
            entrants: Vec::new(),
            rounds,
        };
        for (rounds, passes) in [(3, 3), (7, 3), (1, 1), (31, 15)] {
            let shares: Vec<usize> = (0..passes)
                .flat_map(|pass| plan(rounds).rounds_of(pass, passes))
                .collect();
            assert_eq!(shares, (0..rounds).collect::<Vec<_>>());
        }
    }
}
