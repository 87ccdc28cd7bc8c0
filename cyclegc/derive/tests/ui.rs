//! What must not compile, with the messages that say why.

#[test]
fn misuse_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

#[test]
fn the_message_about_drop_names_finalize() {
    let message = include_str!("ui/drop.stderr");
    assert!(message.contains("ImplementFinalizeInsteadOfDrop"));
}
