//! The resident memory of this process, read without allocating.
//!
//! An allocator that gives memory back only when it is called next would look
//! good if the measurement itself called it. So nothing here does: system calls
//! into a buffer on the stack.

use std::ffi::CStr;
use std::mem;
use std::ptr;
use std::time::Duration;

/// Big enough for the line that is wanted of either file.
const BUFFER_BYTES: usize = 4096;

/// Bytes of this process that are in memory.
///
/// Exact where the kernel has `smaps_rollup`; else from `statm`, which may be
/// off by some pages a core.
///
/// # Panics
/// If there is no `/proc`.
#[must_use]
pub fn resident_bytes() -> usize {
    let mut buffer = [0; BUFFER_BYTES];
    let rollup = read(c"/proc/self/smaps_rollup", &mut buffer);
    if let Some(kib) = number_after(rollup, b"\nRss:") {
        return kib * 1024;
    }
    // Pages: total, resident, ...
    let pages = read(c"/proc/self/statm", &mut buffer);
    number_after(pages, b" ").expect("Linux has /proc") * page_bytes()
}

/// The most bytes of this process that were ever in memory.
///
/// The kernel keeps it with counters that may be off by some pages a core.
///
/// # Panics
/// If there is no `/proc`.
#[must_use]
pub fn peak_bytes() -> usize {
    let mut buffer = [0; BUFFER_BYTES];
    let status = read(c"/proc/self/status", &mut buffer);
    number_after(status, b"\nVmHWM:").expect("Linux keeps a high water mark") * 1024
}

/// What `path` starts with, as much as fits into `buffer`.
fn read<'b>(path: &CStr, buffer: &'b mut [u8]) -> &'b [u8] {
    // SAFETY: `path` is a C string.
    let file = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if file < 0 {
        return &[];
    }
    let mut filled = 0;
    while filled < buffer.len() {
        let rest = &mut buffer[filled..];
        // SAFETY: `rest` is writable for its whole length.
        let count = unsafe { libc::read(file, rest.as_mut_ptr().cast(), rest.len()) };
        match usize::try_from(count) {
            Ok(0) | Err(_) => break,
            Ok(count) => filled += count,
        }
    }
    // SAFETY: `file` was opened above and nobody else has it.
    unsafe { libc::close(file) };
    &buffer[..filled]
}

/// The number that follows the first `label`, after any blanks.
fn number_after(text: &[u8], label: &[u8]) -> Option<usize> {
    let at = text.windows(label.len()).position(|part| part == label)?;
    let rest = text[at + label.len()..].trim_ascii_start();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(None, |number, byte| {
        Some(number.unwrap_or(0) * 10 + usize::from(byte - b'0'))
    })
}

fn page_bytes() -> usize {
    // SAFETY: takes a number and returns one.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).expect("Linux knows its page size")
}

/// Waits without touching the allocator.
pub fn idle(duration: Duration) {
    // SAFETY: a `timespec` of zeroes is one.
    let mut left: libc::timespec = unsafe { mem::zeroed() };
    left.tv_sec = libc::time_t::try_from(duration.as_secs()).expect("a short time");
    left.tv_nsec = duration.subsec_nanos().into();
    loop {
        let wanted = left;
        let remaining = ptr::from_mut(&mut left);
        // SAFETY: both point to a `timespec`; `remaining` may be written.
        let status = unsafe { libc::nanosleep(ptr::from_ref(&wanted), remaining) };
        // A signal may end it early; then `left` says how much is left.
        if status == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn touching_memory_shows_and_freeing_it_too() {
        const BYTES: usize = 64 << 20;
        // Half of it: the tests beside this one allocate and free, too, and the kernel
        // counts pages in batches.
        let much = BYTES / 2;
        let before = resident_bytes();
        let block = vec![1_u8; BYTES];
        let held = resident_bytes();
        assert!(held >= before + much, "{before} -> {held}");
        drop(std::hint::black_box(block));
        let after = resident_bytes();
        assert!(held >= after + much, "{held} -> {after}");
        let peak = peak_bytes();
        assert!(peak >= before + much, "{before} -> {peak}");
    }

    #[test]
    fn numbers_are_found_behind_their_label() {
        let text = b"00400000-7fff ---p [rollup]\nRss:      1234 kB\nPss: 5 kB\n";
        assert_eq!(number_after(text, b"\nRss:"), Some(1234));
        assert_eq!(number_after(text, b"\nPss:"), Some(5));
        assert_eq!(number_after(text, b"\nAnonymous:"), None);
        assert_eq!(number_after(b"Rss: kB", b"Rss:"), None);
        assert_eq!(number_after(b"1000 250 80 1", b" "), Some(250));
    }

    #[test]
    fn idling_takes_as_long_as_asked() {
        let started = Instant::now();
        idle(Duration::from_millis(30));
        assert!(started.elapsed() >= Duration::from_millis(30));
    }
}
