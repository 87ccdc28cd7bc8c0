//! The `#[trace(...)]` attributes.

use syn::{Attribute, Path, Result, parse_quote};

/// What is said about the type.
pub(crate) struct TypeAttributes {
    pub(crate) leaf: bool,
    pub(crate) tracked: bool,
    pub(crate) finalize: bool,
    pub(crate) krate: Path,
}

impl TypeAttributes {
    pub(crate) fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut parsed = TypeAttributes {
            leaf: false,
            tracked: false,
            finalize: false,
            krate: parse_quote!(::cyclegc),
        };
        for attribute in attributes.iter().filter(|a| a.path().is_ident("trace")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("leaf") {
                    parsed.leaf = true;
                } else if meta.path.is_ident("tracked") {
                    parsed.tracked = true;
                } else if meta.path.is_ident("finalize") {
                    parsed.finalize = true;
                } else if meta.path.is_ident("crate") {
                    parsed.krate = meta.value()?.call(Path::parse_mod_style)?;
                } else {
                    return Err(meta.error(
                        "expected `leaf`, `tracked`, `finalize` or `crate = path`; \
                         `skip` belongs on a field",
                    ));
                }
                if parsed.leaf && parsed.tracked {
                    return Err(meta.error("a type is either `leaf` or `tracked`"));
                }
                Ok(())
            })?;
        }
        Ok(parsed)
    }
}

/// Whether a field is left out.
pub(crate) fn is_skipped(attributes: &[Attribute]) -> Result<bool> {
    let mut skipped = false;
    for attribute in attributes.iter().filter(|a| a.path().is_ident("trace")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("skip") {
                skipped = true;
                Ok(())
            } else {
                Err(meta.error("expected `skip`; other attributes belong on the type"))
            }
        })?;
    }
    Ok(skipped)
}
