//! The actors example: sessions end as knots of references, and are collected.

use std::process::Command;

#[test]
fn its_memory_stays_flat_and_nothing_is_left() {
    let output = Command::new(env!("CARGO_BIN_EXE_actors"))
        .args(["6", "3"])
        .output()
        .expect("it starts");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{output:?}");
    assert!(printed.contains("3600 sessions"), "{printed}");
    assert!(printed.ends_with("\n0 actors are left\n"), "{printed}");
}
