//! A small Lisp whose values are `Gc`: closures that capture environments,
//! classes whose objects point at their parents.
//!
//! `interp [OPTION...] FILE...` runs scripts. `(report "label")` in a script
//! prints how many objects live, how many the collector has reclaimed, and how
//! much memory the process has. With `--no-collect` only counting frees, and
//! what the script's cycles leak is said at the end.
//!
//! To find a leak: `--growth` prints at each report which types grew, `--why=CLASS` says
//! what keeps an object of a class alive at the end, and `--save=FILE` writes the graph: a
//! picture of that (`.svg`, `.dot`), a page to look around in (`.html`), or a file for
//! Chrome's DevTools (`.heapsnapshot`).

use std::process::ExitCode;

use cyclegc::DebugFlags;
use pymalloc::PyMalloc;

use crate::diagnose::Options;

mod builtins;
mod diagnose;
mod eval;
mod parse;
mod value;

#[global_allocator]
static GLOBAL: PyMalloc = PyMalloc;

fn main() -> ExitCode {
    let (flags, files): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|a| a.starts_with("--"));
    if files.is_empty() {
        eprintln!(
            "usage: interp [--no-collect] [--debug] [--growth] [--why=CLASS] [--save=FILE] FILE..."
        );
        return ExitCode::FAILURE;
    }
    let mut options = Options::default();
    for flag in flags {
        match flag.split_once('=').unwrap_or((&flag, "")) {
            ("--no-collect", "") => cyclegc::disable(),
            ("--debug", "") => cyclegc::set_debug(DebugFlags::STATS),
            ("--growth", "") => options.growth = true,
            ("--why", class) if !class.is_empty() => options.why = Some(class.to_owned()),
            ("--save", file) if !file.is_empty() => options.save.push(file.into()),
            _ => {
                eprintln!("interp: unknown option {flag}");
                return ExitCode::FAILURE;
            }
        }
    }
    diagnose::start(options);
    for file in files {
        if let Err(error) = run(&file) {
            eprintln!("{file}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn run(file: &str) -> Result<(), String> {
    let source = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let program = parse::program(&source)?;
    let globals = builtins::globals();
    for expression in &program {
        eval::eval(expression, &globals)?;
    }
    diagnose::at_end()?;
    // The script is over: nothing refers to its values any more.
    globals.clear();
    drop(globals);
    drop(program);
    if cyclegc::is_enabled() {
        cyclegc::collect();
    }
    builtins::report("end");
    match cyclegc::tracked_count() {
        0 => println!("all objects were freed"),
        leaked => println!("LEAK: {leaked} objects are in cycles that counting cannot free"),
    }
    Ok(())
}
