//! `#[derive(Trace)]` for `cyclegc`, which re-exports it and documents it.

mod attributes;
mod expand;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Writes an `unsafe impl Trace` that reports every field.
///
/// On the type: `#[trace(leaf)]` says that it holds no handles, so that none
/// is looked for, and lets it implement `Drop`; `#[trace(tracked)]` that it
/// may hold some, which ends the question for types that contain each other;
/// `#[trace(finalize)]` insists on a `Finalize`; `#[trace(crate = path)]`
/// names the crate. On a field: `#[trace(skip)]` leaves it out: what it holds
/// stays alive as long as the field.
#[proc_macro_derive(Trace, attributes(trace))]
pub fn derive_trace(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::trace(&input)
        .unwrap_or_else(|error| error.into_compile_error())
        .into()
}
