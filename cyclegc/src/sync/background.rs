//! A thread that collects for the others.

use std::io;
use std::sync::atomic::Ordering::{AcqRel, Release};
use std::thread::{self, JoinHandle};

use crate::sync::collect;
use crate::sync::domain::domain;
use crate::sync::settings::Task;
use crate::sync::types::lock;

/// A thread that runs the collections which thresholds ask for.
///
/// Without one, they run in the thread whose `Gc::new` finds that it is time, which pays for
/// the pause; with one, no thread that makes objects ever collects by itself, and finalizers and
/// destructors of cyclic garbage run in this one. It sleeps when there is nothing to do.
/// Dropping this stops the thread, after the collection that may be running, and waits for it;
/// in a destructor that the thread runs itself, it stops after that, and until then there cannot
/// be another.
///
/// ```
/// use cyclegc::{Trace, sync::{Collector, Gc}};
/// use std::sync::Mutex;
///
/// #[derive(Trace, Default)]
/// struct Node {
///     me: Mutex<Option<Gc<Node>>>,
/// }
///
/// let collector = Collector::spawn()?;
/// for _ in 0..10_000 {
///     let node = Gc::new(Node::default());
///     *node.me.lock().unwrap() = Some(node.clone());
/// }
/// drop(collector);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Collector {
    thread: Option<JoinHandle<()>>,
}

impl Collector {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// Those of [`thread::Builder::spawn`], and
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists) if there is one: drop that first.
    pub fn spawn() -> io::Result<Collector> {
        let settings = &domain().settings;
        // ORDERING: AcqRel, and Release where it is taken back: one at a time, and the next
        // finds `background` as the last left it.
        if settings.has_background.swap(true, AcqRel) {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "a cyclegc::sync::Collector runs already",
            ));
        }
        settings.background().task = Task::Wait;
        let started = thread::Builder::new().name("cyclegc".to_owned()).spawn(run);
        if started.is_err() {
            // ORDERING: as above.
            settings.has_background.store(false, Release);
        }
        Ok(Collector {
            thread: Some(started?),
        })
    }
}

fn run() {
    let settings = &domain().settings;
    settings.background().thread = Some(thread::current());
    loop {
        let task = settings.background().task;
        match task {
            Task::Wait => thread::park(),
            Task::Collect => collect_once(),
            Task::Stop => break,
        }
    }
    let mut background = settings.background();
    background.thread = None;
    if std::mem::take(&mut background.is_alone) {
        // ORDERING: as in `spawn`.
        settings.has_background.store(false, Release);
    }
}

fn collect_once() {
    domain().settings.background().take_task();
    let generation = {
        let collector = lock(&domain().collector);
        collector.counts.select(domain().census.threshold())
    };
    collect::collect(generation);
}

impl Drop for Collector {
    fn drop(&mut self) {
        let settings = &domain().settings;
        if let Some(thread) = self.thread.take() {
            // One that is dropped by what it runs itself cannot be waited for.
            let is_own = thread.thread().id() == thread::current().id();
            let mut background = settings.background();
            background.task = Task::Stop;
            background.is_alone = is_own;
            drop(background);
            if is_own {
                return;
            }
            thread.thread().unpark();
            // A panic of a user's is caught where it happens; there is none to pass on.
            let _ = thread.join();
        }
        // ORDERING: as in `spawn`.
        settings.has_background.store(false, Release);
    }
}
