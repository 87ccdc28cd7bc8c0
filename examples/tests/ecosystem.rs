//! Crates that programs are made of, on PyMalloc: rayon, regex, serde_json, tokio.
//!
//! Each test computes something twice, on many threads and in a plain way, and
//! walks the heap afterwards.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use examples::corpus::{self, Corpus, Document, Filter};
use examples::progress::Progress;
use rayon::prelude::*;
use regex::Regex;
use serde_json::{Value, json};
use tokio::sync::mpsc;

#[global_allocator]
static GLOBAL: pymalloc::PyMalloc = pymalloc::PyMalloc;

/// This package's own sources.
fn documents() -> Vec<Document> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let inputs = [here.join("src"), here.join("tests")];
    let filter = Filter::Extensions(&["rs"]);
    let Corpus { documents, .. } = corpus::read(&inputs, filter, Some(here), &Progress::hidden());
    assert!(documents.len() > 10);
    documents
}

fn lines(document: &Document) -> impl Iterator<Item = &str> {
    (0..document.line_count()).map(|line| document.line(line))
}

/// How often each match of `pattern` is there.
fn count(pattern: &Regex, document: &Document) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for found in lines(document).flat_map(|line| pattern.find_iter(line)) {
        *counts.entry(found.as_str().to_owned()).or_default() += 1;
    }
    counts
}

fn merged(mut one: HashMap<String, usize>, two: HashMap<String, usize>) -> HashMap<String, usize> {
    for (word, count) in two {
        *one.entry(word).or_default() += count;
    }
    one
}

#[test]
fn rayon_counts_matches_as_one_thread_does() {
    let documents = documents();
    let pattern = Regex::new(r"\p{L}[\p{L}\d]*").expect("a pattern");
    let plain = documents
        .iter()
        .map(|document| count(&pattern, document))
        .fold(HashMap::new(), merged);
    // Twenty times the work, so that threads steal from each other.
    let repeated: Vec<_> = documents
        .iter()
        .cycle()
        .take(20 * documents.len())
        .collect();
    let parallel = repeated
        .into_par_iter()
        .map(|document| count(&pattern, document))
        .reduce(HashMap::new, merged);
    assert_eq!(plain.len(), parallel.len());
    for (word, count) in &plain {
        assert_eq!(20 * count, parallel[word], "{word}");
    }
    assert_eq!(pymalloc::verify_heap(), Ok(()));
}

#[test]
fn rayon_sorts_strings_as_one_thread_does() {
    let documents = documents();
    let mut plain: Vec<String> = documents
        .iter()
        .flat_map(lines)
        .map(str::to_owned)
        .collect();
    let mut parallel = plain.clone();
    plain.sort();
    parallel.par_sort_unstable();
    assert_eq!(plain, parallel);
    drop(plain);
    drop(parallel);
    assert_eq!(pymalloc::verify_heap(), Ok(()));
}

#[test]
fn serde_json_reads_back_what_it_wrote() {
    let describe = |document: &Document| {
        let words = lines(document).flat_map(str::split_whitespace);
        let lengths: BTreeMap<String, usize> = words.map(|w| (w.to_owned(), w.len())).collect();
        json!({
            "name": document.name,
            "lines": lines(document).collect::<Vec<_>>(),
            "lengths": lengths,
            "nested": [[[null, true, 1.5]], {"empty": {}}],
        })
    };
    let documents = documents();
    let written: Vec<Value> = documents.par_iter().map(describe).collect();
    let texts: Vec<String> = written.par_iter().map(Value::to_string).collect();
    let read: Vec<Value> = texts
        .par_iter()
        .map(|text| serde_json::from_str(text).expect("it was just written"))
        .collect();
    assert_eq!(written, read);
    for (value, document) in read.iter().zip(&documents) {
        assert_eq!(value["lines"][0], document.line(0));
        assert_eq!(
            value["lines"].as_array().map(Vec::len),
            Some(document.line_count())
        );
    }
    drop((written, texts, read));
    assert_eq!(pymalloc::verify_heap(), Ok(()));
}

#[test]
fn tokio_tasks_free_what_other_threads_allocated() {
    const TASKS: usize = 200;
    const MESSAGES: usize = 100;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .build()
        .expect("a runtime");
    let (total, relayed) = runtime.block_on(async {
        let (to_relay, mut from_tasks) = mpsc::channel::<Vec<String>>(16);
        let (to_sum, mut from_relay) = mpsc::unbounded_channel::<Box<str>>();
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let to_relay = to_relay.clone();
                tokio::spawn(async move {
                    for n in 0..MESSAGES {
                        let message = (0..n % 7).map(|part| format!("{task} {n} {part}"));
                        to_relay
                            .send(message.collect())
                            .await
                            .expect("the relay lives");
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        drop(to_relay);
        let relay = tokio::spawn(async move {
            let mut relayed = 0;
            while let Some(message) = from_tasks.recv().await {
                relayed += 1;
                to_sum
                    .send(message.concat().into_boxed_str())
                    .expect("the sum lives");
            }
            relayed
        });
        let mut total = 0;
        while let Some(text) = from_relay.recv().await {
            total += text.len();
        }
        for task in tasks {
            task.await.expect("no task panics");
        }
        (total, relay.await.expect("the relay ends"))
    });
    let digits = |number: usize| number.to_string().len();
    let wanted: usize = (0..TASKS)
        .flat_map(|task| (0..MESSAGES).map(move |n| (task, n)))
        .flat_map(|(task, n)| (0..n % 7).map(move |_| digits(task) + digits(n) + 3))
        .sum();
    assert_eq!((total, relayed), (wanted, TASKS * MESSAGES));
    drop(runtime);
    assert_eq!(pymalloc::verify_heap(), Ok(()));
}
