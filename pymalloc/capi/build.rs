//! Options of the linker for the shared library.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Initialised before all other libraries: its handlers for forks are registered before
    // theirs, and so run last before a fork and first after it. Theirs may then allocate.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,initfirst");
    // Never unloaded: threads that have allocated come back to it when they exit.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
