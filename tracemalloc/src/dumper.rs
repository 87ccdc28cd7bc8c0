//! A snapshot that is written again and again, for somebody to look on.

use std::io;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::NotTracing;

/// The least time from one dump to the next.
const SHORTEST: Duration = Duration::from_millis(1);

/// Dumps a snapshot every so often into one file, in a thread of its own, until it is stopped or
/// dropped, which wait for a dump that is under way.
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
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
    /// The process that has the thread.
    process_id: u32,
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
        let (stop, stopped) = mpsc::channel();
        let path = std::path::absolute(path)?;
        let interval = interval.max(SHORTEST);
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
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
            process_id: std::process::id(),
        })
    }

    /// Dumps once more, and stops.
    ///
    /// # Errors
    ///
    /// Those of this last time; and always in the child of a fork, which has not got the thread.
    pub fn stop(mut self) -> io::Result<()> {
        if let Some(stop) = &self.stop {
            // It fails if the thread has ended, which `join` tells as well.
            let _ = stop.send(());
        }
        self.join()
    }

    fn join(&mut self) -> io::Result<()> {
        if std::process::id() != self.process_id {
            // Not even dropped: it would wait, or be told wrong.
            let _ = ManuallyDrop::new((self.stop.take(), self.thread.take()));
            return Err(io::Error::other("the thread that dumps is the parent's"));
        }
        drop(self.stop.take());
        let ended = self.thread.take().map_or(Ok(Ok(())), JoinHandle::join);
        ended.unwrap_or_else(|_| Err(io::Error::other("the thread that dumps has panicked")))
    }
}

impl Drop for Dumper {
    fn drop(&mut self) {
        // Who wants to know calls `stop`.
        let _ = self.join();
    }
}

fn dump(path: &Path) -> io::Result<()> {
    match crate::take_snapshot() {
        Ok(snapshot) => snapshot.dump(path),
        Err(NotTracing) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_child_of_a_fork_may_drop_it() {
        let path = std::env::temp_dir().join("no-such-folder").join("a.tmal");
        let dumper = Dumper::start(path, Duration::from_secs(3600)).unwrap();
        // SAFETY: the child drops the dumper and leaves.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            // A child that waits says nothing.
            // SAFETY: no requirements.
            unsafe { libc::alarm(60) };
            let drops = std::panic::AssertUnwindSafe(|| drop(dumper));
            let dropped = std::panic::catch_unwind(drops);
            // SAFETY: leaves at once.
            unsafe { libc::_exit(i32::from(dropped.is_err())) };
        }
        let mut status = 0;
        // SAFETY: waits for the child above.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0);
        drop(dumper);
    }
}
