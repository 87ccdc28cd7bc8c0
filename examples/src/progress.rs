//! One line on the standard error that shows how far long work has come.
//!
//! Drawn at most ten times a second, and only where somebody looks: on a
//! terminal, or when asked for.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Cells of the bar.
const WIDTH: u64 = 32;
const REDRAW_AFTER: Duration = Duration::from_millis(100);

/// The bar; threads may share it.
#[derive(Debug)]
pub struct Progress {
    /// Absent when nothing is to be drawn.
    bar: Option<Mutex<Bar>>,
}

#[derive(Debug)]
struct Bar {
    label: &'static str,
    done: u64,
    total: u64,
    drawn_at: Option<Instant>,
    /// A terminal's line is drawn over; a file gets a line for each state.
    is_terminal: bool,
}

impl Progress {
    /// Draws on a terminal; elsewhere only if `forced`.
    #[must_use]
    pub fn new(forced: bool) -> Self {
        let is_terminal = io::stderr().is_terminal();
        let bar = Bar {
            label: "",
            done: 0,
            total: 0,
            drawn_at: None,
            is_terminal,
        };
        Self {
            bar: (is_terminal || forced).then(|| Mutex::new(bar)),
        }
    }

    /// Draws nothing.
    #[must_use]
    pub fn hidden() -> Self {
        Self { bar: None }
    }

    /// Begins a piece of work of `total` steps.
    pub fn start(&self, label: &'static str, total: u64) {
        self.with_bar(|bar| {
            bar.label = label;
            bar.done = 0;
            bar.total = total;
            // Short work is over before its first drawing.
            bar.drawn_at = Some(Instant::now());
        });
    }

    /// Records that `steps` more are done.
    pub fn advance(&self, steps: u64) {
        self.with_bar(|bar| {
            bar.done += steps;
            if bar.drawn_at.is_none_or(|at| at.elapsed() >= REDRAW_AFTER) {
                bar.drawn_at = Some(Instant::now());
                bar.draw();
            }
        });
    }

    /// Ends the piece of work and clears the line for what comes next.
    pub fn finish(&self) {
        self.with_bar(|bar| {
            if bar.is_terminal {
                eprint!("\r\x1b[K");
            } else {
                bar.draw();
            }
        });
    }

    fn with_bar(&self, act: impl FnOnce(&mut Bar)) {
        if let Some(bar) = &self.bar {
            // A drawing that panicked leaves a bar that can be drawn again.
            act(&mut bar.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
        }
    }
}

impl Bar {
    fn draw(&self) {
        let line = self.line();
        let mut stderr = io::stderr().lock();
        // Nobody is served by a failure to draw.
        let _ = if self.is_terminal {
            write!(stderr, "\r{line}\x1b[K").and_then(|()| stderr.flush())
        } else {
            writeln!(stderr, "{line}")
        };
    }

    fn line(&self) -> String {
        let total = self.total.max(1);
        let done = self.done.min(total);
        let cells = usize::try_from(done * WIDTH / total).unwrap_or(0);
        let rest = usize::try_from(WIDTH).unwrap_or(0) - cells;
        let percent = done * 100 / total;
        format!(
            "{:>9} {}{} {percent:3} %",
            self.label,
            "━".repeat(cells),
            "·".repeat(rest)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(done: u64, total: u64) -> String {
        let bar = Bar {
            label: "indexing",
            done,
            total,
            drawn_at: None,
            is_terminal: false,
        };
        bar.line()
    }

    #[test]
    fn the_bar_has_the_same_length_at_every_state() {
        let lengths: Vec<_> = (0..=7).map(|done| line(done, 7).chars().count()).collect();
        assert!(
            lengths.windows(2).all(|pair| pair[0] == pair[1]),
            "{lengths:?}"
        );
    }

    #[test]
    fn half_of_the_work_is_half_a_bar() {
        let half = line(50, 100);
        assert_eq!(half.matches('━').count(), 16);
        assert!(half.ends_with(" 50 %"), "{half}");
    }

    #[test]
    fn no_work_and_too_much_work_are_drawn_too() {
        assert!(line(0, 0).ends_with("  0 %"));
        assert!(line(9, 7).ends_with("100 %"));
    }
}
