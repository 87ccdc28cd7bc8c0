//! Turns `cfg(loom)` on for this package, which compiles pymalloc's source.

fn main() {
    println!("cargo::rustc-cfg=loom");
    println!("cargo::rerun-if-changed=build.rs");
}
