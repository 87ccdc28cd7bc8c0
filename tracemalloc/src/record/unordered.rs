//! For tests: two threads that nothing orders but what they do themselves, so that
//! ThreadSanitizer reports what that does not order.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

/// Calls `first` in one thread, and in another `second`, with the number that `first`
/// returned, which is not 0. The first thread stays until the second is done: what it does at
/// its end orders nothing.
pub(super) fn in_two_threads(
    first: impl FnOnce() -> usize + Send,
    second: impl FnOnce(usize) + Send,
) {
    /// Says a number in any case, so that nobody waits for a thread that panicked.
    struct Says<'a>(&'a AtomicUsize, usize);
    impl Drop for Says<'_> {
        fn drop(&mut self) {
            // ORDERING: Relaxed, here and below: the number is told, and nothing with it.
            self.0.store(self.1, Relaxed);
        }
    }
    let wait_for = |number: &AtomicUsize| {
        while number.load(Relaxed) == 0 {
            thread::yield_now();
        }
        number.load(Relaxed)
    };
    let (told, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        let first = scope.spawn(|| {
            let mut says = Says(&told, usize::MAX);
            says.1 = first();
            drop(says);
            wait_for(&done);
        });
        let second = scope.spawn(|| {
            let _done = Says(&done, 1);
            let number = wait_for(&told);
            assert_ne!(number, usize::MAX, "the first thread panicked");
            second(number);
        });
        // ThreadSanitizer does not see how a scope waits for its end.
        assert!(first.join().is_ok() & second.join().is_ok());
    });
}
