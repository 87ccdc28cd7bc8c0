//! One run of one program.

use std::fs;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::build::Program;
use super::results::{Outcome, Run, Sample};
use crate::report::{Report, Scale};
use crate::rows::Row;

/// How often a running program is looked at.
const EVERY: Duration = Duration::from_millis(5);
/// More than any row takes.
const LIMIT: Duration = Duration::from_secs(180);
/// What a program exits with when its crate cannot do the row.
const CANNOT: i32 = 3;

/// Runs `row`, and if `is_watched` looks at its resident memory all the while.
pub(super) fn run(
    program: &Program,
    row: &Row,
    scale: Scale,
    is_watched: bool,
) -> Result<Run, Outcome> {
    let mut command = Command::new(&program.path);
    command.args(&program.arguments);
    command.args([row.name, &scale.0.to_string()]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command
        .spawn()
        .map_err(|error| Outcome::Died(error.to_string()))?;
    let started = Instant::now();
    let mut samples = Vec::new();
    let status = loop {
        if let Some(status) = ended(&mut child)? {
            break status;
        }
        if started.elapsed() > LIMIT {
            // It may have ended by now.
            let _ = child.kill();
            let _ = child.wait();
            return Err(Outcome::Died(format!(
                "took more than {} s",
                LIMIT.as_secs()
            )));
        }
        if is_watched && let Some(bytes) = resident_bytes(child.id()) {
            let at = started.elapsed();
            samples.push(Sample { at, bytes });
        }
        thread::sleep(EVERY);
    };
    if status.code() == Some(CANNOT) {
        return Err(Outcome::Cannot);
    }
    if !status.success() {
        return Err(Outcome::Died(status.to_string()));
    }
    let mut text = String::new();
    let stdout = child.stdout.as_mut();
    let read = stdout.map(|stdout| stdout.read_to_string(&mut text));
    match (read, Report::parse(&text)) {
        (Some(Ok(_)), Some(report)) => Ok(Run { report, samples }),
        _ => Err(Outcome::Died("printed no report".to_owned())),
    }
}

fn ended(child: &mut Child) -> Result<Option<ExitStatus>, Outcome> {
    child
        .try_wait()
        .map_err(|error| Outcome::Died(error.to_string()))
}

/// What the process has in memory; `None` once it has none.
fn resident_bytes(process: u32) -> Option<usize> {
    let pages = fs::read_to_string(format!("/proc/{process}/statm")).ok()?;
    let pages: usize = pages.split_whitespace().nth(1)?.parse().ok()?;
    (pages > 0).then_some(pages * page_bytes())
}

fn page_bytes() -> usize {
    // SAFETY: takes a number and returns one.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows;

    /// A shell as the program: `script` sees the row as $0 and the scale as $1.
    fn shell(script: &str) -> Program {
        Program {
            path: "sh".into(),
            arguments: vec!["-c".into(), script.into()],
        }
    }

    fn run_shell(script: &str) -> Result<Run, Outcome> {
        let row = rows::find("pair").unwrap();
        run(&shell(script), row, Scale(7), true)
    }

    #[test]
    fn a_program_is_given_its_row_and_scale_and_read() {
        let report = Report {
            ops: 7,
            ..Report::default()
        };
        let script = format!("[ $0 = pair ] || exit 1; sleep 0.05; echo '{report}'");
        let run = run_shell(&script.replace("ops 7", "ops '$1'")).unwrap();
        assert_eq!(run.report, report);
        assert!(!run.samples.is_empty());
    }

    #[test]
    fn programs_that_fail_are_told_from_those_that_cannot() {
        assert_eq!(run_shell("exit 3").err(), Some(Outcome::Cannot));
        assert!(matches!(run_shell("exit 1").err(), Some(Outcome::Died(_))));
        assert!(matches!(
            run_shell("echo hello").err(),
            Some(Outcome::Died(_))
        ));
        let Some(Outcome::Died(why)) = run_shell("kill -SEGV $$").err() else {
            panic!("it did die");
        };
        assert!(why.contains("signal"), "{why}");
    }
}
