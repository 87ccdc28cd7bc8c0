//! The environment variables, read when the program is loaded.
//!
//! | variable | values | default | does |
//! |---|---|---|---|
//! | `PYMALLOC` | `default`, `debug` | `default` | [`PyMallocDebug`](crate::PyMallocDebug)'s hooks for `PyMalloc` (CPython `PYTHONMALLOC`) |
//! | `PYMALLOC_STACKS` | `0`, `1` | `0` | the debug hooks note where each block was allocated and freed |
//! | `PYMALLOC_SAMPLE` | a number, `0` | `0` | one allocation in so many lies between guard pages, under [`Sampled`](crate::Sampled) |
//! | `PYMALLOC_STATS` | `0`, `1` | `0` | prints [`stats`](crate::stats) to standard error when the process exits (CPython `PYTHONMALLOCSTATS`) |
//! | `PYMALLOC_LARGE_CACHE` | bytes; `k`, `m`, `g` multiply by 1024 | `4m` | how much of freed large blocks stays mapped for reuse |
//!
//! `PYMALLOC_STACKS=1` is for the hunt for a bug: it calls the unwinder from within allocations. Where
//! `malloc` is this allocator, a program that throws through code made at run time, or has very many
//! libraries loaded and closed, may hang or recurse under it.
//!
//! A value that is none of these gives one line on standard error, and the default.
//!
//! What the modes need is read when it is first asked for, if that is earlier: before the first
//! block, which may be wanted before the program is loaded as a whole, and before the C library
//! knows the environment (`os/environment.rs`).

use core::ffi::CStr;
use core::fmt::Write;
use core::num::NonZeroUsize;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicBool, AtomicUsize};

use once_cell::race::OnceNonZeroUsize;

use crate::config::LARGE_CACHE_BYTES;
use crate::os;
use crate::stderr::Stderr;

/// Reads the variables. Called once, as early as there is code to call it: later, the
/// program may be changing its environment in another thread.
pub(crate) fn read_all() {
    let stats = read_switch(c"PYMALLOC_STATS");
    // ORDERING: Relaxed, here and below; each variable stands for itself.
    PRINTS_STATS.store(stats, Relaxed);
    is_debug();
    takes_stacks();
    sample_rate();
    let allowed = "a number of bytes such as 0, 65536, 512k, 16m or 1g";
    let cache = read(c"PYMALLOC_LARGE_CACHE", allowed, "4m", parse_bytes);
    LARGE_CACHE.store(cache.unwrap_or(LARGE_CACHE_BYTES), Relaxed);
}

static PRINTS_STATS: AtomicBool = AtomicBool::new(false);
static LARGE_CACHE: AtomicUsize = AtomicUsize::new(LARGE_CACHE_BYTES);

/// Whether the table is to be printed at exit.
pub(crate) fn prints_stats() -> bool {
    PRINTS_STATS.load(Relaxed)
}

/// How many bytes of freed large blocks stay mapped.
pub(crate) fn large_cache_bytes() -> usize {
    LARGE_CACHE.load(Relaxed)
}

/// Whether the debug hooks are on for `PyMalloc`.
#[inline]
pub(crate) fn is_debug() -> bool {
    static IS_DEBUG: OnceNonZeroUsize = OnceNonZeroUsize::new();
    is_on(&IS_DEBUG, || {
        let mode = read(
            c"PYMALLOC",
            "default or debug",
            "default",
            |value| match value {
                b"" | b"default" => Some(false),
                b"debug" => Some(true),
                _ => None,
            },
        );
        mode.unwrap_or(false)
    })
}

/// Whether the debug hooks note stacks.
#[inline]
pub(crate) fn takes_stacks() -> bool {
    static TAKES_STACKS: OnceNonZeroUsize = OnceNonZeroUsize::new();
    is_on(&TAKES_STACKS, || read_switch(c"PYMALLOC_STACKS"))
}

/// How many allocations there are to one that is sampled; 0 if none is.
pub(crate) fn sample_rate() -> u32 {
    /// One more.
    static RATE: OnceNonZeroUsize = OnceNonZeroUsize::new();
    let rate = RATE.get_or_init(|| {
        let allowed = "a number such as 0 or 5000";
        let rate = read(c"PYMALLOC_SAMPLE", allowed, "0", parse_number);
        NonZeroUsize::MIN.saturating_add(rate.unwrap_or(0))
    });
    u32::try_from(rate.get() - 1).unwrap_or(u32::MAX)
}

/// A switch that is read once: 1 is off, 2 is on.
fn is_on(switch: &OnceNonZeroUsize, read: impl FnOnce() -> bool) -> bool {
    let value = switch.get_or_init(|| {
        let on = usize::from(read());
        NonZeroUsize::MIN.saturating_add(on)
    });
    value.get() == 2
}

fn read_switch(name: &CStr) -> bool {
    let value = read(name, "0 or 1", "0", |value| match value {
        b"" | b"0" => Some(false),
        b"1" => Some(true),
        _ => None,
    });
    value.unwrap_or(false)
}

/// The value of a variable; `None`, and a line on standard error, if it is not
/// `allowed`; `None` if it is not set.
fn read<T>(
    name: &CStr,
    allowed: &str,
    default: &str,
    parse: impl FnOnce(&[u8]) -> Option<T>,
) -> Option<T> {
    os::env(name, |value| {
        let parsed = parse(value);
        if parsed.is_none() {
            let name = name.to_str().unwrap_or_default();
            // Errors of standard error cannot be reported.
            let _ = writeln!(
                Stderr::new(),
                "pymalloc: {name}={} is not {allowed}; using {default}",
                value.escape_ascii()
            );
        }
        parsed
    })?
}

fn parse_bytes(value: &[u8]) -> Option<usize> {
    let (digits, shift) = match value.split_last()? {
        (b'k' | b'K', digits) => (digits, 10),
        (b'm' | b'M', digits) => (digits, 20),
        (b'g' | b'G', digits) => (digits, 30),
        _ => (value, 0),
    };
    parse_number(digits)?.checked_mul(1 << shift)
}

fn parse_number(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_documented() {
        let cases: [(&[u8], Option<usize>); 10] = [
            (b"0", Some(0)),
            (b"65536", Some(65536)),
            (b"512k", Some(512 << 10)),
            (b"16M", Some(16 << 20)),
            (b"1g", Some(1 << 30)),
            (b"", None),
            (b"m", None),
            (b"-1", None),
            (b"+1", None),
            (b"99999999999999999999g", None),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_bytes(text), bytes, "{}", text.escape_ascii());
        }
    }
}
