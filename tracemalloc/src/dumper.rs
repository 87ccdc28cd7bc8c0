//! A snapshot that is written again and again, for somebody to look on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::NotTracing;

/// Dumps a snapshot every so often into one file, in a thread of its own, until it is stopped or
/// dropped.
///
/// `tracemalloc live FILE` shows it, and whoever opens the file finds a whole snapshot. While
/// tracing is off nothing is written. Each time takes what
/// [`take_snapshot`](crate::take_snapshot) and [`dump`](crate::Snapshot::dump) take: 64 bytes of
/// memory and some ten nanoseconds a block.
///
/// # Examples
///
/// ```
/// # use std::alloc::System;
/// # #[global_allocator]
/// # static GLOBAL: tracemalloc::Traced<System> = tracemalloc::Traced(System);
/// use std::time::Duration;
/// use tracemalloc::{Dumper, Snapshot};
///
/// tracemalloc::start(25)?;
/// let path = std::env::temp_dir().join(format!("live-{}.tmal", std::process::id()));
/// let dumper = Dumper::start(&path, Duration::from_secs(5))?;
/// let work: Vec<String> = (0..100).map(|n| format!("number {n}")).collect();
/// dumper.stop()?;
/// assert!(Snapshot::load(&path)?.traces().len() >= work.len());
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Dumper {
    stop: Sender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl Dumper {
    /// Starts to dump: now, and every `interval` from then on.
    ///
    /// # Errors
    ///
    /// If no thread can be started. What goes wrong with the file, [`stop`](Self::stop) tells.
    pub fn start(path: impl Into<PathBuf>, interval: Duration) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let path = path.into();
        let work = move || {
            crate::untraced(|| {
                loop {
                    let dumped = dump(&path);
                    let waited = stopped.recv_timeout(interval);
                    if waited != Err(RecvTimeoutError::Timeout) {
                        // Asked to stop, once more; dropped, not.
                        return waited.map_or(dumped, |()| dump(&path));
                    }
                }
            })
        };
        let thread = thread::Builder::new().name("dumper".to_owned());
        let thread = thread.spawn(work)?;
        Ok(Self { stop, thread })
    }

    /// Dumps once more, and stops.
    ///
    /// # Errors
    ///
    /// Those of this last time.
    pub fn stop(self) -> io::Result<()> {
        // It fails if the thread has ended, which `join` tells as well.
        let _ = self.stop.send(());
        let ended = self.thread.join();
        ended.unwrap_or_else(|_| Err(io::Error::other("the thread that dumps has panicked")))
    }
}

fn dump(path: &Path) -> io::Result<()> {
    match crate::take_snapshot() {
        Ok(snapshot) => snapshot.dump(path),
        Err(NotTracing) => Ok(()),
    }
}
