//! Options of the linker for the shared library.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=sections.ld");
    // Initialised before all other libraries: its handlers for forks are registered before
    // theirs, and so run last before a fork and first after it. Theirs may then allocate.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,initfirst");
    // Never unloaded: threads that have allocated come back to it when they exit.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    if has_rusts_linker() {
        // What is not used is not resident.
        let directory = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
        println!("cargo:rustc-cdylib-link-arg=-T");
        println!("cargo:rustc-cdylib-link-arg={directory}/sections.ld");
    }
}

/// Whether the linker is the one that rustc comes with, LLVM's, which knows all commands of the
/// script. Others link without it, and more of the library is resident.
fn has_rusts_linker() -> bool {
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let is_chosen = env::var_os("RUSTC_LINKER").is_some() || flags.contains("link");
    let target = env::var("TARGET").unwrap_or_default();
    target == "x86_64-unknown-linux-gnu" && !is_chosen
}
