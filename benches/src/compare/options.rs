//! The command line.

use std::path::PathBuf;

use super::contenders::Contender;
use crate::report::Scale;
use crate::rows::{Kind, Row};

pub(super) const HELP: &str = "\
Runs PyMalloc and cyclegc beside their rivals and prints who wins which row.

Usage: benches compare [OPTIONS]

  --quick               a fifth of the work, few counts, only programs built with
                        link-time optimisation, and no tcmalloc, which two cores build
                        for five minutes: 20 minutes on 2 cores
  --rows LIST           only rows with one of these texts in their name
  --allocators LIST     only these allocators and collectors, by name or part of it
  --runs N              runs of each, of which the least counts (9; quick: 5); who is slow runs half
                        as often
  --no-lto              only programs built without link-time optimisation
  --lto                 only programs built with it
  --no-instructions     do not count instructions by callgrind
  --json FILE           writes everything that was measured
  --html FILE           writes a page with charts

A LIST is separated by commas. Programs are built below target/compare.
";

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) quick: bool,
    pub(super) runs: usize,
    pub(super) with_lto: bool,
    pub(super) without_lto: bool,
    pub(super) instructions: bool,
    pub(super) json: Option<PathBuf>,
    pub(super) html: Option<PathBuf>,
    rows: Vec<String>,
    contenders: Vec<String>,
}

impl Options {
    /// `None` asks for help.
    pub(super) fn parse(arguments: &[String]) -> Result<Option<Self>, String> {
        let mut options = Self {
            quick: false,
            runs: 0,
            with_lto: true,
            without_lto: true,
            instructions: true,
            json: None,
            html: None,
            rows: Vec::new(),
            contenders: Vec::new(),
        };
        let mut rest = arguments.iter();
        while let Some(option) = rest.next() {
            let mut value = || {
                let value = rest.next().cloned();
                value.ok_or_else(|| format!("'{option}' wants a value"))
            };
            match option.as_str() {
                "--quick" => options.quick = true,
                "--rows" => options.rows.extend(list(&value()?)),
                "--allocators" => options.contenders.extend(list(&value()?)),
                "--runs" => {
                    let runs = value()?;
                    options.runs = runs
                        .parse()
                        .ok()
                        .filter(|runs| *runs > 0)
                        .ok_or_else(|| format!("'{runs}' is no number of runs"))?;
                }
                "--no-lto" => options.with_lto = false,
                "--lto" => options.without_lto = false,
                "--no-instructions" => options.instructions = false,
                "--json" => options.json = Some(value()?.into()),
                "--html" => options.html = Some(value()?.into()),
                "--help" | "-h" => return Ok(None),
                other => return Err(format!("unknown option '{other}'; see --help")),
            }
        }
        if !options.with_lto && !options.without_lto {
            return Err("--lto and --no-lto leave nothing".to_owned());
        }
        if options.quick && options.with_lto {
            // To build each rival twice takes longer than to run them all.
            options.without_lto = false;
        }
        if options.runs == 0 {
            options.runs = if options.quick { 5 } else { 9 };
        }
        Ok(Some(options))
    }

    /// How much of each row's work a run does.
    pub(super) fn scale(&self) -> Scale {
        if self.quick { Scale(200) } else { Scale::FULL }
    }

    /// Runs of a row. Memory repeats itself: fewer runs do. Where threads work together a run
    /// goes one of two ways, as the scheduler likes: of more runs, each allocator's least is of
    /// the better way.
    pub(super) fn rounds(&self, row: &Row) -> usize {
        match row.kind {
            Kind::Footprint if self.quick => 1,
            Kind::Footprint => self.runs.min(3),
            _ if row.is_threaded => self.runs + self.runs / 2,
            _ => self.runs,
        }
    }

    /// How many of a row's rounds are everybody's. The others are ours and theirs who may win it:
    /// the least of few runs is luck.
    pub(super) fn common_rounds(&self, row: &Row) -> usize {
        match row.kind {
            Kind::Footprint => self.rounds(row),
            _ => self.rounds(row).div_ceil(2),
        }
    }

    pub(super) fn wants(&self, row: &Row) -> bool {
        contains_any(row.name, &self.rows)
    }

    /// A quick comparison does without what takes minutes to build, unless it is asked for.
    pub(super) fn leaves_out(&self, contender: &Contender) -> bool {
        self.quick && contender.builds_long && self.contenders.is_empty()
    }

    pub(super) fn wants_contender(&self, contender: &Contender) -> bool {
        contains_any(contender.name, &self.contenders)
    }
}

fn list(text: &str) -> Vec<String> {
    let parts = text.split(',').map(str::trim);
    parts
        .filter(|part| !part.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// Whether `name` has one of `parts` in it, or there are none.
fn contains_any(name: &str, parts: &[String]) -> bool {
    let name = name.to_lowercase();
    parts.is_empty() || parts.iter().any(|part| name.contains(part.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::contenders::CONTENDERS;
    use crate::rows;

    fn parse(text: &str) -> Result<Option<Options>, String> {
        let arguments: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        Options::parse(&arguments)
    }

    #[test]
    fn quick_means_less_of_everything() {
        let quick = parse("--quick").unwrap().unwrap();
        let full = parse("").unwrap().unwrap();
        assert!(quick.runs < full.runs);
        assert!(quick.scale().0 < full.scale().0);
        let rounds = |name| {
            let row = rows::find(name).unwrap();
            [&quick, &full].map(|options| (options.rounds(row), options.common_rounds(row)))
        };
        assert_eq!(rounds("pair"), [(5, 3), (9, 5)]);
        assert_eq!(rounds("larson-2"), [(7, 4), (13, 7)]);
        assert_eq!(rounds("survivors"), [(1, 1), (3, 3)]);
        assert!(quick.with_lto && !quick.without_lto && full.without_lto);
        assert_eq!(parse("--quick --runs 4").unwrap().unwrap().runs, 4);
        let tcmalloc = CONTENDERS
            .iter()
            .find(|one| one.name == "tcmalloc")
            .unwrap();
        assert!(quick.leaves_out(tcmalloc) && !full.leaves_out(tcmalloc));
        let asked_for = parse("--quick --allocators tcm").unwrap().unwrap();
        assert!(!asked_for.leaves_out(tcmalloc) && asked_for.wants_contender(tcmalloc));
        let without = parse("--quick --no-lto").unwrap().unwrap();
        assert!(without.without_lto && !without.with_lto);
    }

    #[test]
    fn rows_are_chosen_by_parts_of_their_names() {
        let options = parse("--rows pair,larson").unwrap().unwrap();
        let wanted: Vec<_> = rows::ROWS.iter().filter(|row| options.wants(row)).collect();
        let names: Vec<_> = wanted.iter().map(|row| row.name).collect();
        assert_eq!(names, ["pair", "larson-2", "larson-8"]);
    }

    #[test]
    fn mistakes_are_said() {
        for wrong in ["--rows", "--runs 0", "--runs x", "pair", "--lto --no-lto"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse("--help"), Ok(None));
    }
}
