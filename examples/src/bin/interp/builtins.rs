//! What every script can call.

use std::rc::Rc;

use cyclegc::Gc;

use crate::diagnose;
use crate::value::{Builtin, Environment, Value};

type Function = fn(&[Value]) -> Result<Value, String>;

/// An environment with the functions of the language.
pub(crate) fn globals() -> Gc<Environment> {
    let globals = Gc::<Environment>::default();
    let functions: [(&str, Function); 13] = [
        ("+", |v| fold(v, i64::checked_add)),
        ("-", |v| fold(v, i64::checked_sub)),
        ("*", |v| fold(v, i64::checked_mul)),
        ("<", |v| compare(v, |a, b| a < b)),
        ("=", |v| compare(v, |a, b| a == b)),
        ("list", |v| Ok(Value::List(Gc::new(v.to_vec().into())))),
        ("push", push),
        ("length", length),
        ("print", print),
        ("weak", weak),
        ("alive", alive),
        ("collect", |_| {
            let collected = cyclegc::collect().collected;
            Ok(Value::Int(i64::try_from(collected).unwrap_or(i64::MAX)))
        }),
        ("report", |v| {
            let label = v.first().map_or(String::new(), Value::to_string);
            report(&label);
            diagnose::at_report(&label);
            Ok(Value::Nil)
        }),
    ];
    for (name, function) in functions {
        globals.define(&Rc::from(name), Value::Builtin(Builtin(function)));
    }
    globals.define(&Rc::from("nil"), Value::Nil);
    globals.define(&Rc::from("true"), Value::Bool(true));
    globals.define(&Rc::from("false"), Value::Bool(false));
    globals
}

/// Prints how many objects live, what was collected, and the memory in use.
pub(crate) fn report(label: &str) {
    let stats = cyclegc::stats();
    let collections: usize = stats.iter().map(|s| s.collections).sum();
    let collected: usize = stats.iter().map(|s| s.collected).sum();
    println!(
        "{label}: {} objects live, {collected} collected in {collections} collections, {} KiB resident",
        cyclegc::tracked_count(),
        resident_kib().map_or_else(|| "?".to_owned(), |kib| kib.to_string()),
    );
}

/// The resident set, where the system says it.
fn resident_kib() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = statm.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn fold(values: &[Value], f: fn(i64, i64) -> Option<i64>) -> Result<Value, String> {
    let mut numbers = values.iter().map(int);
    let first = numbers.next().ok_or("numbers are missing")??;
    numbers
        .try_fold(first, |sum, next| f(sum, next?).ok_or("overflow".into()))
        .map(Value::Int)
}

fn compare(values: &[Value], f: fn(i64, i64) -> bool) -> Result<Value, String> {
    match values {
        [a, b] => Ok(Value::Bool(f(int(a)?, int(b)?))),
        _ => Err("two numbers are compared".into()),
    }
}

fn int(value: &Value) -> Result<i64, String> {
    match value {
        Value::Int(number) => Ok(*number),
        other => Err(format!("{other} is not a number")),
    }
}

fn push(values: &[Value]) -> Result<Value, String> {
    match values {
        [Value::List(list), value] => {
            list.borrow_mut().push(value.clone());
            Ok(Value::Nil)
        }
        _ => Err("push takes a list and a value".into()),
    }
}

fn length(values: &[Value]) -> Result<Value, String> {
    match values {
        [Value::List(list)] => {
            let length = list.borrow().len();
            Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
        }
        _ => Err("length takes a list".into()),
    }
}

fn print(values: &[Value]) -> Result<Value, String> {
    let texts: Vec<String> = values.iter().map(Value::to_string).collect();
    println!("{}", texts.join(" "));
    Ok(Value::Nil)
}

fn weak(values: &[Value]) -> Result<Value, String> {
    match values {
        [Value::Object(object)] => Ok(Value::Weak(Gc::downgrade(object))),
        _ => Err("weak takes an object".into()),
    }
}

fn alive(values: &[Value]) -> Result<Value, String> {
    match values {
        [Value::Weak(weak)] => Ok(Value::Bool(weak.is_alive())),
        _ => Err("alive takes a weak reference".into()),
    }
}
