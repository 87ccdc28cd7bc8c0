//! `programs ROW [THOUSANDTHS]` runs a row under the allocator it was built with.

use std::env;
use std::process::ExitCode;

use benches::report::Scale;
use programs::RUNS;

/// Not for the benchmarks that hold several of them.
#[cfg(not(feature = "side-by-side"))]
mod global {
    /// Declares the `static` where a feature names the allocator.
    macro_rules! global {
        ($feature:literal, $contender:ident) => {
            #[cfg(feature = $feature)]
            #[global_allocator]
            static GLOBAL: programs::contenders::$contender::Contender =
                programs::contenders::$contender::CONTENDER;
        };
    }

    global!("pymalloc", pymalloc);
    global!("mimalloc3", mimalloc);
    global!("mimalloc2", mimalloc);
    global!("jemalloc", jemalloc);
    global!("snmalloc", snmalloc);
    global!("rpmalloc", rpmalloc);
    global!("tcmalloc", tcmalloc);
    global!("rallocator", rallocator);
    global!("sefer", sefer);
    global!("ferroc", ferroc);
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (name, scale) = match arguments.as_slice() {
        [name] => (name, Some(Scale::FULL)),
        [name, scale] => (name, scale.parse().ok().map(Scale)),
        _ => {
            eprintln!("Usage: programs ROW [THOUSANDTHS of the work]\nThe rows:");
            for (name, _) in RUNS {
                eprintln!("  {name}");
            }
            return ExitCode::from(2);
        }
    };
    let run = RUNS.iter().find(|(row, _)| row == name);
    let (Some((_, run)), Some(scale)) = (run, scale) else {
        eprintln!("programs: no row '{name}', or not a number behind it");
        return ExitCode::from(2);
    };
    print!("{}", run(scale));
    ExitCode::SUCCESS
}
