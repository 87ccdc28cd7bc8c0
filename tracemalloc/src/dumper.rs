//! A snapshot that is written again and again, for somebody to look on.

use std::io;
use std::path::Path;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use crate::NotTracing;
use crate::worker::Worker;

/// The least time from one dump to the next.
const SHORTEST: Duration = Duration::from_millis(1);

/// Dumps a snapshot every so often into one file, in a thread of its own, until it is stopped or
/// dropped, which wait for a dump that is under way. (But not in a handler around a fork: it may
/// hold what the dump waits for.)
///
/// `tracemalloc live FILE` shows it, and whoever opens the file finds a whole snapshot, where
/// [`dump`](crate::Snapshot::dump) can replace it. While tracing is off nothing is written. Each
/// time takes what [`take_snapshot`](crate::take_snapshot) and `dump` take: up to three times 56
/// bytes of memory a block, and some ten nanoseconds for each of the two.
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
    worker: Worker<io::Result<()>>,
}

impl Dumper {
    /// Starts to dump: now, and every `interval` from then on; every millisecond if that is less.
    ///
    /// A relative path is of the folder that the process is in now, wherever it goes.
    ///
    /// # Errors
    ///
    /// If no thread can be started, the path is empty, or relative to a folder that is gone. What
    /// goes wrong with the file, [`stop`](Self::stop) tells.
    pub fn start(path: impl AsRef<Path>, interval: Duration) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let interval = interval.max(SHORTEST);
        let worker = Worker::start("dumper", move |stopped| {
            loop {
                let dumped = dump(&path);
                let waited = stopped.recv_timeout(interval);
                if waited != Err(RecvTimeoutError::Timeout) {
                    // Asked to stop, once more; dropped, not.
                    return waited.map_or(dumped, |()| dump(&path));
                }
            }
        })?;
        Ok(Self { worker })
    }

    /// Dumps once more, and stops.
    ///
    /// # Errors
    ///
    /// Those of this last time; and always in the child of a fork, which has not got the thread, and
    /// in a handler around a fork, which does not wait for it.
    pub fn stop(mut self) -> io::Result<()> {
        self.worker.stop()?
    }
}

impl Drop for Dumper {
    fn drop(&mut self) {
        // Who wants to know calls `stop`.
        let _ = self.worker.end();
    }
}

fn dump(path: &Path) -> io::Result<()> {
    match crate::take_snapshot() {
        Ok(snapshot) => snapshot.dump(path),
        Err(NotTracing) => Ok(()),
    }
}
