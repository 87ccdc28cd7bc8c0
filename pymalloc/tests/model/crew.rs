//! The threads that a sequence's operations run on, one at a time.

use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use super::THREAD_COUNT;

type Job = Box<dyn FnOnce() + Send>;

/// A block's address, on its way between threads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address(pub(super) *mut u8);

// SAFETY: the crew runs one job at a time and waits for it, so that one
// thread at a time uses the block.
unsafe impl Send for Address {}

#[derive(Debug)]
struct Member {
    jobs: Sender<Job>,
    thread: JoinHandle<()>,
}

/// Threads 1 and up; each starts when a job first names it. Thread 0 is the
/// caller.
#[derive(Debug, Default)]
pub(super) struct Crew {
    members: [Option<Member>; THREAD_COUNT - 1],
}

impl Crew {
    /// Runs `work` on a thread and waits for what it returns.
    pub(super) fn run<R: Send + 'static>(
        &mut self,
        thread: usize,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> R {
        let Some(index) = thread.checked_sub(1) else {
            return work();
        };
        let member = self.members[index].get_or_insert_with(Member::start);
        let (reply, answer) = channel();
        let job: Job = Box::new(move || {
            let result = work();
            // The caller waits below for as long as the crew lives.
            let _ = reply.send(result);
        });
        member.jobs.send(job).expect("the member waits for jobs");
        answer.recv().expect("the member answers every job")
    }

    /// Ends one thread, if it runs.
    pub(super) fn end(&mut self, thread: usize) {
        let Some(index) = thread.checked_sub(1) else {
            return;
        };
        if let Some(member) = self.members[index].take() {
            drop(member.jobs);
            member.thread.join().expect("a member does not panic");
        }
    }

    /// Ends every thread.
    pub(super) fn end_all(&mut self) {
        for thread in 1..THREAD_COUNT {
            self.end(thread);
        }
    }
}

impl Member {
    fn start() -> Self {
        let (jobs, inbox) = channel::<Job>();
        let thread = std::thread::spawn(move || {
            for job in inbox {
                job();
            }
        });
        Self { jobs, thread }
    }
}
