//! The bar: how far, what now, and about how long still.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

const WIDTH: usize = 30;

/// One stage. On a terminal it redraws a line; elsewhere it says a line when it
/// starts and when it ends.
pub(super) struct Progress {
    stage: &'static str,
    done: usize,
    total: usize,
    started: Instant,
    is_terminal: bool,
}

impl Progress {
    pub(super) fn new(stage: &'static str, total: usize) -> Self {
        let is_terminal = io::stderr().is_terminal();
        if !is_terminal {
            eprintln!("{stage}: {total}");
        }
        Self {
            stage,
            done: 0,
            total,
            started: Instant::now(),
            is_terminal,
        }
    }

    /// Begins the next of them.
    pub(super) fn step(&mut self, what: &str) {
        if self.is_terminal {
            let line = line(
                self.stage,
                self.done,
                self.total,
                self.started.elapsed(),
                what,
            );
            eprint!("\r\x1b[2K{line}");
            // A bar that is not shown does no harm.
            let _ = io::stderr().flush();
        }
        self.done += 1;
    }

    /// Says a line that stays.
    pub(super) fn say(&self, line: &str) {
        let clear = if self.is_terminal { "\r\x1b[2K" } else { "" };
        eprintln!("{clear}{line}");
    }

    pub(super) fn end(self) {
        let seconds = self.started.elapsed().as_secs();
        self.say(&format!(
            "{}: {} done in {seconds} s",
            self.stage, self.total
        ));
    }
}

fn line(stage: &str, done: usize, total: usize, elapsed: Duration, what: &str) -> String {
    let filled = (done * WIDTH)
        .checked_div(total)
        .unwrap_or(WIDTH)
        .min(WIDTH);
    let bar = "#".repeat(filled) + &"-".repeat(WIDTH - filled);
    let left = if done == 0 || done >= total {
        String::new()
    } else {
        let seconds = elapsed.as_secs() as usize * (total - done) / done;
        format!(", {}:{:02} left", seconds / 60, seconds % 60)
    };
    format!("{stage} [{bar}] {done}/{total}{left}  {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_and_estimates() {
        let line = line("running", 15, 60, Duration::from_secs(40), "pair system");
        let bar = "#######-----------------------";
        assert_eq!(
            line,
            format!("running [{bar}] 15/60, 2:00 left  pair system")
        );
    }

    #[test]
    fn nothing_to_do_is_done() {
        let line = line("running", 0, 0, Duration::ZERO, "");
        assert!(line.contains(&"#".repeat(WIDTH)));
    }
}
