//! Instructions an operation, by callgrind.
//!
//! A row is run twice, with less and with more work: the difference of the
//! instructions over the difference of the operations leaves out what starts and
//! ends the program. It is the same in every run, but for what hash seeds do.

use std::process::{Command, Output};

use super::build::Program;
use crate::report::Report;
use crate::rows::Row;

/// Says why there is nothing to count with, if so.
///
/// # Errors
/// If valgrind cannot be run.
pub(super) fn available() -> Result<(), String> {
    let asked = Command::new("valgrind").arg("--version").output();
    asked
        .map(drop)
        .map_err(|error| format!("valgrind: {error}"))
}

/// Counts; an error says why a program could not be counted.
pub(super) fn count(program: &Program, row: &Row) -> Result<f64, String> {
    let Some((less, more)) = row.counted_at else {
        return Err("not a row to count".to_owned());
    };
    let (few_ops, few) = callgrind(program, row, less)?;
    let (many_ops, many) = callgrind(program, row, more)?;
    if many_ops <= few_ops || many <= few {
        return Err("more work took no more instructions".to_owned());
    }
    Ok((many - few) as f64 / (many_ops - few_ops) as f64)
}

/// Operations done and instructions run.
fn callgrind(program: &Program, row: &Row, scale: u32) -> Result<(u64, u64), String> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    command.arg(&program.path).args(&program.arguments);
    command.args([row.name, &scale.to_string()]);
    let output = command.output().map_err(|error| error.to_string())?;
    let Output {
        status,
        stdout,
        stderr,
    } = output;
    if !status.success() {
        return Err(format!("dies: {status}"));
    }
    let report = Report::parse(&String::from_utf8_lossy(&stdout)).ok_or("dies: no report")?;
    let collected = collected(&String::from_utf8_lossy(&stderr)).ok_or("no count")?;
    Ok((report.ops, collected))
}

/// The number in callgrind's last words: `==1== Collected : 123`.
fn collected(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .rev()
        .find(|line| line.contains("Collected :"))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_in_what_callgrind_says() {
        let text = "==7== Events    : Ir\n==7== Collected : 1234567\n==7==\n";
        assert_eq!(collected(text), Some(1_234_567));
        assert_eq!(collected("==7== Events    : Ir\n"), None);
    }
}
