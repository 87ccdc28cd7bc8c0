//! Symbols that may be missing where a program is linked, or loaded.

/// The address of a symbol, by a weak reference; null where there is none.
#[doc(hidden)]
#[macro_export]
macro_rules! weak_address {
    ($symbol:literal) => {{
        let address: *mut core::ffi::c_void;
        #[cfg(target_arch = "x86_64")]
        // SAFETY: reads an entry of the linker's table.
        unsafe {
            core::arch::asm!(
                concat!(".weak ", $symbol),
                concat!("mov {}, qword ptr [rip + ", $symbol, "@GOTPCREL]"),
                out(reg) address,
                options(pure, readonly, nostack, preserves_flags),
            );
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        unsafe {
            core::arch::asm!(
                concat!(".weak ", $symbol),
                concat!("adrp {0}, :got:", $symbol),
                concat!("ldr {0}, [{0}, #:got_lo12:", $symbol, "]"),
                out(reg) address,
                options(pure, readonly, nostack, preserves_flags),
            );
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        {
            address = core::ptr::null_mut();
        }
        address
    }};
}
