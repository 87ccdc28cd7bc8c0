//! What each line of a function does to memory, on standard error.

use pymalloc::PyMalloc;
use tracemalloc::Counted;

#[global_allocator]
static GLOBAL: Counted<PyMalloc> = Counted(PyMalloc);

#[tracemalloc::profile]
fn index(texts: &[String]) -> Vec<(String, usize)> {
    let mut words = Vec::new();
    for text in texts {
        let lower = text.to_lowercase();
        for word in lower.split(' ') {
            words.push(word.to_owned());
        }
    }
    words.sort();
    let mut counted: Vec<(String, usize)> = Vec::new();
    for word in words {
        match counted.last_mut() {
            Some((last, count)) if *last == word => *count += 1,
            _ => counted.push((word, 1)),
        }
    }
    counted
}

fn main() {
    let text = |n: usize| format!("The number {n} and the number {}", n / 100);
    let texts: Vec<String> = (0..2000).map(text).collect();
    println!("{} words", index(&texts).len());
}
