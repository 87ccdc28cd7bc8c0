//! Turns `cfg(loom)` on for the packages that compile pymalloc's source, and cyclegc's.

fn main() {
    println!("cargo::rustc-cfg=loom");
    println!("cargo::rerun-if-changed=Cargo.toml");
}
