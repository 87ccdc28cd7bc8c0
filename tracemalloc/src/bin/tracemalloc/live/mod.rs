//! Looks on while a program goes on dumping.
//!
//! ```text
//!  the file ─▶ file.rs ─▶ text.rs                          one table after the other
//!                 └─▶ screen.rs ─▶ app.rs ─▶ draw.rs        a screen, where there is a terminal
//!                  a thread looks  events in   state out
//!                                   rows.rs, layout.rs, table.rs
//! ```

mod app;
mod draw;
mod file;
mod layout;
mod rows;
mod screen;
mod table;
#[cfg(test)]
mod tests;
mod text;

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use crate::args::View;
use crate::{Failure, input};

/// The least time from look to look.
const SHORTEST: Duration = Duration::from_millis(1);

/// Shows the file's snapshot, and again whenever there is another: on a screen to move in, or as
/// text that follows text.
pub(crate) fn watch(
    file: &Path,
    interval: f64,
    count: Option<usize>,
    is_plain: bool,
    view: View,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let interval = Duration::try_from_secs_f64(interval)
        .map_err(|_| "--interval is a number of seconds, such as 0.5")?
        .max(SHORTEST);
    if is_plain || count.is_some() || !screen::is_possible() {
        return text::watch(file, interval, count, &view, out);
    }
    input::check(&view.symbols)?;
    screen::watch(file, interval, view)
}
