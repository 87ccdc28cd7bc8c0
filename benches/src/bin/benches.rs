//! `benches compare [OPTIONS]`: PyMalloc and cyclegc beside their rivals.

use std::env;
use std::process::ExitCode;

use benches::compare;

const USAGE: &str = "Usage: benches compare [OPTIONS]; see benches compare --help";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Some(("compare", options)) = arguments
        .split_first()
        .map(|(command, options)| (command.as_str(), options))
    else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match compare::compare(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("benches: {why}");
            ExitCode::from(2)
        }
    }
}
