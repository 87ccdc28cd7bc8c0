//! `#[profile]` for `tracemalloc`, which re-exports it and documents it.

mod function;
mod options;
mod statements;

use proc_macro::TokenStream;

/// Notes the thread's memory before each statement of the function; when the function ends, what
/// each line did to it is printed.
///
/// `stream = EXPRESSION` says where to, standard error else; `crate = path` names the crate.
#[proc_macro_attribute]
pub fn profile(options: TokenStream, item: TokenStream) -> TokenStream {
    let profiled = options::Options::parse(options.into())
        .and_then(|options| function::profile(&options, item.clone().into()));
    match profiled {
        Ok(function) => function.into(),
        // With the function as it was, so that this is the only error.
        Err(error) => {
            let mut tokens = TokenStream::from(error.into_compile_error());
            tokens.extend(item);
            tokens
        }
    }
}
