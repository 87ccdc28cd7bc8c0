//! `collectors ROW [THOUSANDTHS]` runs a row on the crate it was built with.

use std::env;
use std::process::ExitCode;

use benches::report::{Report, Scale};

/// What the program says when a crate cannot do what a row asks for.
const CANNOT: u8 = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (name, scale) = match arguments.as_slice() {
        [name] => (name, Some(Scale::FULL)),
        [name, scale] => (name, scale.parse().ok().map(Scale)),
        _ => {
            eprintln!("Usage: collectors ROW [THOUSANDTHS of the work]");
            return ExitCode::from(2);
        }
    };
    let Some(scale) = scale else {
        eprintln!("collectors: not a number behind '{name}'");
        return ExitCode::from(2);
    };
    if let Some(report) = run(name, scale) {
        print!("{report}");
        return ExitCode::SUCCESS;
    }
    eprintln!("collectors: this crate cannot do '{name}'");
    ExitCode::from(CANNOT)
}

#[cfg(feature = "gc-arena")]
fn run(name: &str, scale: Scale) -> Option<Report> {
    collectors::arena::run(name, scale)
}

#[cfg(not(feature = "gc-arena"))]
fn run(name: &str, scale: Scale) -> Option<Report> {
    collectors::rows::run::<collectors::heaps::Chosen>(name, scale)
}
