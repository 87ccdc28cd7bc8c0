//! What several test binaries share: one test at a time where counts are
//! compared, child processes, and the process's own memory.

#![allow(
    dead_code,
    unused_imports,
    reason = "every test binary includes the whole module and uses a part of it"
)]

mod child;

use std::any::Any;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

pub(crate) use child::{Child, in_child};
use proptest::test_runner::Config;

/// Runs a test's body while no other test of this binary runs, on a thread of
/// its own that has ended, heap and all, before the next body starts: so the
/// counts of the whole process are the body's to compare.
pub(crate) fn alone<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    static ALONE: Mutex<()> = Mutex::new(());
    // A test that failed says so itself; the others still mean something.
    let _guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let name = std::thread::current().name().map(str::to_owned);
    let outcome = std::thread::scope(|scope| {
        // A panic names the test.
        let named = std::thread::Builder::new().name(name.unwrap_or_default());
        named.spawn_scoped(scope, body).expect("a thread").join()
    });
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// `count` cases, unless `PROPTEST_CASES` says otherwise.
pub(crate) fn cases(count: u32) -> Config {
    let from_environment = Config::default();
    Config {
        cases: if std::env::var_os("PROPTEST_CASES").is_some() {
            from_environment.cases
        } else {
            count
        },
        // A failure prints its smallest sequence: that goes into a test.
        failure_persistence: None,
        ..from_environment
    }
}

/// The heap walker finds nothing to report.
#[track_caller]
pub(crate) fn assert_heap_is_sound() {
    if let Err(error) = pymalloc::verify_heap() {
        panic!("verify_heap: {error:?}");
    }
}

/// Bytes in live blocks, large ones included.
pub(crate) fn bytes_in_use() -> usize {
    let stats = pymalloc::stats();
    stats.bytes_in_use + stats.bytes_large
}

/// Whether every byte is `value`; by two comparisons, quick in a debug build too.
pub(crate) fn are_all(bytes: &[u8], value: u8) -> bool {
    bytes.is_empty() || (bytes[0] == value && bytes[1..] == bytes[..bytes.len() - 1])
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "a panic without text",
    }
}

/// Bytes of this process in physical memory.
///
/// `statm` is off by some pages a core, so it only stands in where the kernel
/// has no `smaps_rollup`.
pub(crate) fn resident_bytes() -> usize {
    let Ok(rollup) = std::fs::read_to_string("/proc/self/smaps_rollup") else {
        return pages_of_statm(1);
    };
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: usize = kib.expect("a line of kB").parse().expect("a number");
    kib * 1024
}

/// Bytes of this process's address space.
pub(crate) fn mapped_bytes() -> usize {
    pages_of_statm(0)
}

/// Bytes of this process's data, and of its stack.
pub(crate) fn data_bytes() -> usize {
    pages_of_statm(5)
}

fn pages_of_statm(field: usize) -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has /proc");
    let pages = statm.split_whitespace().nth(field).expect("seven fields");
    pages.parse::<usize>().expect("a number") * page_size()
}

/// Bytes of a page.
pub(crate) fn page_size() -> usize {
    // SAFETY: the call has no preconditions.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

/// Says that a test, or a part of one, cannot be done here: past the harness, which keeps to
/// itself what is printed by a test that passes.
pub(crate) fn skip(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// Whether the kernel copies what lies at an address, as the allocator asks it to; a filter for
/// system calls may forbid it: then what depends on it is skipped.
pub(crate) fn may_peek() -> bool {
    let (from, mut into) = (1_u8, 0_u8);
    let part = |base: *const u8| libc::iovec {
        iov_base: base.cast_mut().cast(),
        iov_len: 1,
    };
    let (local, remote) = (part(&raw mut into), part(&raw const from));
    // SAFETY: no requirements.
    let process = unsafe { libc::getpid() };
    // SAFETY: one byte is copied from a variable to another.
    let copied =
        unsafe { libc::process_vm_readv(process, &raw const local, 1, &raw const remote, 1, 0) };
    if copied != 1 {
        skip("process_vm_readv is refused");
    }
    copied == 1
}

/// How many mappings a process may have, if a test can use them up; else the test is skipped.
pub(crate) fn mappings_to_use_up() -> Option<usize> {
    const MOST: usize = 300_000;
    let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").expect("Linux has /proc");
    let most = text.trim().parse().expect("a number");
    if most > MOST {
        skip(&format!(
            "{most} mappings (vm.max_map_count) are too many to use up"
        ));
        return None;
    }
    Some(most)
}

/// Whether a process may have as many bytes of addresses more; if not, because of a hard limit,
/// the test is skipped.
pub(crate) fn may_map(bytes: usize) -> bool {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is writable.
    let status = unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut limit) };
    assert_eq!(status, 0);
    let is_room = limit.rlim_max >= (mapped_bytes() + bytes) as libc::rlim_t;
    if !is_room {
        skip("the hard limit of addresses (ulimit -Hv) is too low");
    }
    is_room
}

/// A small generator for choices that need no shrinking (xorshift64*).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// A generator; equal seeds give equal sequences.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    /// A request size: mostly small, sometimes of another tier.
    pub(crate) fn size(&mut self) -> usize {
        match self.below(64) {
            0 => 65_537 + self.below(200_000),
            1..=6 => 513 + self.below(65_024),
            _ => 1 + self.below(512),
        }
    }
}
