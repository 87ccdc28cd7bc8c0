//! Looks at snapshots of memory: `tracemalloc top FILE`.

mod args;
mod input;
mod output;
mod tables;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

/// What a command failed with, said to whoever typed it.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let args = Args::parse();
    let mut out = io::stdout().lock();
    let result = run(args.command, &mut out).and_then(|()| Ok(out.flush()?));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has seen enough: `| head`.
        Err(failure) if is_broken_pipe(&failure) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command, out: &mut dyn Write) -> Result<(), Failure> {
    match command {
        Command::Top { file, view } => tables::top(&input::load(&file, &view.symbols)?, &view, out),
        Command::Diff { old, new, view } => {
            let old = input::load(&old, &view.symbols)?;
            let new = input::load(&new, &view.symbols)?;
            tables::diff(&old, &new, &view, out)
        }
        Command::Leaks { files, all, view } => {
            let mut snapshots = Vec::with_capacity(files.len());
            for file in &files {
                snapshots.push(view.select.apply(&input::load(file, &view.symbols)?));
            }
            tables::leaks(&snapshots, all, &view, out)
        }
        Command::Info { file } => tables::info(&input::load_only(&file)?, out),
        Command::Export {
            file,
            format,
            output,
            select,
            symbols,
        } => {
            let target = output::Target::new(&file, format, output)?;
            let snapshot = select.apply(&input::load(&file, &symbols)?);
            target.write(&snapshot, out)
        }
        Command::Report {
            file,
            output,
            select,
            symbols,
        } => {
            let html = Some(tracemalloc::Format::Html);
            let target = output::Target::new(&file, html, output)?;
            let snapshot = select.apply(&input::load(&file, &symbols)?);
            target.write(&snapshot, out)
        }
        Command::Symbolize {
            file,
            output,
            symbols,
        } => {
            let snapshot = input::load(&file, &symbols)?;
            snapshot
                .dump(&output)
                .map_err(|error| format!("{}: {error}", output.display()))?;
            writeln!(out, "wrote {}", output.display())?;
            Ok(())
        }
    }
}

fn is_broken_pipe(failure: &Failure) -> bool {
    failure
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
