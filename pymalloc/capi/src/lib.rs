//! `libpymalloc.so` and `libpymalloc.a`: the allocator behind C's and C++'s own names.
//!
//! ```text
//!  malloc.rs     malloc calloc realloc reallocarray free free_sized free_aligned_sized
//!  aligned.rs    aligned_alloc memalign posix_memalign valloc pvalloc
//!  cxx.rs        operator new and delete
//!  inspect.rs    malloc_usable_size malloc_trim malloc_stats mallinfo mallinfo2, pymalloc_*
//!     │
//!  request.rs    C's sizes as layouts, C's ways to fail
//!     │
//!  pymalloc      the allocator
//! ```
//! `include/pymalloc.h` and `README.md` are for users. What glibc's own functions allocate
//! (`strdup`, `getline`, `asprintf`, `opendir`) comes from here too: they call `malloc` by
//! its name, and a program's first definition of a name is everybody's.
//!
//! # Invariants
//! 1. Every block given out is aligned to 16 bytes at least (glibc `MALLOC_ALIGNMENT`), so
//!    an address that is not is nobody's block.
//! 2. Nothing here, and nothing below, calls a function of the C library that may allocate,
//!    but where the thread is a guest (pymalloc's `global.rs`).
//! 3. A function that frees and does nothing else, `operator delete` too, leaves `errno` as it
//!    was (POSIX.1-2024). Others set it where they fail, and may leave anything where not.
//!
//! All of it is one object file in the archive, so that a program gets all or nothing.

// These are the C library's names and signatures; what they owe is written there.
#![allow(
    clippy::missing_safety_doc,
    reason = "the contract of each function is the C standard's or glibc's"
)]

mod aligned;
mod cxx;
mod inspect;
mod malloc;
mod request;

/// Rust's own allocations in this library, of which the allocation path has none.
#[global_allocator]
static GLOBAL: allocator::PyMalloc = allocator::PyMalloc;
