//! What a program may ask about the heap.

use core::ffi::{c_int, c_void};
use core::fmt::{self, Write};

use crate::request::write_stderr;

/// glibc's `struct mallinfo2`, in its order.
#[repr(C)]
#[derive(Debug)]
struct Mallinfo<T> {
    /// Bytes of arenas that have memory.
    arena: T,
    /// Free blocks.
    ordblks: T,
    /// Always 0, and so are the other two that speak of glibc's fast bins.
    smblks: T,
    /// Large blocks in use.
    hblks: T,
    /// Bytes of the large blocks in use.
    hblkhd: T,
    usmblks: T,
    fsmblks: T,
    /// Bytes of the blocks in use in arenas.
    uordblks: T,
    /// Bytes of arenas that are free.
    fordblks: T,
    /// Bytes that `malloc_trim` would give back at least.
    keepcost: T,
}

#[unsafe(no_mangle)]
unsafe extern "C" fn malloc_usable_size(block: *const c_void) -> usize {
    // SAFETY: the caller's block, or no block of ours.
    unsafe { allocator::usable_size(block.cast()) }
}

/// 1 if memory went back to the system. What glibc would leave untrimmed at the top of its
/// heap, there is nothing like here.
#[unsafe(no_mangle)]
extern "C" fn malloc_trim(_pad: usize) -> c_int {
    c_int::from(allocator::trim() > 0)
}

/// Prints CPython's table to standard error.
#[unsafe(no_mangle)]
extern "C" fn malloc_stats() {
    // Errors of standard error cannot be reported.
    let _ = write!(Stderr, "{}", allocator::stats());
}

#[unsafe(no_mangle)]
extern "C" fn mallinfo2() -> Mallinfo<usize> {
    info()
}

/// As `mallinfo2`, with `INT_MAX` for what is more.
#[unsafe(no_mangle)]
extern "C" fn mallinfo() -> Mallinfo<c_int> {
    let int = |number: usize| c_int::try_from(number).unwrap_or(c_int::MAX);
    let info = info();
    Mallinfo {
        arena: int(info.arena),
        ordblks: int(info.ordblks),
        smblks: int(info.smblks),
        hblks: int(info.hblks),
        hblkhd: int(info.hblkhd),
        usmblks: int(info.usmblks),
        fsmblks: int(info.fsmblks),
        uordblks: int(info.uordblks),
        fordblks: int(info.fordblks),
        keepcost: int(info.keepcost),
    }
}

/// Whether an address lies in this allocator's memory.
#[unsafe(no_mangle)]
extern "C" fn pymalloc_owns(address: *const c_void) -> bool {
    allocator::owns(address.cast())
}

/// Whether the heap is in order; if not, says on standard error what is wrong.
#[unsafe(no_mangle)]
extern "C" fn pymalloc_verify_heap() -> bool {
    match allocator::verify_heap() {
        Ok(()) => true,
        Err(error) => {
            let _ = writeln!(Stderr, "pymalloc: {error}");
            false
        }
    }
}

fn info() -> Mallinfo<usize> {
    let stats = allocator::stats();
    let in_arenas =
        stats.bytes_in_use + stats.bytes_free + stats.bytes_unused_pools + stats.bytes_quantization;
    Mallinfo {
        arena: in_arenas,
        ordblks: stats.classes.iter().map(|class| class.blocks_free).sum(),
        smblks: 0,
        hblks: stats.large_blocks,
        hblkhd: stats.bytes_large,
        usmblks: 0,
        fsmblks: 0,
        uordblks: stats.bytes_in_use,
        fordblks: in_arenas - stats.bytes_in_use,
        keepcost: stats.bytes_unused_pools + stats.bytes_large_cached,
    }
}

/// Standard error, without a buffer of its own: these are rare calls.
struct Stderr;

impl fmt::Write for Stderr {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_stderr(text.as_bytes())
    }
}
