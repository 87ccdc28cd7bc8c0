//! What the tests share: a node, and the process.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cyclegc::Trace;
use cyclegc::sync::{self, Gc};

/// Collections, thresholds and counts are the process's: one test at a time. With automatic
/// collection off.
pub(crate) fn alone() -> Alone {
    static LOCK: Mutex<()> = Mutex::new(());

    let lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    sync::disable();
    sync::collect();
    Alone {
        tracked_before: sync::tracked_count(),
        _lock: lock,
    }
}

/// Collects until nothing is alive. A thread of an earlier test that is ending may keep what
/// an `AtomicGc` lost for a moment.
pub(crate) fn collect_all(alive: &AtomicUsize) {
    for _ in 0..1000 {
        sync::collect();
        if alive.load(SeqCst) == 0 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

pub(crate) struct Alone {
    tracked_before: usize,
    _lock: MutexGuard<'static, ()>,
}

impl Alone {
    /// Tracked objects that the test has made and not lost.
    pub(crate) fn tracked_count(&self) -> isize {
        sync::tracked_count().cast_signed() - self.tracked_before.cast_signed()
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        sync::set_threshold(700, 10, 10);
        sync::enable();
    }
}

/// Sets a flag when it goes, also if a panic comes: who waits for the flag does not hang.
pub(crate) struct SetAtEnd<'a>(pub(crate) &'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Waits for threads one by one: ThreadSanitizer does not see that a scope does.
pub(crate) fn join<T>(threads: Vec<std::thread::ScopedJoinHandle<'_, T>>) {
    for thread in threads {
        assert!(thread.join().is_ok(), "a thread panicked");
    }
}

/// Locks, whatever a panic left behind.
pub(crate) trait Locked<T> {
    fn locked(&self) -> MutexGuard<'_, T>;
}

impl<T> Locked<T> for Mutex<T> {
    fn locked(&self) -> MutexGuard<'_, T> {
        // ThreadSanitizer does not see what happens in std's code that waits.
        #[cfg(tsan)]
        loop {
            match self.try_lock() {
                Ok(guard) => return guard,
                Err(std::sync::TryLockError::Poisoned(guard)) => return guard.into_inner(),
                Err(std::sync::TryLockError::WouldBlock) => std::thread::yield_now(),
            }
        }
        #[cfg(not(tsan))]
        self.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts the values that are alive, and notices one that is used when it is not.
#[derive(Debug)]
pub(crate) struct Life {
    state: AtomicU32,
    alive: Arc<AtomicUsize>,
}

const ALIVE: u32 = 0xA11C_E5ED;

impl Life {
    pub(crate) fn new(alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, SeqCst);
        Life {
            state: AtomicU32::new(ALIVE),
            alive: alive.clone(),
        }
    }

    pub(crate) fn touch(&self) {
        assert_eq!(self.state.load(SeqCst), ALIVE, "used after its end");
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        assert_eq!(self.state.swap(0, SeqCst), ALIVE, "dropped twice");
        self.alive.fetch_sub(1, SeqCst);
    }
}

#[derive(Trace)]
pub(crate) struct Node {
    #[trace(skip)]
    pub(crate) life: Life,
    pub(crate) links: Mutex<Vec<Gc<Node>>>,
}

impl Node {
    pub(crate) fn new(alive: &Arc<AtomicUsize>) -> Gc<Node> {
        Gc::new(Node {
            life: Life::new(alive),
            links: Mutex::default(),
        })
    }

    pub(crate) fn link(&self, to: &Gc<Node>) {
        self.links().push(to.clone());
    }

    pub(crate) fn links(&self) -> MutexGuard<'_, Vec<Gc<Node>>> {
        self.life.touch();
        self.links.locked()
    }
}

/// Nodes that refer to each other in a circle; the first.
pub(crate) fn ring(alive: &Arc<AtomicUsize>, count: usize) -> Gc<Node> {
    let first = Node::new(alive);
    let mut last = first.clone();
    for _ in 1..count {
        let next = Node::new(alive);
        last.link(&next);
        last = next;
    }
    last.link(&first);
    first
}
