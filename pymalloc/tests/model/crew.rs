//! The threads that a sequence's operations run on, one at a time.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use super::THREAD_COUNT;
use super::queue::Queue;

type Job = Box<dyn FnOnce() -> Address + Send>;
type Outcome = std::thread::Result<Address>;

/// A block's address, on its way between threads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address(pub(super) *mut u8);

// SAFETY: the crew runs one job at a time and waits for it, so that one
// thread at a time uses the block.
unsafe impl Send for Address {}

/// Where a member takes its jobs and leaves what came of them. It outlives the
/// member: ThreadSanitizer does not know the fence in a last `Arc`'s drop.
struct Desk {
    jobs: Queue<Job>,
    outcomes: Queue<Outcome>,
}

struct Member {
    desk: Arc<Desk>,
    thread: JoinHandle<()>,
}

/// Threads 1 and up; each starts when a job first names it. Thread 0 is the
/// caller.
#[derive(Default)]
pub(super) struct Crew {
    members: [Option<Member>; THREAD_COUNT - 1],
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let live = self.members.iter().flatten().count();
        write!(f, "Crew of {live}")
    }
}

impl Drop for Crew {
    /// A model that fails ends its threads too.
    fn drop(&mut self) {
        self.end_all();
    }
}

impl Crew {
    /// Runs `work` on a thread and waits for what it returns.
    pub(super) fn run(
        &mut self,
        thread: usize,
        work: impl FnOnce() -> Address + Send + 'static,
    ) -> Address {
        let Some(index) = thread.checked_sub(1) else {
            return work();
        };
        let member = self.members[index].get_or_insert_with(Member::start);
        member.desk.jobs.send(Box::new(work));
        let outcome = member.desk.outcomes.receive();
        let outcome = outcome.expect("the member answers every job");
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Ends one thread, if it runs.
    pub(super) fn end(&mut self, thread: usize) {
        let Some(index) = thread.checked_sub(1) else {
            return;
        };
        if let Some(member) = self.members[index].take() {
            member.desk.jobs.close();
            member.thread.join().expect("a member does not panic");
        }
    }

    /// Whether a thread beside the caller is running.
    pub(super) fn has_members(&self) -> bool {
        self.members.iter().any(Option::is_some)
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
        let desk = Arc::new(Desk {
            jobs: Queue::new(1),
            outcomes: Queue::new(1),
        });
        let own = Arc::clone(&desk);
        let thread = std::thread::spawn(move || {
            while let Some(job) = own.jobs.receive() {
                own.outcomes.send(catch_unwind(AssertUnwindSafe(job)));
            }
        });
        Self { desk, thread }
    }
}
