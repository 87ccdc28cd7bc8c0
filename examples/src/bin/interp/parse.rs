//! From text to expressions.

use std::rc::Rc;

/// An expression: a constant, a name or a form.
#[derive(Debug)]
pub(crate) enum Expr {
    Int(i64),
    Str(Rc<str>),
    Name(Rc<str>),
    Form(Vec<Rc<Expr>>),
}

/// All expressions of a script.
pub(crate) fn program(source: &str) -> Result<Vec<Rc<Expr>>, String> {
    let mut tokens = tokens(source)?.into_iter().peekable();
    let mut program = Vec::new();
    while tokens.peek().is_some() {
        program.push(expression(&mut tokens)?);
    }
    Ok(program)
}

enum Token {
    Open,
    Close,
    Atom(Expr),
}

fn tokens(source: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    for line in source.lines() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = match first {
                ';' => break,
                '(' | ')' => {
                    tokens.push(if first == '(' {
                        Token::Open
                    } else {
                        Token::Close
                    });
                    1
                }
                '"' => {
                    let end = rest[1..].find('"').ok_or("a string without end")?;
                    tokens.push(Token::Atom(Expr::Str(rest[1..=end].into())));
                    end + 2
                }
                _ => {
                    let stop = |c: char| c.is_whitespace() || "();\"".contains(c);
                    let end = rest.find(stop).unwrap_or(rest.len());
                    let word = &rest[..end];
                    tokens.push(Token::Atom(match word.parse() {
                        Ok(number) => Expr::Int(number),
                        Err(_) => Expr::Name(word.into()),
                    }));
                    end
                }
            };
            rest = rest[length..].trim_start();
        }
    }
    Ok(tokens)
}

fn expression(
    tokens: &mut std::iter::Peekable<std::vec::IntoIter<Token>>,
) -> Result<Rc<Expr>, String> {
    match tokens.next() {
        Some(Token::Atom(atom)) => Ok(Rc::new(atom)),
        Some(Token::Open) => {
            let mut form = Vec::new();
            while !matches!(tokens.peek(), Some(Token::Close) | None) {
                form.push(expression(tokens)?);
            }
            tokens.next().ok_or("a `(` without `)`")?;
            Ok(Rc::new(Expr::Form(form)))
        }
        Some(Token::Close) => Err("a `)` without `(`".into()),
        None => Err("an expression is missing".into()),
    }
}
