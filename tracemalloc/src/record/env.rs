//! `PYMALLOC_TRACE`, read when the program is loaded: tracing from the first block on.
//!
//! Before `main`, and before the program has threads: so it is exact from the start. The
//! allocator's own constructor, which registers its handlers for forks, comes before.

use std::fmt;
use std::io::{self, Write as _};

use super::settings::Config;
use super::start_with;

const NAME: &str = "PYMALLOC_TRACE";

#[used]
// SAFETY: the loader calls what it finds there; the function needs nothing that a constructor
// does not have.
#[unsafe(link_section = ".init_array.00102")]
static AT_START: extern "C" fn() = {
    extern "C" fn at_start() {
        if let Some(value) = std::env::var_os(NAME) {
            begin(&value.to_string_lossy());
        }
    }
    at_start
};

fn begin(value: &str) {
    if matches!(value, "" | "0") {
        return;
    }
    match value.parse::<Config>() {
        Ok(config) => {
            if let Err(error) = start_with(config) {
                say(format_args!("{value}: {error}"));
            }
        }
        Err(error) => {
            let value = value.escape_debug();
            say(format_args!("{value} is {error}"));
        }
    }
}

fn say(what: fmt::Arguments<'_>) {
    // Who cannot hear it goes on without: a panic here would be the end of the program.
    let _ = writeln!(io::stderr(), "tracemalloc: {NAME}={what}; not tracing");
}
