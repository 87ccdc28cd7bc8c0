//! Options of the linker for the shared library.

use std::env;
use std::path::Path;
use std::process::Command;

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

/// Whether the linker is, by all that is known here, the one that rustc comes with, LLVM's, which
/// knows all commands of the script. (What `cargo rustc` is told is not known.) Others link without
/// it, and more of the library is resident.
fn has_rusts_linker() -> bool {
    const TARGET: &str = "x86_64-unknown-linux-gnu";
    let is = |name, value| env::var(name).is_ok_and(|is| is == value);
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let is_chosen = env::var_os("RUSTC_LINKER").is_some() || flags.contains("link");
    is("TARGET", TARGET) && is("HOST", TARGET) && !is_chosen && comes_with_linker(TARGET)
}

fn comes_with_linker(host: &str) -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let asked = Command::new(rustc).args(["--print", "sysroot"]).output();
    asked.is_ok_and(|answer| {
        let sysroot = String::from_utf8_lossy(&answer.stdout);
        let tools = Path::new(sysroot.trim()).join("lib/rustlib").join(host);
        tools.join("bin/gcc-ld/ld.lld").exists()
    })
}
