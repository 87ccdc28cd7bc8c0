//! `operator new` and `operator delete` in all their forms, by their Itanium names.
//!
//! A `new` that fails calls the program's new-handler until one block is free or there is no
//! handler, and then throws `std::bad_alloc`. Rust cannot throw it: libstdc++'s own
//! `std::__throw_bad_alloc` does, through frames that have nothing to clean up. Where the
//! process has no such function (libc++, or an archive that leaves it out), a line on
//! standard error says so and the process ends.
//!
//! The library is not linked to libstdc++: C programs need none. It is looked for when it is
//! needed: by weak references, which find it where the program is linked to it; else among
//! the libraries that were loaded since.
//!
//! A handler that throws from a `nothrow` new ends the process: Rust cannot catch it.
//!
//! Source: C++20 17.6.3; Itanium C++ ABI 5.1.5.

use core::ffi::{CStr, c_void};
use core::fmt::Write;
use core::mem::{ManuallyDrop, transmute};

use allocator::weak_address;

use crate::request::{self, ALIGNMENT, Line, alloc_quietly, refuse};

type Handler = extern "C-unwind" fn();
type Thrower = extern "C-unwind" fn() -> !;

#[inline(always)]
fn new(size: usize, alignment: usize) -> *mut c_void {
    let block = alloc_quietly(size, alignment);
    if block.is_null() {
        return new_after_handler(size, alignment).unwrap_or_else(|| throw_bad_alloc());
    }
    block
}

#[inline(always)]
fn new_or_null(size: usize, alignment: usize) -> *mut c_void {
    let block = alloc_quietly(size, alignment);
    if block.is_null() {
        return new_or_end(size, alignment).unwrap_or_default();
    }
    block
}

/// As `new_after_handler`, but nothing that the handler throws gets past it.
#[cold]
#[inline(never)]
fn new_or_end(size: usize, alignment: usize) -> Option<*mut c_void> {
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            let mut line = Line::new();
            let _ = line.write_str(
                "pymalloc: operator new: a new-handler has thrown from a nothrow new, which \
                 cannot pass that on\n",
            );
            line.print_and_abort();
        }
    }
    let end = End;
    let block = new_after_handler(size, alignment);
    let _ = ManuallyDrop::new(end);
    block
}

/// Lets the program's new-handler make room; `None` when there is no handler any more, or
/// none can help, because the alignment is no power of two (libstdc++).
#[cold]
#[inline(never)]
fn new_after_handler(size: usize, alignment: usize) -> Option<*mut c_void> {
    if !alignment.is_power_of_two() {
        return None;
    }
    loop {
        new_handler()?();
        let block = alloc_quietly(size, alignment);
        if !block.is_null() {
            return Some(block);
        }
    }
}

fn new_handler() -> Option<Handler> {
    let getter = found(
        weak_address!("_ZSt15get_new_handlerv"),
        c"_ZSt15get_new_handlerv",
    );
    if getter.is_null() {
        return None;
    }
    // SAFETY: `std::get_new_handler` has this signature.
    let getter: extern "C" fn() -> Option<Handler> = unsafe { transmute(getter) };
    getter()
}

fn throw_bad_alloc() -> ! {
    let thrower = found(
        weak_address!("_ZSt17__throw_bad_allocv"),
        c"_ZSt17__throw_bad_allocv",
    );
    if thrower.is_null() {
        let mut line = Line::new();
        let _ = line.write_str(
            "pymalloc: operator new: out of memory, and no std::__throw_bad_alloc in this \
             process to say so with; link libstdc++.so\n",
        );
        line.print_and_abort();
    }
    // SAFETY: `std::__throw_bad_alloc` has this signature.
    let thrower: Thrower = unsafe { transmute(thrower) };
    thrower()
}

/// What a weak reference found, or a libstdc++ that was loaded later has.
fn found(weak: *mut c_void, symbol: &CStr) -> *mut c_void {
    if !weak.is_null() {
        return weak;
    }
    let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD;
    // SAFETY: a C string; loads nothing.
    let library = unsafe { libc::dlopen(c"libstdc++.so.6".as_ptr(), flags) };
    if library.is_null() {
        return library;
    }
    // SAFETY: an open library, which is not closed again, and a C string.
    unsafe { libc::dlsym(library, symbol.as_ptr()) }
}

macro_rules! operators_new {
    ($($symbol:literal: $name:ident($($argument:ident: $type:ty),*) = $new:expr;)*) => {$(
        #[unsafe(export_name = $symbol)]
        extern "C-unwind" fn $name($($argument: $type),*) -> *mut c_void {
            $new
        }
    )*};
}

type Nothrow = *const c_void;

operators_new! {
    "_Znwm": new_one(size: usize) = new(size, ALIGNMENT);
    "_Znam": new_array(size: usize) = new(size, ALIGNMENT);
    "_ZnwmSt11align_val_t": new_one_aligned(size: usize, alignment: usize) =
        new(size, alignment.max(ALIGNMENT));
    "_ZnamSt11align_val_t": new_array_aligned(size: usize, alignment: usize) =
        new(size, alignment.max(ALIGNMENT));
}

macro_rules! operators_new_nothrow {
    ($($symbol:literal: $name:ident($($argument:ident: $type:ty),*) = $new:expr;)*) => {$(
        #[unsafe(export_name = $symbol)]
        extern "C" fn $name($($argument: $type),*, _: Nothrow) -> *mut c_void {
            $new
        }
    )*};
}

operators_new_nothrow! {
    "_ZnwmRKSt9nothrow_t": new_one_nothrow(size: usize) = new_or_null(size, ALIGNMENT);
    "_ZnamRKSt9nothrow_t": new_array_nothrow(size: usize) = new_or_null(size, ALIGNMENT);
    "_ZnwmSt11align_val_tRKSt9nothrow_t":
        new_one_aligned_nothrow(size: usize, alignment: usize) =
            new_or_null(size, alignment.max(ALIGNMENT));
    "_ZnamSt11align_val_tRKSt9nothrow_t":
        new_array_aligned_nothrow(size: usize, alignment: usize) =
            new_or_null(size, alignment.max(ALIGNMENT));
}

macro_rules! operators_delete {
    ($($symbol:literal: $name:ident($($type:ty),*) in $spoken:literal;)*) => {$(
        #[unsafe(export_name = $symbol)]
        unsafe extern "C-unwind" fn $name(block: *mut c_void $(, _: $type)*) {
            // SAFETY: the caller's block.
            unsafe { request::free(block, refuse!($spoken)) };
        }
    )*};
}

operators_delete! {
    "_ZdlPv": delete_one() in c"operator delete";
    "_ZdaPv": delete_array() in c"operator delete[]";
    "_ZdlPvm": delete_one_sized(usize) in c"operator delete";
    "_ZdaPvm": delete_array_sized(usize) in c"operator delete[]";
    "_ZdlPvRKSt9nothrow_t": delete_one_nothrow(Nothrow) in c"operator delete";
    "_ZdaPvRKSt9nothrow_t": delete_array_nothrow(Nothrow) in c"operator delete[]";
    "_ZdlPvSt11align_val_t": delete_one_aligned(usize) in c"operator delete";
    "_ZdaPvSt11align_val_t": delete_array_aligned(usize) in c"operator delete[]";
    "_ZdlPvmSt11align_val_t": delete_one_sized_aligned(usize, usize) in c"operator delete";
    "_ZdaPvmSt11align_val_t": delete_array_sized_aligned(usize, usize) in c"operator delete[]";
    "_ZdlPvSt11align_val_tRKSt9nothrow_t":
        delete_one_aligned_nothrow(usize, Nothrow) in c"operator delete";
    "_ZdaPvSt11align_val_tRKSt9nothrow_t":
        delete_array_aligned_nothrow(usize, Nothrow) in c"operator delete[]";
}
