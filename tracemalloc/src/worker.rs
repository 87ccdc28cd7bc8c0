//! A thread that works until it is told to stop.
//!
//! The child of a fork has not got the thread: there its channel and its handle are left alone, and
//! not even dropped, for the thread may have been in the middle of them.

use std::io;
use std::mem::ManuallyDrop;
use std::process;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use crate::record;

/// A thread of its own, which is told to stop by its channel: by a message, or by its end.
#[derive(Debug)]
pub(crate) struct Worker<T> {
    /// `None` once it was stopped.
    parts: Option<(Sender<()>, JoinHandle<T>)>,
    /// The process that has the thread.
    process_id: u32,
}

impl<T: Send + 'static> Worker<T> {
    /// Starts the thread; what it allocates is nobody's.
    pub(crate) fn start(
        name: &str,
        work: impl FnOnce(&Receiver<()>) -> T + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn(move || crate::untraced(|| work(&stopped)))?;
        Ok(Self {
            parts: Some((stop, thread)),
            process_id: process::id(),
        })
    }
}

impl<T> Worker<T> {
    /// Sends a message, and waits for the thread's result.
    ///
    /// # Errors
    ///
    /// If the thread has panicked; in the child of a fork; and in a handler around one, where it may
    /// wait for this thread: then it ends by itself.
    pub(crate) fn stop(&mut self) -> io::Result<T> {
        let parts = self.take()?;
        // It fails if the thread has ended, which `join` tells as well.
        let _ = parts.0.send(());
        join(parts)
    }

    /// Ends the channel without a message, and waits likewise.
    ///
    /// # Errors
    ///
    /// Those of `stop`.
    pub(crate) fn end(&mut self) -> io::Result<T> {
        join(self.take()?)
    }

    fn take(&mut self) -> io::Result<(Sender<()>, JoinHandle<T>)> {
        let parts = self.parts.take();
        if process::id() != self.process_id {
            let _ = ManuallyDrop::new(parts);
            return Err(io::Error::other("the thread is the parent's"));
        }
        parts.ok_or_else(|| io::Error::other("the thread was stopped before"))
    }
}

fn join<T>((stop, thread): (Sender<()>, JoinHandle<T>)) -> io::Result<T> {
    drop(stop);
    if record::is_forking() {
        return Err(io::Error::other(
            "between a fork's handlers no thread is waited for",
        ));
    }
    let panicked = |_| io::Error::other("the thread has panicked");
    thread.join().map_err(panicked)
}

impl<T> Drop for Worker<T> {
    fn drop(&mut self) {
        // The thread ends by itself.
        let _ = self.take();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn the_child_of_a_fork_may_stop_and_end_and_drop_it() {
        let start = || Worker::start("waits", |stopped| stopped.recv().is_ok());
        let [mut stopped, mut ended, dropped] = [(); 3].map(|()| start().unwrap());
        // SAFETY: the child leaves the threads alone, and leaves.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            // A child that waits says nothing.
            // SAFETY: no requirements.
            unsafe { libc::alarm(60) };
            let is_told = catch_unwind(AssertUnwindSafe(|| {
                drop(dropped);
                stopped.stop().is_err() && ended.end().is_err()
            }));
            // SAFETY: leaves at once.
            unsafe { libc::_exit(i32::from(!is_told.unwrap_or(false))) };
        }
        let mut status = 0;
        // SAFETY: waits for the child above.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0);
        assert!(stopped.stop().unwrap());
        assert!(!ended.end().unwrap());
        assert!(ended.end().is_err());
    }

    #[test]
    fn a_panic_is_an_error() {
        let panics = |_: &Receiver<()>| std::panic::resume_unwind(Box::new(()));
        let mut worker = Worker::<()>::start("panics", panics).unwrap();
        assert!(worker.stop().is_err());
    }
}
