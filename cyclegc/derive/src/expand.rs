//! From the type to its `unsafe impl Trace`.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::visit::{self, Visit};
use syn::{Data, DeriveInput, Error, Fields, GenericParam, Member, Result, Type};

use crate::attributes::{TypeAttributes, is_skipped};

/// The fields of a struct or variant that are traced.
struct Traced {
    /// `Type { a: field0, .. }`, which binds them.
    pattern: TokenStream,
    bindings: Vec<Ident>,
    names: Vec<String>,
    types: Vec<Type>,
}

pub(crate) fn trace(input: &DeriveInput) -> Result<TokenStream> {
    let attributes = TypeAttributes::parse(&input.attrs)?;
    let variants = traced_variants(input, attributes.leaf)?;
    let krate = &attributes.krate;
    let name = &input.ident;

    let traces = variants.iter().map(|variant| {
        let Traced {
            pattern, bindings, ..
        } = variant;
        quote!(#pattern => { #(tracer.value(#bindings);)* })
    });
    let edges = variants.iter().map(|variant| {
        let Traced {
            pattern,
            bindings,
            names,
            ..
        } = variant;
        quote!(#pattern => { #(tracer.field(#names, #bindings);)* })
    });
    let trace_body = match_self(traces);
    let edges_body = match_self(edges);

    let types: Vec<&Type> = variants.iter().flat_map(|v| &v.types).collect();
    let may_hold = may_hold_gc(name, &attributes, &types);
    let finalizer = if attributes.finalize {
        quote!(::core::option::Option::Some(<Self as #krate::Finalize>::finalize))
    } else {
        quote!({
            use #krate::__derive::NoFinalizer as _;
            #krate::__derive::Finalizer::<Self>::FINALIZER
        })
    };

    let generics = bounded_generics(input, &attributes, &types);
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let no_drop = if attributes.leaf {
        TokenStream::new()
    } else {
        no_drop(input, &attributes)
    };
    Ok(quote! {
        const _: () = {
            #[automatically_derived]
            // SAFETY: every field that is traced is owned and asked once, and
            // the type has no `Drop` that could use what it reports.
            #[allow(clippy::undocumented_unsafe_blocks, reason = "comments are lost here")]
            unsafe impl #impl_generics #krate::Trace for #name #type_generics #where_clause {
                #[inline]
                fn trace(&self, tracer: &mut #krate::Tracer<'_>) {
                    let _ = &tracer;
                    #trace_body
                }

                fn trace_edges(&self, tracer: &mut #krate::EdgeTracer<'_>) {
                    let _ = &tracer;
                    #edges_body
                }

                #[inline]
                fn never_panics(&self) -> bool {
                    true
                }

                #[inline]
                fn may_hold_gc(depth: #krate::TypeDepth) -> bool {
                    let _ = &depth;
                    #may_hold
                }

                #[inline]
                fn finalizer() -> ::core::option::Option<fn(&Self)> {
                    #finalizer
                }
            }
            #no_drop
        };
    })
}

fn match_self(arms: impl Iterator<Item = TokenStream>) -> TokenStream {
    let mut arms = arms.peekable();
    if arms.peek().is_none() {
        // An enum without variants has no values.
        return quote!(match *self {});
    }
    quote!(match self { #(#arms)* })
}

fn traced_variants(input: &DeriveInput, leaf: bool) -> Result<Vec<Traced>> {
    match &input.data {
        Data::Struct(data) => Ok(vec![traced(quote!(Self), &data.fields, leaf)?]),
        Data::Enum(data) => data
            .variants
            .iter()
            .map(|variant| {
                let name = &variant.ident;
                traced(quote!(Self::#name), &variant.fields, leaf)
            })
            .collect(),
        Data::Union(data) => Err(Error::new(
            data.union_token.span,
            "which field of a union is valid cannot be known: implement `Trace` by hand",
        )),
    }
}

fn traced(path: TokenStream, fields: &Fields, leaf: bool) -> Result<Traced> {
    let mut members = Vec::new();
    let mut traced = Traced {
        pattern: TokenStream::new(),
        bindings: Vec::new(),
        names: Vec::new(),
        types: Vec::new(),
    };
    for (index, field) in fields.iter().enumerate() {
        if is_skipped(&field.attrs)? || leaf {
            continue;
        }
        let member = match &field.ident {
            Some(ident) => Member::Named(ident.clone()),
            None => Member::from(index),
        };
        let name = member.to_token_stream().to_string();
        traced.names.push(name.trim_start_matches("r#").to_owned());
        traced.bindings.push(format_ident!("field{index}"));
        traced.types.push(field.ty.clone());
        members.push(member);
    }
    let bindings = &traced.bindings;
    traced.pattern = quote!(#path { #(#members: #bindings,)* .. });
    Ok(traced)
}

/// `false || T::may_hold_gc(..) || ..`, or a plain answer.
fn may_hold_gc(name: &Ident, attributes: &TypeAttributes, types: &[&Type]) -> TokenStream {
    let krate = &attributes.krate;
    if attributes.leaf {
        return quote!(false);
    }
    // A type that contains itself would ask itself; it is most likely part of
    // a graph, and `true` is safe.
    if attributes.tracked || types.iter().any(|ty| contains_itself(name, ty)) {
        return quote!(true);
    }
    quote!(false #(|| depth.inside(<#types as #krate::Trace>::may_hold_gc))*)
}

/// Whether a field's type names the type itself, other than behind a handle.
fn contains_itself(name: &Ident, ty: &Type) -> bool {
    struct Search<'a> {
        name: &'a Ident,
        found: bool,
        handle: bool,
    }
    impl<'ast> Visit<'ast> for Search<'_> {
        fn visit_ident(&mut self, ident: &'ast Ident) {
            self.found |= ident == self.name || ident == "Self";
            self.handle |= ident == "Gc" || ident == "Weak";
        }
    }
    let mut search = Search {
        name,
        found: false,
        handle: false,
    };
    visit::visit_type(&mut search, ty);
    search.found && !search.handle
}

/// The type's generics; parameters that traced fields use are `Trace`, the
/// others `'static`.
fn bounded_generics(
    input: &DeriveInput,
    attributes: &TypeAttributes,
    types: &[&Type],
) -> syn::Generics {
    struct Uses<'a>(&'a Ident, bool);
    impl<'ast> Visit<'ast> for Uses<'_> {
        fn visit_ident(&mut self, ident: &'ast Ident) {
            self.1 |= ident == self.0;
        }
    }
    let krate = &attributes.krate;
    let mut generics = input.generics.clone();
    let parameters: Vec<Ident> = input
        .generics
        .type_params()
        .map(|p| p.ident.clone())
        .collect();
    let clause = generics.make_where_clause();
    for parameter in parameters {
        let mut uses = Uses(&parameter, false);
        for ty in types {
            uses.visit_type(ty);
        }
        clause.predicates.push(if uses.1 {
            syn::parse_quote!(#parameter: #krate::Trace)
        } else {
            syn::parse_quote!(#parameter: 'static)
        });
    }
    generics
}

/// Two impls that conflict if the type implements `Drop`.
fn no_drop(input: &DeriveInput, attributes: &TypeAttributes) -> TokenStream {
    let _ = attributes;
    let name = &input.ident;
    let mut generics = input.generics.clone();
    for parameter in &mut generics.params {
        if let GenericParam::Type(parameter) = parameter {
            parameter.default = None;
        }
    }
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    quote! {
        #[allow(non_camel_case_types, reason = "the name is an error message")]
        trait ImplementFinalizeInsteadOfDrop {}
        #[allow(drop_bounds, reason = "to conflict with it")]
        impl<T: ::core::ops::Drop + ?::core::marker::Sized> ImplementFinalizeInsteadOfDrop for T {}
        impl #impl_generics ImplementFinalizeInsteadOfDrop for #name #type_generics #where_clause {}
    }
}
