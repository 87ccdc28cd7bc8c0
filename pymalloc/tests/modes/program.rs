//! What an ordinary program does, for each mode as the global allocator: threads that hand
//! blocks to each other and die, destructors that allocate, forks in the middle of it all.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use crate::c_thread::in_c_thread;

/// Strings, maps and vectors that grow, checked.
fn work(seed: usize) -> usize {
    let mut words: HashMap<usize, Vec<String>> = HashMap::new();
    for step in 0..3_000 {
        let word = (seed * step).to_string().repeat(1 + step % 40);
        words.entry(step % 97).or_default().push(word);
        if step % 5 == 0 {
            words.remove(&(step % 89));
        }
    }
    let mut bytes = Vec::new();
    for step in 0..200_000_usize {
        bytes.push(step as u8);
    }
    assert!(
        bytes
            .iter()
            .enumerate()
            .all(|(step, byte)| *byte == step as u8)
    );
    for (key, list) in &words {
        for word in list {
            assert!(
                word.bytes().all(|byte| byte.is_ascii_digit()),
                "{key}: {word}"
            );
        }
    }
    words.values().map(Vec::len).sum()
}

/// A destructor that allocates and frees when its thread is nearly gone.
struct Late(Vec<String>);

impl Drop for Late {
    fn drop(&mut self) {
        self.0.push("spam".repeat(100));
        assert_eq!(self.0.concat().len(), 400 + self.0[0].len());
    }
}

pub(crate) fn threads_that_pass_blocks_and_die() {
    thread_local! {
        static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
    }
    let (sender, receiver) = channel::<Vec<String>>();
    let threads: Vec<_> = (1..=24)
        .map(|seed| {
            let sender = sender.clone();
            thread::spawn(move || {
                LATE.with_borrow_mut(|late| *late = Some(Late(vec![seed.to_string()])));
                for _ in 0..20 {
                    let words = (0..100).map(|word| (seed * word).to_string()).collect();
                    sender.send(words).expect("the receiver waits");
                }
                work(seed)
            })
        })
        .collect();
    drop(sender);
    let received: usize = receiver.iter().map(|words| words.len()).sum();
    assert_eq!(received, 24 * 20 * 100);
    for thread in threads {
        assert!(thread.join().expect("a thread comes to its end") > 0);
    }
}

pub(crate) fn forks_while_threads_allocate() {
    static IS_OVER: AtomicBool = AtomicBool::new(false);
    let threads = [1, 2].map(|seed| {
        thread::spawn(move || {
            while !IS_OVER.load(Ordering::Relaxed) {
                work(seed);
            }
        })
    });
    for _ in 0..20 {
        // SAFETY: the child only allocates, starts a thread and exits, which is the claim.
        let child = unsafe { libc::fork() };
        assert!(child >= 0, "fork: {}", std::io::Error::last_os_error());
        if child == 0 {
            let is_done = work(3) > 0 && in_c_thread(|| work(7)) > 0;
            // SAFETY: the child has nothing to flush.
            unsafe { libc::_exit(i32::from(!is_done)) };
        }
        assert_eq!(
            wait_for(child),
            Some(0),
            "the child's status, none if it hung"
        );
    }
    IS_OVER.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().expect("a thread comes to its end");
    }
}

/// The raw status of a child; none, and an end to it, if it takes five minutes: then it hangs.
fn wait_for(child: libc::pid_t) -> Option<i32> {
    let since = Instant::now();
    let mut status = 0;
    loop {
        // SAFETY: `status` is writable and the child is ours.
        if unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } == child {
            return Some(status);
        }
        if since.elapsed() > Duration::from_secs(300) {
            // SAFETY: the child is ours and not yet waited for.
            unsafe { libc::kill(child, libc::SIGKILL) };
            return None;
        }
        thread::sleep(Duration::from_millis(1));
    }
}
