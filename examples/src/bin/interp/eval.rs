//! Evaluates expressions.

use std::rc::Rc;

use cyclegc::Gc;

use crate::parse::Expr;
use crate::value::{Class, Closure, Environment, Object, Value};

type Result<T> = std::result::Result<T, String>;

pub(crate) fn eval(expression: &Rc<Expr>, environment: &Gc<Environment>) -> Result<Value> {
    match &**expression {
        Expr::Int(value) => Ok(Value::Int(*value)),
        Expr::Str(text) => Ok(Value::Str(Gc::from(&**text))),
        Expr::Name(name) => environment
            .get(name)
            .ok_or_else(|| format!("{name} is not defined")),
        Expr::Form(form) => {
            if let Some(Expr::Name(name)) = form.first().map(|head| &**head)
                && let Some(value) = special(name, &form[1..], environment)?
            {
                return Ok(value);
            }
            let mut values = form.iter().map(|part| eval(part, environment));
            let function = values.next().ok_or("an empty form")??;
            let arguments: Vec<Value> = values.collect::<Result<_>>()?;
            apply(&function, &arguments)
        }
    }
}

/// Evaluates expressions in order; the last gives the value.
fn eval_all(body: &[Rc<Expr>], environment: &Gc<Environment>) -> Result<Value> {
    let mut last = Value::Nil;
    for expression in body {
        last = eval(expression, environment)?;
    }
    Ok(last)
}

/// Forms that do not evaluate all their parts; `None` if it is not one.
fn special(name: &str, parts: &[Rc<Expr>], environment: &Gc<Environment>) -> Result<Option<Value>> {
    let value = match (name, parts) {
        ("def", [name, value]) => {
            let value = eval(value, environment)?;
            environment.define(as_name(name)?, value);
            Value::Nil
        }
        ("set", [name, value]) => {
            let value = eval(value, environment)?;
            environment.set(as_name(name)?, value)?;
            Value::Nil
        }
        ("if", [condition, then, otherwise @ ..]) => {
            if is_true(&eval(condition, environment)?) {
                eval(then, environment)?
            } else {
                eval_all(otherwise, environment)?
            }
        }
        ("while", [condition, body @ ..]) => {
            while is_true(&eval(condition, environment)?) {
                eval_all(body, environment)?;
            }
            Value::Nil
        }
        ("do", body) => eval_all(body, &Environment::inside(environment))?,
        ("fn", [parameters, body @ ..]) => Value::Closure(closure(parameters, body, environment)?),
        ("class", [name, methods @ ..]) => {
            let name = as_name(name)?;
            let methods = methods.iter().map(|method| match &**method {
                Expr::Form(form) if form.len() >= 2 => {
                    let code = closure(&form[1], &form[2..], environment)?;
                    Ok((as_name(&form[0])?.clone(), code))
                }
                _ => Err("a method is (name (parameters) body...)".to_owned()),
            });
            let class = Gc::new(Class {
                name: name.clone(),
                methods: methods.collect::<Result<_>>()?,
            });
            environment.define(name, Value::Class(class));
            Value::Nil
        }
        ("get", [object, field]) => {
            let object = as_object(&eval(object, environment)?)?;
            let value = object.fields.borrow().get(as_name(field)?).cloned();
            value.unwrap_or(Value::Nil)
        }
        ("put", [object, field, value]) => {
            let object = as_object(&eval(object, environment)?)?;
            let value = eval(value, environment)?;
            let name = as_name(field)?.clone();
            let old = object.fields.borrow_mut().insert(name, value);
            drop(old);
            Value::Nil
        }
        ("call", [object, method, arguments @ ..]) => {
            let object = as_object(&eval(object, environment)?)?;
            let mut values = vec![Value::Object(object.clone())];
            for argument in arguments {
                values.push(eval(argument, environment)?);
            }
            call_method(&object, as_name(method)?, &values)?
        }
        _ => return Ok(None),
    };
    Ok(Some(value))
}

fn closure(
    parameters: &Rc<Expr>,
    body: &[Rc<Expr>],
    environment: &Gc<Environment>,
) -> Result<Gc<Closure>> {
    let Expr::Form(parameters) = &**parameters else {
        return Err("parameters are a list of names".into());
    };
    let parameters = parameters.iter().map(|name| as_name(name).cloned());
    Ok(Gc::new(Closure {
        parameters: parameters.collect::<Result<_>>()?,
        body: body.into(),
        environment: environment.clone(),
    }))
}

pub(crate) fn apply(function: &Value, arguments: &[Value]) -> Result<Value> {
    match function {
        Value::Builtin(builtin) => (builtin.0)(arguments),
        Value::Closure(closure) => apply_closure(closure, arguments),
        Value::Class(class) => {
            let object = Gc::new(Object {
                class: class.clone(),
                fields: Default::default(),
            });
            let value = Value::Object(object.clone());
            if class.methods.contains_key("init") {
                let mut all = vec![value.clone()];
                all.extend_from_slice(arguments);
                call_method(&object, &"init".into(), &all)?;
            }
            Ok(value)
        }
        other => Err(format!("{other} cannot be called")),
    }
}

fn apply_closure(closure: &Closure, arguments: &[Value]) -> Result<Value> {
    if arguments.len() != closure.parameters.len() {
        return Err(format!(
            "{} arguments for {} parameters",
            arguments.len(),
            closure.parameters.len()
        ));
    }
    let environment = Environment::inside(&closure.environment);
    for (name, value) in closure.parameters.iter().zip(arguments) {
        environment.define(name, value.clone());
    }
    eval_all(&closure.body, &environment)
}

fn call_method(object: &Gc<Object>, name: &Rc<str>, arguments: &[Value]) -> Result<Value> {
    let method = object.class.methods.get(name).cloned();
    let method = method.ok_or_else(|| format!("{} has no {name}", object.class.name))?;
    apply_closure(&method, arguments)
}

fn as_name(expression: &Rc<Expr>) -> Result<&Rc<str>> {
    match &**expression {
        Expr::Name(name) => Ok(name),
        other => Err(format!("{other:?} is not a name")),
    }
}

fn as_object(value: &Value) -> Result<Gc<Object>> {
    match value {
        Value::Object(object) => Ok(object.clone()),
        other => Err(format!("{other} is not an object")),
    }
}

fn is_true(value: &Value) -> bool {
    !matches!(value, Value::Nil | Value::Bool(false))
}
