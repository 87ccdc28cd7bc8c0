//! The options of `#[profile(...)]`.

use proc_macro2::TokenStream;
use syn::parse::Parser;
use syn::{Expr, Path, Result, parse_quote};

/// What is said beside the function.
pub(crate) struct Options {
    /// Where the table goes; `None` is standard error.
    pub(crate) stream: Option<Expr>,
    pub(crate) krate: Path,
}

impl Options {
    pub(crate) fn parse(tokens: TokenStream) -> Result<Self> {
        let mut options = Self {
            stream: None,
            krate: parse_quote!(::tracemalloc),
        };
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("stream") {
                options.stream = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("crate") {
                options.krate = meta.value()?.call(Path::parse_mod_style)?;
            } else {
                return Err(meta.error("expected `stream = expression` or `crate = path`"));
            }
            Ok(())
        });
        parser.parse2(tokens)?;
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::{ToTokens, quote};

    #[test]
    fn options_may_be_left_out_and_nothing_else_is_one() {
        let none = Options::parse(TokenStream::new()).unwrap();
        assert!(none.stream.is_none());
        assert_eq!(none.krate.to_token_stream().to_string(), ":: tracemalloc");
        let tokens = quote!(stream = std::io::stdout(), crate = ::other::name,);
        let both = Options::parse(tokens).unwrap();
        assert!(both.stream.is_some());
        assert_eq!(both.krate.to_token_stream().to_string(), ":: other :: name");
        let wrong = Options::parse(quote!(precision = 4)).err().unwrap();
        assert!(wrong.to_string().contains("`stream = expression`"));
    }
}
