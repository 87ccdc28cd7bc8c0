//! Values of the language; everything that can refer to others is a `Gc`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use cyclegc::{Gc, Trace, Weak};

use crate::parse::Expr;

/// A value. `Rc` holds names and code, which refer to no value.
#[derive(Clone, Trace)]
pub(crate) enum Value {
    Nil,
    Bool(bool),
    Int(i64),
    Str(Gc<str>),
    List(Gc<RefCell<Vec<Value>>>),
    Closure(Gc<Closure>),
    Class(Gc<Class>),
    Object(Gc<Object>),
    Weak(Weak<Object>),
    Builtin(Builtin),
}

/// A function of the interpreter.
#[derive(Clone, Copy, Trace)]
#[trace(leaf)]
pub(crate) struct Builtin(pub(crate) fn(&[Value]) -> Result<Value, String>);

/// Code with the environment it was made in.
#[derive(Trace)]
pub(crate) struct Closure {
    pub(crate) parameters: Vec<Rc<str>>,
    #[trace(skip)]
    pub(crate) body: Rc<[Rc<Expr>]>,
    pub(crate) environment: Gc<Environment>,
}

/// Methods by name; they refer to the environment of the class.
#[derive(Trace)]
pub(crate) struct Class {
    pub(crate) name: Rc<str>,
    pub(crate) methods: HashMap<Rc<str>, Gc<Closure>>,
}

/// An object with its fields.
#[derive(Trace)]
pub(crate) struct Object {
    pub(crate) class: Gc<Class>,
    pub(crate) fields: RefCell<HashMap<Rc<str>, Value>>,
}

/// Variables, and those around them.
#[derive(Trace, Default)]
pub(crate) struct Environment {
    variables: RefCell<HashMap<Rc<str>, Value>>,
    outer: Option<Gc<Environment>>,
}

impl Environment {
    pub(crate) fn inside(outer: &Gc<Environment>) -> Gc<Environment> {
        Gc::new(Environment {
            variables: RefCell::default(),
            outer: Some(outer.clone()),
        })
    }

    pub(crate) fn define(&self, name: &Rc<str>, value: Value) {
        // The old value is dropped when the map is not borrowed any more.
        let old = self.variables.borrow_mut().insert(name.clone(), value);
        drop(old);
    }

    pub(crate) fn get(&self, name: &str) -> Option<Value> {
        let mut environment = self;
        loop {
            if let Some(value) = environment.variables.borrow().get(name) {
                return Some(value.clone());
            }
            environment = environment.outer.as_deref()?;
        }
    }

    pub(crate) fn set(&self, name: &Rc<str>, value: Value) -> Result<(), String> {
        let mut environment = self;
        while !environment.variables.borrow().contains_key(name) {
            environment = environment
                .outer
                .as_deref()
                .ok_or_else(|| format!("{name} is not defined"))?;
        }
        environment.define(name, value);
        Ok(())
    }

    pub(crate) fn clear(&self) {
        drop(self.variables.take());
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Nil => f.write_str("nil"),
            Value::Bool(value) => value.fmt(f),
            Value::Int(value) => value.fmt(f),
            Value::Str(value) => value.fmt(f),
            Value::List(items) => write!(f, "<list of {}>", items.borrow().len()),
            Value::Closure(_) | Value::Builtin(_) => f.write_str("<function>"),
            Value::Class(class) => write!(f, "<class {}>", class.name),
            Value::Object(object) => write!(f, "<{}>", object.class.name),
            Value::Weak(weak) => match weak.upgrade() {
                Some(object) => write!(f, "<weak {}>", object.class.name),
                None => f.write_str("<weak, dead>"),
            },
        }
    }
}
