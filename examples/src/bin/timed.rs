//! Runs a command and writes its time and its memory to a file.
//!
//! `timed FILE COMMAND [ARGUMENT ...]` writes `MILLISECONDS KIB`: the time on
//! the clock and the most memory that was resident. The status is the command's.

use std::process::{Command, ExitCode};
use std::time::Instant;
use std::{env, fs, mem, ptr};

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let (Some(file), Some(program)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: timed FILE COMMAND [ARGUMENT ...]");
        return ExitCode::from(2);
    };
    let started = Instant::now();
    let status = match Command::new(&program).args(arguments).status() {
        Ok(status) => status,
        Err(error) => {
            eprintln!("timed: {}: {error}", program.display());
            return ExitCode::from(127);
        }
    };
    let milliseconds = started.elapsed().as_millis();
    let report = format!("{milliseconds} {}\n", peak_of_child_kib());
    if let Err(error) = fs::write(&file, report) {
        eprintln!("timed: {}: {error}", file.display());
        return ExitCode::from(2);
    }
    // Killed by a signal: the shell's word for "not a plain failure".
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    ExitCode::from(code.unwrap_or(128))
}

/// The most that was resident of the only child, which has ended.
fn peak_of_child_kib() -> i64 {
    // SAFETY: an `rusage` of zeroes is one.
    let mut usage: libc::rusage = unsafe { mem::zeroed() };
    // SAFETY: `usage` is an `rusage` that may be written.
    let status = unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, ptr::from_mut(&mut usage)) };
    assert_eq!(status, 0, "only wrong arguments make it fail");
    usage.ru_maxrss
}
