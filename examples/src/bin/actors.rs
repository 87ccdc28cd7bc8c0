//! An actor system whose actors know each other in circles, on `cyclegc::sync` and PyMalloc.
//!
//! ```text
//!          supervisor <---------+
//!         /    |     \          |   each child knows its supervisor
//!    child <-> child <-> child -+   and the children beside it
//! ```
//!
//! A *session* is a supervisor and its children. They send each other messages that hold more
//! handles, a directory finds supervisors by weak handles, and when a session is over nobody
//! takes it apart: its threads drop their handles, and what is left is a knot of references
//! that counting cannot free. Threads come and go in rounds; a background thread collects.
//! The memory after each round is printed, and stays flat.
//!
//! `actors [ROUNDS [THREADS]]`

use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{env, thread};

use cyclegc::Trace;
use cyclegc::sync::{self, Collector, Gc, Weak};
use examples::memory::Process;
use pymalloc::PyMalloc;

#[global_allocator]
static GLOBAL: PyMalloc = PyMalloc;

/// Sessions that a thread runs before it exits.
const SESSIONS: usize = 200;
const CHILDREN: usize = 8;
/// Work that is handed on before a session is over.
const HOPS: u32 = 64;

#[derive(Trace)]
enum Message {
    /// Do some work and hand it on.
    Work { hops: u32, sum: u64 },
    /// Get to know another actor.
    Meet(Gc<Actor>),
    /// The result, for the supervisor.
    Done { sum: u64, from: Gc<Actor> },
}

#[derive(Trace)]
struct Actor {
    number: usize,
    supervisor: Option<Gc<Actor>>,
    peers: Mutex<Vec<Gc<Actor>>>,
    mailbox: Mutex<VecDeque<Message>>,
    /// What a supervisor was told.
    total: Mutex<u64>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Actor {
    fn new(number: usize, supervisor: Option<Gc<Actor>>) -> Gc<Actor> {
        Gc::new(Actor {
            number,
            supervisor,
            peers: Mutex::default(),
            mailbox: Mutex::default(),
            total: Mutex::default(),
        })
    }

    fn send(&self, message: Message) {
        locked(&self.mailbox).push_back(message);
    }

    /// Deals with a message, if there is one.
    fn step(this: &Gc<Actor>) -> bool {
        let Some(message) = locked(&this.mailbox).pop_front() else {
            return false;
        };
        match message {
            Message::Meet(other) => locked(&this.peers).push(other),
            Message::Done { sum, from } => {
                let mut total = locked(&this.total);
                *total = total.wrapping_add(sum).wrapping_add(from.number as u64);
            }
            Message::Work { hops: 0, sum } => {
                if let Some(supervisor) = &this.supervisor {
                    let from = this.clone();
                    supervisor.send(Message::Done { sum, from });
                }
            }
            Message::Work { hops, sum } => {
                let sum = sum.wrapping_mul(31).wrapping_add(this.number as u64);
                let peers = locked(&this.peers);
                if let Some(next) = peers.get(sum as usize % peers.len().max(1)) {
                    let hops = hops - 1;
                    next.send(Message::Work { hops, sum });
                }
            }
        }
        true
    }
}

/// Where sessions are found by others while they last.
type Directory = Mutex<Vec<Weak<Actor>>>;

/// Makes a session, lets it work, and forgets it.
fn session(number: usize, directory: &Directory) -> u64 {
    let supervisor = Actor::new(number, None);
    let children: Vec<_> = (0..CHILDREN)
        .map(|child| Actor::new(child, Some(supervisor.clone())))
        .collect();
    for (at, child) in children.iter().enumerate() {
        let beside = &children[(at + 1) % CHILDREN];
        child.send(Message::Meet(beside.clone()));
        beside.send(Message::Meet(child.clone()));
        supervisor.send(Message::Meet(child.clone()));
        child.send(Message::Work { hops: HOPS, sum: 1 });
    }
    visit_another(directory, &supervisor);
    loop {
        let mut busy = Actor::step(&supervisor);
        for child in &children {
            busy |= Actor::step(child);
        }
        if !busy {
            break;
        }
    }
    *locked(&supervisor.total)
}

/// Introduces a session to one of another thread's, if that is still there: its supervisor
/// will know a child of ours, and so keep all of ours until it is gone itself.
fn visit_another(directory: &Directory, supervisor: &Gc<Actor>) {
    let mut directory = locked(directory);
    let other = directory.last().and_then(Weak::upgrade);
    directory.retain(Weak::is_alive);
    directory.push(Gc::downgrade(supervisor));
    drop(directory);
    if let Some(other) = other {
        other.send(Message::Meet(supervisor.clone()));
    }
}

/// A thread's life: some sessions, of which the last message is left unread.
fn worker(first: usize, directory: &Directory, done: &AtomicUsize) {
    for number in first..first + SESSIONS {
        if session(number, directory) != 0 {
            done.fetch_add(1, Relaxed);
        }
    }
}

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1).map(|argument| argument.parse());
    let (Ok(rounds), Ok(threads)) = (
        arguments.next().unwrap_or(Ok(20)),
        arguments.next().unwrap_or(Ok(4)),
    ) else {
        eprintln!("usage: actors [ROUNDS [THREADS]]");
        return ExitCode::from(2);
    };
    let collector = match Collector::spawn() {
        Ok(collector) => collector,
        Err(error) => {
            eprintln!("actors: no collector: {error}");
            return ExitCode::FAILURE;
        }
    };
    // A dead session that has grown old keeps the younger ones that it knows, until the old
    // generation is collected: here that is worth doing often.
    sync::set_threshold(1000, 2, 2);
    let (directory, done) = (Directory::default(), AtomicUsize::new(0));
    let mut after_warmup = None;
    for round in 0..rounds {
        thread::scope(|scope| {
            for thread in 0..threads {
                let first = 1 + (round * threads + thread) * SESSIONS;
                let (directory, done) = (&directory, &done);
                scope.spawn(move || worker(first, directory, done));
            }
        });
        let collected: usize = sync::stats().iter().map(|stats| stats.collected).sum();
        let resident_kib = Process::now().map_or(0, |process| process.resident_bytes / 1024);
        println!(
            "round {round:3}: {:7} sessions, {collected:9} actors collected, {:6} alive, \
             {resident_kib:7} KiB resident",
            done.load(Relaxed),
            sync::tracked_count(),
        );
        if round == rounds / 2 {
            after_warmup = Some(resident_kib);
        }
        if round + 1 == rounds
            && let Some(before) = after_warmup
            && resident_kib > before + before / 2 + 4096
        {
            eprintln!("actors: memory grew from {before} to {resident_kib} KiB");
            return ExitCode::FAILURE;
        }
    }
    drop(collector);
    locked(&directory).clear();
    sync::collect();
    println!("{} actors are left", sync::tracked_count());
    ExitCode::from(u8::from(sync::tracked_count() != 0))
}
