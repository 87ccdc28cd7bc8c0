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
//! knows the environment (`os/environment.rs`). Where it could not be read then, a line says so
//! when the program is loaded.

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
    let stats = read(c"PYMALLOC_STATS", "0 or 1", "0", parse_switch);
    // ORDERING: Relaxed, here and below; each variable stands for itself.
    PRINTS_STATS.store(stats == Some(1), Relaxed);
    for variable in [&DEBUG, &STACKS, &SAMPLE] {
        variable.read_or_confirm();
    }
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

static DEBUG: Early = Early::new(c"PYMALLOC", "default or debug", "default", parse_mode);
static STACKS: Early = Early::new(c"PYMALLOC_STACKS", "0 or 1", "0", parse_switch);
static SAMPLE: Early = Early::new(
    c"PYMALLOC_SAMPLE",
    "a number such as 0 or 5000",
    "0",
    parse_number,
);

/// Whether the debug hooks are on for `PyMalloc`.
#[inline]
pub(crate) fn is_debug() -> bool {
    DEBUG.get() != 0
}

/// Whether the debug hooks note stacks.
#[inline]
pub(crate) fn takes_stacks() -> bool {
    STACKS.get() != 0
}

/// How many allocations there are to one that is sampled; 0 if none is.
pub(crate) fn sample_rate() -> u32 {
    u32::try_from(SAMPLE.get()).unwrap_or(u32::MAX)
}

/// The most that an [`Early`] can be; a larger number is read as this.
const MOST: usize = usize::MAX - 1;

/// A variable that is read once, when it is first asked for: a number, 0 by default.
struct Early {
    name: &'static CStr,
    allowed: &'static str,
    default: &'static str,
    parse: fn(&[u8]) -> Option<usize>,
    /// One more.
    value: OnceNonZeroUsize,
}

impl Early {
    const fn new(
        name: &'static CStr,
        allowed: &'static str,
        default: &'static str,
        parse: fn(&[u8]) -> Option<usize>,
    ) -> Self {
        Self {
            name,
            allowed,
            default,
            parse,
            value: OnceNonZeroUsize::new(),
        }
    }

    #[inline]
    fn get(&self) -> usize {
        let value = self.value.get_or_init(|| {
            let value = read(self.name, self.allowed, self.default, self.parse);
            NonZeroUsize::MIN.saturating_add(value.unwrap_or(0))
        });
        value.get() - 1
    }

    /// Whether the environment says what was read.
    fn is_as_read(&self) -> bool {
        let now = os::env(self.name, self.parse).flatten().unwrap_or(0);
        now.min(MOST) == self.get()
    }

    /// When the program is loaded, and the environment known: says so if it was not what was
    /// read before.
    fn read_or_confirm(&self) {
        let was_read = self.value.get().is_some();
        self.get();
        if was_read && !self.is_as_read() {
            let name = self.name.to_str().unwrap_or_default();
            // Errors of standard error cannot be reported.
            let _ = writeln!(
                Stderr::new(),
                "pymalloc: {name} has no effect: it could not be read when memory was first needed"
            );
        }
    }
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

fn parse_mode(value: &[u8]) -> Option<usize> {
    match value {
        b"" | b"default" => Some(0),
        b"debug" => Some(1),
        _ => None,
    }
}

fn parse_switch(value: &[u8]) -> Option<usize> {
    match value {
        b"" | b"0" => Some(0),
        b"1" => Some(1),
        _ => None,
    }
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

    #[test]
    fn the_largest_number_is_as_it_was_read() {
        // A variable that any process has.
        let variable = Early::new(c"PATH", "any", "0", |_| Some(usize::MAX));
        variable.get();
        assert!(variable.is_as_read());
    }
}
