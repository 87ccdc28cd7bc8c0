//! A program that does little but allocate: it makes documents, counts their words, and keeps some.

use std::collections::{BTreeMap, HashMap};
use std::thread;

/// What a parser makes of a document.
enum Value {
    Number(f64),
    Text(String),
    List(Vec<Value>),
    Object(BTreeMap<String, Value>),
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

#[inline(never)]
fn build(random: &mut Random, depth: u32) -> Value {
    match random.below(if depth == 0 { 2 } else { 5 }) {
        0 => Value::Number(random.below(1000) as f64),
        1 => Value::Text(format!("text {} of {}", random.below(10_000), depth)),
        2 => Value::List(
            (0..random.below(8))
                .map(|_| build(random, depth - 1))
                .collect(),
        ),
        _ => {
            let mut object = BTreeMap::new();
            for _ in 0..random.below(8) {
                let key = format!("key {}", random.below(300));
                object.insert(key, build(random, depth - 1));
            }
            Value::Object(object)
        }
    }
}

#[inline(never)]
fn count(value: &Value, words: &mut HashMap<String, u64>) {
    match value {
        Value::Number(number) => *words.entry(number.to_string()).or_default() += 1,
        Value::Text(text) => {
            for word in text.split(' ') {
                *words.entry(word.to_owned()).or_default() += 1;
            }
        }
        Value::List(list) => list.iter().for_each(|value| count(value, words)),
        Value::Object(object) => {
            for (key, value) in object {
                *words.entry(key.clone()).or_default() += 1;
                count(value, words);
            }
        }
    }
}

/// What is still there when a thread has done its work.
pub struct Kept {
    _documents: Vec<Value>,
    _words: HashMap<String, u64>,
}

/// Documents come and go; two hundred are kept at a time.
fn work(seed: u64, documents: usize) -> Kept {
    let mut random = Random(seed | 1);
    let mut kept = Vec::new();
    let mut words = HashMap::new();
    for _ in 0..documents {
        let value = build(&mut random, 8);
        count(&value, &mut words);
        kept.push(value);
        if kept.len() > 200 {
            let place = random.below(200) as usize;
            kept.swap_remove(place);
        }
    }
    Kept {
        _documents: kept,
        _words: words,
    }
}

/// Each thread makes as many documents.
pub fn run(threads: u64, documents: usize) -> Vec<Kept> {
    let others: Vec<_> = (1..threads)
        .map(|n| thread::spawn(move || work(n, documents)))
        .collect();
    let mut kept = vec![work(77, documents)];
    for other in others {
        kept.push(other.join().expect("no thread panics"));
    }
    kept
}
