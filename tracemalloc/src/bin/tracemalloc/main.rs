//! Looks at snapshots of memory: `tracemalloc top FILE`.

mod args;
mod input;
mod live;
mod output;
mod plain;
mod tables;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use tracemalloc::Format;

use args::{Args, Command, Exported};
use plain::{Plain, plain};

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
            eprintln!("error: {}", plain(&failure.to_string()));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command, out: &mut dyn Write) -> Result<(), Failure> {
    match command {
        Command::Top { file, view } => {
            let snapshot = input::load(&file, &view.symbols)?;
            tables::top(&snapshot, &view, &mut Plain(out))
        }
        Command::Diff { old, new, view } => {
            let old = input::load(&old, &view.symbols)?;
            let new = input::load(&new, &view.symbols)?;
            tables::diff(&old, &new, &view, &mut Plain(out))
        }
        Command::Leaks { files, all, view } => {
            let mut snapshots = Vec::with_capacity(files.len());
            for file in &files {
                snapshots.push(view.select.apply(&input::load(file, &view.symbols)?));
            }
            tables::leaks(&snapshots, all, &view, &mut Plain(out))
        }
        Command::Live {
            file,
            interval,
            count,
            plain,
            view,
        } => live::watch(&file, interval, count, plain, view, out),
        Command::Info { file } => tables::info(&input::load_only(&file)?, &mut Plain(out)),
        Command::Export { format, export } => write(export, format, out),
        Command::Flame { export } => write(export, Some(Format::Flamegraph), out),
        Command::Pprof { export } => write(export, Some(Format::Pprof), out),
        Command::Report { export } => write(export, Some(Format::Html), out),
        Command::Plot { file, output: path } => {
            output::plot(&file, &input::load_only(&file)?, path, out)
        }
        Command::Symbolize {
            file,
            output,
            symbols,
        } => {
            let snapshot = input::load(&file, &symbols)?;
            if output::is_stdout(&output) {
                return Ok(snapshot.write_to(out)?);
            }
            snapshot
                .dump(&output)
                .map_err(|error| format!("{}: {error}", output.display()))?;
            writeln!(out, "wrote {}", output.display())?;
            Ok(())
        }
    }
}

fn write(export: Exported, format: Option<Format>, out: &mut dyn Write) -> Result<(), Failure> {
    let target = output::Target::new(&export.file, format, export.output)?;
    let snapshot = input::load(&export.file, &export.symbols)?;
    target.write(&export.select.apply(&snapshot), out)
}

fn is_broken_pipe(failure: &Failure) -> bool {
    failure
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
