//! Where the calling thread's heap lies: a thread-local of Rust's, or, with the feature
//! `initial-exec`, one that is declared and found in assembly.
//!
//! In an executable both are an offset from the thread's register. In a shared library
//! Rust's is found by a call to `__tls_get_addr`, and that function may allocate: behind a
//! `malloc` it would call itself. The compiler's option for the model that needs no call
//! (`-Z tls-model=initial-exec`) is not stable; assembly is.
//!
//! Invariant: the heap of a thread that has not allocated yet is all zeros, which is what the
//! system gives a thread's `.tbss`.
//!
//! Source: U. Drepper, "ELF Handling For Thread-Local Storage", 4.3.6 and the Arm ABI.

use crate::heap::Heap;

#[cfg(not(feature = "initial-exec"))]
mod imp {
    use super::Heap;

    thread_local! {
        static HEAP: Heap = const { Heap::new() };
    }

    #[inline(always)]
    pub(crate) fn with_heap<R>(f: impl FnOnce(&Heap) -> R) -> R {
        HEAP.with(f)
    }
}

#[cfg(feature = "initial-exec")]
mod imp {
    use super::Heap;

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    compile_error!("the feature `initial-exec` knows x86-64 and aarch64; build without it");

    core::arch::global_asm!(
        ".pushsection .tbss.pymalloc_heap, \"awT\", %nobits",
        ".hidden pymalloc_heap",
        ".globl pymalloc_heap",
        ".type pymalloc_heap, %object",
        ".size pymalloc_heap, {size}",
        ".balign 64",
        "pymalloc_heap:",
        ".zero {size}",
        ".popsection",
        size = const size_of::<Heap>(),
    );

    /// What each thread finds there: see the test below.
    const _: Heap = Heap::new();
    const _: () = assert!(align_of::<Heap>() <= 64);

    #[inline(always)]
    pub(crate) fn with_heap<R>(f: impl FnOnce(&Heap) -> R) -> R {
        let heap: *const Heap;
        #[cfg(target_arch = "x86_64")]
        // SAFETY: reads the offset of the thread-local from the linker's table, and the
        // thread's own address from the first word of its control block.
        unsafe {
            core::arch::asm!(
                "mov {heap}, qword ptr [rip + pymalloc_heap@GOTTPOFF]",
                "add {heap}, qword ptr fs:[0]",
                heap = out(reg) heap,
                options(pure, readonly, nostack),
            );
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above; the thread's address is in a register.
        unsafe {
            core::arch::asm!(
                "adrp {heap}, :gottprel:pymalloc_heap",
                "ldr {heap}, [{heap}, #:gottprel_lo12:pymalloc_heap]",
                "mrs {thread}, tpidr_el0",
                "add {heap}, {heap}, {thread}",
                heap = out(reg) heap,
                thread = out(reg) _,
                options(pure, readonly, nostack, preserves_flags),
            );
        }
        // SAFETY: the thread's own, zeroed when the thread started: a new heap then, and
        // since then whatever the thread made of it.
        f(unsafe { &*heap })
    }
}

pub(crate) use imp::with_heap;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_heap_is_all_zeros() {
        // SAFETY: pointers, numbers, and an enumeration with a 0: zeros are a heap.
        let zeros: Heap = unsafe { core::mem::zeroed() };
        assert_eq!(format!("{zeros:?}"), format!("{:?}", Heap::new()));
    }
}
