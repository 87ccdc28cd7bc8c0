//! A server with three leaks, which one command finds.
//!
//! ```console
//! $ cargo run --release -p tracemalloc --example three_leaks -- /tmp/leaks
//! $ cargo run --release -p tracemalloc -- leaks /tmp/leaks/*.tmal
//! ```
//! It serves requests in six batches and writes a snapshot after each. Three places keep what
//! they should have let go: a cache of answers that nobody bounds, sessions that point at each
//! other with `Rc`, and tasks that are never woken again. A fourth place keeps much, and is no
//! leak: a cache that drops its oldest entry.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::future::{Future, pending};
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};

#[global_allocator]
static GLOBAL: pymalloc::PyMalloc = pymalloc::PyMalloc;

const BATCHES: u32 = 6;
const REQUESTS: u32 = 4000;

#[derive(Default)]
struct Server {
    /// Leak 1: every answer there ever was.
    answers: HashMap<String, Vec<u8>>,
    /// Leak 3: tasks, those included that wait for ever.
    tasks: Vec<Pin<Box<dyn Future<Output = ()>>>>,
    /// No leak: the last hundred pages.
    pages: VecDeque<Vec<u8>>,
}

/// A user's session. Leak 2: each of two keeps the other.
struct Session {
    _history: Vec<u8>,
    peer: RefCell<Option<Rc<Session>>>,
}

#[inline(never)]
fn remember_answer(server: &mut Server, request: u32) {
    let key = format!("GET /item/{request}");
    server.answers.insert(key, vec![b'a'; 200]);
}

#[inline(never)]
fn open_session() {
    let one = Rc::new(Session {
        _history: vec![b's'; 300],
        peer: RefCell::new(None),
    });
    let two = Rc::new(Session {
        _history: vec![b's'; 300],
        peer: RefCell::new(Some(Rc::clone(&one))),
    });
    one.peer.replace(Some(two));
}

#[inline(never)]
fn spawn_upload(server: &mut Server, request: u32) {
    let buffer = vec![b'u'; 1000];
    server.tasks.push(Box::pin(async move {
        if request.is_multiple_of(2) {
            // The client has gone away, and nothing will ever say so.
            pending::<()>().await;
        }
        drop(buffer);
    }));
}

#[inline(never)]
fn render_page(server: &mut Server) {
    server.pages.push_back(vec![b'p'; 20_000]);
    if server.pages.len() > 100 {
        server.pages.pop_front();
    }
}

fn serve(server: &mut Server, request: u32) {
    remember_answer(server, request);
    if request.is_multiple_of(3) {
        open_session();
    }
    if request.is_multiple_of(4) {
        spawn_upload(server, request / 4);
    }
    if request.is_multiple_of(10) {
        render_page(server);
    }
    let mut context = Context::from_waker(Waker::noop());
    if request.is_multiple_of(100) {
        let is_pending = |task: &mut Pin<Box<dyn Future<Output = ()>>>| {
            task.as_mut().poll(&mut context).is_pending()
        };
        server.tasks.retain_mut(is_pending);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .map_or_else(|| PathBuf::from("."), PathBuf::from);
    std::fs::create_dir_all(&folder)?;
    // Tracing may have begun with PYMALLOC_TRACE; then this changes nothing.
    tracemalloc::start(25)?;
    let mut server = Server::default();
    for batch in 0..BATCHES {
        for request in 0..REQUESTS {
            serve(&mut server, batch * REQUESTS + request);
        }
        let file = folder.join(format!("batch-{batch}.tmal"));
        tracemalloc::take_snapshot()?.dump(&file)?;
        let (current, peak) = tracemalloc::get_traced_memory();
        println!(
            "{}: {} KiB, at most {}",
            file.display(),
            current / 1024,
            peak / 1024
        );
    }
    Ok(())
}
