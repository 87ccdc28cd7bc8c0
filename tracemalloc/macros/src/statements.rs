//! Notes between statements.
//!
//! ```text
//!  for word in words {              call.line(7);
//!                                   for word in words {
//!      let text = read(word);           let _block = call.iteration(7);
//!      list.push(text);                 call.line(8);
//!  }                                    let text = read(word);
//!                                       let _closing = call.closing(10);
//!                                       call.line(9);
//!                                       list.push(text);
//!                                   }
//! ```
//!
//! (The names that are added begin with `__tracemalloc_`: no item of a user's is called so.)
//!
//! Statements are added, and an arm of a `match` becomes a block: what there was is not changed,
//! so it does what it did, and drops what it dropped, in that order. What leaves a block in any
//! way, `return`, `?`, `break` or a panic, drops `_closing` before the block's other variables,
//! and `_block` after them: what the variables free is put down to the closing brace, and what
//! follows to the statement that the block is in.
//!
//! Closures and `async` blocks may run elsewhere and stay as they are; so do constants, and items.

use std::mem;

use proc_macro2::{Ident, Span, TokenStream};
use quote::ToTokens;
use syn::parse::{ParseStream, Parser};
use syn::visit_mut::{self, VisitMut};
use syn::{
    Arm, Attribute, Block, Expr, ExprAsync, ExprClosure, ExprConst, ExprForLoop, ExprLoop,
    ExprRepeat, ExprWhile, GenericArgument, Item, Pat, Result, Stmt, Type, parse_quote_spanned,
};

/// The lines of a function.
pub(crate) struct Lines {
    pub(crate) file: String,
    pub(crate) first: u32,
    pub(crate) last: u32,
}

/// Adds notes to a function's body.
pub(crate) struct Notes {
    /// The variable that they are calls on.
    call: Ident,
    lines: Lines,
    /// The line of the statement that is being looked at.
    line: u32,
}

/// What a block begins with.
#[derive(Clone, Copy)]
enum Beginning {
    /// The whole body: its caller says.
    Body,
    Block,
    /// A loop's.
    Iteration,
}

impl Lines {
    /// The line that a span begins in; `None` if a macro brought it from elsewhere.
    fn of(&self, span: Span) -> Option<u32> {
        let span = span.unwrap();
        let line = u32::try_from(span.line()).ok()?;
        let is_here = (self.first..=self.last).contains(&line) && span.file() == self.file;
        is_here.then_some(line)
    }
}

impl Notes {
    /// `line` is that of `fn`.
    pub(crate) const fn new(call: Ident, lines: Lines, line: u32) -> Self {
        Self { call, lines, line }
    }

    pub(crate) fn add_to_body(mut self, body: &mut Block) {
        self.add(body, Beginning::Body);
    }

    fn add(&mut self, block: &mut Block, beginning: Beginning) {
        if block.stmts.is_empty() {
            return;
        }
        let outer = self.line;
        let close = block.brace_token.span.close();
        let mut noted = Vec::with_capacity(3 * block.stmts.len() + 1);
        noted.extend(self.beginning(beginning, block.brace_token.span.open()));
        let mut before = None;
        for mut statement in mem::take(&mut block.stmts) {
            if matches!(statement, Stmt::Item(_)) {
                noted.push(statement);
                continue;
            }
            let Ok((conditions, span)) = head(&statement) else {
                noted.push(statement);
                continue;
            };
            let line = self.lines.of(span);
            if let Some(line) = line {
                // What shares a line with what it is in, or comes after, is no other line.
                let is_new = line != outer && before != Some(line);
                noted.push(self.note(span, is_new, line, &conditions));
                before = Some(line);
            }
            self.line = line.unwrap_or(outer);
            visit_mut::visit_stmt_mut(self, &mut statement);
            let is_local = matches!(statement, Stmt::Local(_));
            noted.push(statement);
            if let (true, Some(close)) = (is_local, self.lines.of(close)) {
                noted.push(self.closing(span, close, &conditions));
            }
        }
        self.line = outer;
        block.stmts = noted;
    }

    fn beginning(&self, beginning: Beginning, span: Span) -> Option<Stmt> {
        let method = match beginning {
            Beginning::Body => return None,
            Beginning::Block => "block",
            Beginning::Iteration => "iteration",
        };
        let span = Span::mixed_site().located_at(span);
        let (call, line, method) = (&self.call, self.line, Ident::new(method, span));
        Some(parse_quote_spanned!(span=> let __tracemalloc_block = #call.#method(#line);))
    }

    fn note(&self, span: Span, is_new: bool, line: u32, conditions: &[Attribute]) -> Stmt {
        let span = Span::mixed_site().located_at(span);
        let method = Ident::new(if is_new { "line" } else { "back" }, span);
        let call = &self.call;
        parse_quote_spanned!(span=> #(#conditions)* #call.#method(#line);)
    }

    fn closing(&self, span: Span, line: u32, conditions: &[Attribute]) -> Stmt {
        let span = Span::mixed_site().located_at(span);
        let call = &self.call;
        parse_quote_spanned! {span=>
            #(#conditions)* let __tracemalloc_closing = #call.closing(#line);
        }
    }
}

impl VisitMut for Notes {
    fn visit_block_mut(&mut self, block: &mut Block) {
        self.add(block, Beginning::Block);
    }

    fn visit_expr_for_loop_mut(&mut self, node: &mut ExprForLoop) {
        self.visit_expr_mut(&mut node.expr);
        self.add(&mut node.body, Beginning::Iteration);
    }

    fn visit_expr_while_mut(&mut self, node: &mut ExprWhile) {
        self.visit_expr_mut(&mut node.cond);
        self.add(&mut node.body, Beginning::Iteration);
    }

    fn visit_expr_loop_mut(&mut self, node: &mut ExprLoop) {
        self.add(&mut node.body, Beginning::Iteration);
    }

    fn visit_arm_mut(&mut self, arm: &mut Arm) {
        if let Some((_, guard)) = &mut arm.guard {
            self.visit_expr_mut(guard);
        }
        if !matches!(*arm.body, Expr::Block(_)) {
            let span = first_span(arm.body.to_token_stream());
            if self.lines.of(span).is_some_and(|line| line != self.line) {
                let body = &arm.body;
                *arm.body = parse_quote_spanned!(span=> { #body });
            }
        }
        self.visit_expr_mut(&mut arm.body);
    }

    fn visit_expr_repeat_mut(&mut self, node: &mut ExprRepeat) {
        self.visit_expr_mut(&mut node.expr);
    }

    fn visit_expr_closure_mut(&mut self, _: &mut ExprClosure) {}
    fn visit_expr_async_mut(&mut self, _: &mut ExprAsync) {}
    fn visit_expr_const_mut(&mut self, _: &mut ExprConst) {}
    fn visit_item_mut(&mut self, _: &mut Item) {}
    // Blocks in these are constants.
    fn visit_generic_argument_mut(&mut self, _: &mut GenericArgument) {}
    fn visit_type_mut(&mut self, _: &mut Type) {}
    fn visit_pat_mut(&mut self, _: &mut Pat) {}
}

/// The conditions that a statement is compiled on, and where it begins behind its attributes.
fn head(statement: &Stmt) -> Result<(Vec<Attribute>, Span)> {
    let parser = |input: ParseStream<'_>| {
        let mut attributes = input.call(Attribute::parse_outer)?;
        attributes.retain(|attribute| attribute.path().is_ident("cfg"));
        Ok((attributes, first_span(input.parse()?)))
    };
    parser.parse2(statement.to_token_stream())
}

fn first_span(tokens: TokenStream) -> Span {
    let first = tokens.into_iter().next();
    first.map_or_else(Span::call_site, |token| token.span())
}
