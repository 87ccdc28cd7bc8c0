//! From the function to the same with notes in it.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::punctuated::Punctuated;
use syn::{Block, Error, FnArg, Item, ItemFn, Pat, Result, Signature, Stmt, Token};

use crate::options::Options;
use crate::statements::{Lines, Notes};

/// The lines of a function as the compiler tells them.
struct Place {
    file: String,
    /// Where the attribute is, which a table begins with.
    first: u32,
    /// Where `fn` is.
    entry: u32,
    /// Where the last brace is.
    last: u32,
}

pub(crate) fn profile(options: &Options, item: TokenStream) -> Result<TokenStream> {
    let mut function = match syn::parse2(item)? {
        Item::Fn(function) => function,
        other => {
            let message = "`#[profile]` goes on a function that has a body";
            return Err(Error::new_spanned(other, message));
        }
    };
    refuse(&function.sig)?;
    let place = Place::of(&function);
    // No name that an item of the user's may have, here and below: no span hides from those.
    let call = Ident::new("__tracemalloc_call", Span::mixed_site());
    let lines = Lines {
        file: place.file.clone(),
        first: place.first,
        last: place.last,
    };
    Notes::new(call.clone(), lines, place.entry).add_to_body(&mut function.block);
    let owned = owned_arguments(&mut function.sig.inputs);
    let begin = begin(options, &function.sig.ident, &place, &call);
    let (last, body) = (place.last, &function.block);
    // As an arm, what the body's last expression borrows for its own time from the arguments is
    // dropped before them, in all editions; and nothing comes after a body that does not end.
    let body = (!body.stmts.is_empty())
        .then(|| quote_spanned!(Span::mixed_site()=> match () { () => #body }));
    // First what is dropped last.
    let block: Block = syn::parse2(quote_spanned!(Span::mixed_site()=> {
        #begin
        #(#owned)*
        let __tracemalloc_closing = #call.closing(#last);
        #body
    }))?;
    *function.block = block;
    Ok(function.into_token_stream())
}

/// Says of what cannot be profiled why.
fn refuse(signature: &Signature) -> Result<()> {
    if let Some(constness) = &signature.constness {
        let message = "`#[profile]` cannot go on a `const fn`, which runs in the compiler as well, \
                       where there is no memory to measure: put it on those that call it";
        return Err(Error::new_spanned(constness, message));
    }
    if let Some(asyncness) = &signature.asyncness {
        let message = "`#[profile]` cannot go on an `async fn`, between whose parts others run, \
                       and which may go on in another thread: put it on the functions that it calls";
        return Err(Error::new_spanned(asyncness, message));
    }
    Ok(())
}

impl Place {
    fn of(function: &ItemFn) -> Self {
        let entry = function.sig.fn_token.span.unwrap();
        let last = function.block.brace_token.span.close().unwrap();
        let attribute = Span::call_site().unwrap();
        let line = |span: proc_macro::Span| u32::try_from(span.line()).unwrap_or(0);
        let (file, entry_line) = (entry.file(), line(entry));
        // A macro may have put the function together from several files.
        let first = if attribute.file() == file {
            line(attribute).min(entry_line)
        } else {
            entry_line
        };
        let last = if last.file() == file { line(last) } else { 0 };
        Self {
            first,
            entry: entry_line,
            last: last.max(entry_line),
            file,
        }
    }
}

/// The statement that begins the call.
fn begin(options: &Options, name: &Ident, place: &Place, call: &Ident) -> TokenStream {
    let krate = &options.krate;
    let Place {
        file,
        first,
        entry,
        last,
    } = place;
    let site = Span::mixed_site();
    let stream = match &options.stream {
        None => quote!(::core::option::Option::None),
        Some(stream) => quote_spanned!(site=> ::core::option::Option::Some(|__tracemalloc_table| {
            use ::std::io::Write as _;
            let mut __tracemalloc_stream = #stream;
            __tracemalloc_stream.write_all(__tracemalloc_table)
        })),
    };
    let name = name.to_string();
    quote_spanned! {site=>
        let #call = #krate::__profile::Call::enter({
            static __TRACEMALLOC_SITE: #krate::__profile::Site = #krate::__profile::Site {
                file: #file,
                folder: ::core::option_env!("CARGO_MANIFEST_DIR"),
                function: ::core::concat!(::core::module_path!(), "::", #name),
                first: #first,
                entry: #entry,
                last: #last,
                stream: #stream,
            };
            &__TRACEMALLOC_SITE
        });
    }
}

/// `let name = name;` for arguments: what they free is so freed before the call ends. Only for the
/// last ones, up to one that is taken apart or has attributes: so all are still dropped in the
/// order that they would have been.
fn owned_arguments(inputs: &mut Punctuated<FnArg, Token![,]>) -> Vec<Stmt> {
    let names = inputs.iter_mut().rev().map_while(|input| match input {
        FnArg::Typed(argument) if argument.attrs.is_empty() => match &mut *argument.pat {
            Pat::Ident(name) if name.by_ref.is_none() && name.subpat.is_none() => {
                let mutability = name.mutability.take();
                let name = &name.ident;
                let site = Span::mixed_site();
                Some(syn::parse_quote_spanned!(site=> let #mutability #name = #name;))
            }
            _ => None,
        },
        _ => None,
    });
    let mut owned: Vec<Stmt> = names.collect();
    owned.reverse();
    owned
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    fn refused(item: &str) -> String {
        let options = Options::parse(TokenStream::new()).unwrap();
        let error = profile(&options, item.parse().unwrap()).unwrap_err();
        error.to_string()
    }

    #[test]
    fn what_has_no_lines_to_run_is_refused() {
        let no_function = "goes on a function that has a body";
        assert!(refused("struct S;").contains(no_function));
        assert!(refused("fn in_a_trait(&self);").contains(no_function));
        assert!(refused("const fn f() {}").contains("`const fn`"));
        assert!(refused("pub async fn f() {}").contains("`async fn`"));
    }

    #[test]
    fn arguments_are_dropped_in_the_order_they_were() {
        let mut function: ItemFn = parse_quote! {
            fn f(&self, a: A, (b, c): (B, C), mut d: D, e: E) {}
        };
        let owned = owned_arguments(&mut function.sig.inputs);
        let expected: [Stmt; 2] = [parse_quote!(let mut d = d;), parse_quote!(let e = e;)];
        assert_eq!(owned.len(), 2);
        for (owned, expected) in owned.iter().zip(expected) {
            let text = owned.to_token_stream().to_string();
            assert_eq!(text, expected.to_token_stream().to_string());
        }
        let inputs = function.sig.inputs.to_token_stream().to_string();
        assert!(inputs.ends_with("d : D , e : E"), "{inputs}");
    }
}
