//! Programs that lean on crates that many programs lean on.

use std::hint::black_box;
use std::num::NonZeroUsize;

use benches::random::Random;
use benches::report::{Clock, Report, Scale, fold};
use examples::corpus::Document;
use examples::index::Index;
use examples::progress::Progress;
use rayon::prelude::*;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Threads of the rows that have a pool of them.
const THREADS: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// A document is parsed into a tree, changed and printed.
///
/// # Panics
/// Never: the document is valid.
#[must_use]
pub fn json(scale: Scale) -> Report {
    let count = scale.of(600);
    let mut random = Random::new();
    let records = (0..1000).map(|n| {
        let tags = (0..random.below(6)).map(|tag| format!("tag {tag}"));
        let tags: Vec<_> = tags.collect();
        json!({ "id": n, "name": format!("record {n}"), "tags": tags, "size": { "x": 1.5, "y": n } })
    });
    let text = Value::from_iter(records).to_string();
    let clock = Clock::start();
    let mut sum = 1;
    for n in 0..count {
        let mut tree: Value = serde_json::from_str(&text).expect("it was printed");
        tree[n % 1000]["name"] = Value::from("another");
        let printed = black_box(&tree).to_string();
        sum = fold(sum, printed.len() as u64);
    }
    clock.stop(count, sum)
}

/// Patterns are compiled and used once.
///
/// # Panics
/// Never: the patterns are valid.
#[must_use]
pub fn regex(scale: Scale) -> Report {
    const PATTERNS: [&str; 5] = [
        r"^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2})",
        r"(?i)\b(error|warning|fatal):?\s+(.*)$",
        r"\w+@\w+(\.\w+)+",
        r"\p{Greek}+|\p{Cyrillic}{2,7}",
        r#""([^"\\]|\\.)*""#,
    ];
    const TEXT: &str = r#"2026-01-02T03:04 Warning: "a \" b" от кого: someone@example.org"#;
    let count = scale.of(2500);
    let clock = Clock::start();
    let mut sum = 1;
    for n in 0..count {
        let compiled = regex::Regex::new(PATTERNS[n % PATTERNS.len()]).expect("valid");
        let found = compiled.captures(black_box(TEXT)).expect("each is in it");
        sum = fold(sum, found[0].len() as u64);
    }
    clock.stop(count, sum)
}

/// An echo server and 16 clients over loopback, each task with buffers of its own.
///
/// # Panics
/// If the machine has no loopback interface.
#[must_use]
pub fn tokio(scale: Scale) -> Report {
    const CLIENTS: usize = 16;
    let each = scale.of(6000);
    let clock = Clock::start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS.get())
        .enable_io()
        .build()
        .expect("threads can be started");
    let sum = runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(echo(stream));
            }
        });
        let client = |n| async move { client(TcpStream::connect(address).await?, n, each).await };
        let clients: Vec<_> = (0..CLIENTS).map(|n| tokio::spawn(client(n))).collect();
        let mut sum = 1;
        for client in clients {
            let part = client.await.expect("no task panics");
            sum = fold(sum, part.expect("loopback does not fail"));
        }
        sum
    });
    drop(runtime);
    clock.stop(CLIENTS * each, sum)
}

/// Sends back every message: a length and as many bytes.
async fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    // The client's end is the end.
    while let Ok(length) = stream.read_u16().await {
        let mut message = vec![0; length.into()];
        stream.read_exact(&mut message).await?;
        let mut answer = Vec::with_capacity(message.len() + 2);
        answer.extend(length.to_be_bytes());
        answer.append(&mut message);
        stream.write_all(&answer).await?;
    }
    Ok(())
}

async fn client(mut stream: TcpStream, n: usize, count: usize) -> std::io::Result<u64> {
    stream.set_nodelay(true)?;
    let mut random = Random::nth(n);
    let mut sum = 1;
    for _ in 0..count {
        let length = 16 + random.below(2000) as u16;
        let mut message = Vec::from(length.to_be_bytes());
        message.resize(message.len() + usize::from(length), length as u8);
        stream.write_all(&message).await?;
        let mut answer = vec![0; message.len()];
        stream.read_exact(&mut answer).await?;
        assert_eq!(answer, message, "an echo");
        sum = fold(sum, length.into());
    }
    Ok(sum)
}

/// Strings are made and sorted on 2 threads.
///
/// # Panics
/// If threads cannot be started.
#[must_use]
pub fn rayon(scale: Scale) -> Report {
    let count = scale.of(800_000);
    let clock = Clock::start();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(THREADS.get())
        .build()
        .expect("threads can be started");
    let sum = pool.install(|| {
        let make = |n| format!("{:016x}", Random::nth(n).next());
        let mut strings: Vec<String> = (0..count).into_par_iter().map(make).collect();
        strings.par_sort();
        let upper: Vec<String> = strings.par_iter().map(|s| s.to_uppercase()).collect();
        drop(strings);
        let digit = |string: &String| u64::from(string.as_bytes()[7]);
        upper.iter().map(digit).fold(1, fold)
    });
    drop(pool);
    clock.stop(count, sum)
}

/// Text is indexed on 2 threads: the repository's main example.
#[must_use]
pub fn wordgraph(scale: Scale) -> Report {
    const WORDS: usize = 500_000;
    const DOCUMENTS: usize = 40;
    let words = scale.of(WORDS);
    let mut random = Random::new();
    // Few words are frequent and many are rare, as in a language.
    let mut word = || {
        let rank = random.below(5000) * random.below(5000) / 5000;
        format!("{}{rank:x}", ["word", "graph", "text", "of"][rank % 4])
    };
    let mut document = |n| {
        let mut text = String::new();
        for n in 0..words.div_ceil(DOCUMENTS) {
            text.push_str(&word());
            text.push(if n % 12 == 11 { '\n' } else { ' ' });
        }
        Document::new(format!("document {n}"), text)
    };
    let documents: Vec<_> = (0..DOCUMENTS).map(&mut document).collect();
    let clock = Clock::start();
    let index = Index::build(documents, THREADS, &Progress::hidden());
    let mut sum = fold(1, index.running_words());
    for (word, occurrences) in index.top_words().iter().take(100) {
        sum = fold(sum, word.len() as u64);
        sum = fold(sum, occurrences.places.len() as u64);
    }
    drop(black_box(index));
    clock.stop(words, sum)
}
