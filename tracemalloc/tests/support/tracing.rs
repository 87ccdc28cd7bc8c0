//! A process traces as a whole: one test at a time.

#![allow(dead_code, reason = "each test uses a part")]

use std::sync::{Mutex, MutexGuard, PoisonError};

use tracemalloc::Config;

/// No other test of the binary traces. Tracing is off when this ends, and the heap sound.
pub(crate) struct Tracing(#[expect(dead_code, reason = "held, not read")] MutexGuard<'static, ()>);

impl Tracing {
    /// Not yet: until somebody starts it.
    pub(crate) fn off() -> Self {
        static ONE: Mutex<()> = Mutex::new(());
        let guard = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        // `PYMALLOC_TRACE` may have started it.
        tracemalloc::stop();
        Self(guard)
    }

    pub(crate) fn start(config: Config) -> Self {
        let tracing = Self::off();
        tracemalloc::start_with(config).unwrap();
        tracing
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        tracemalloc::stop();
        pymalloc::verify_heap().unwrap();
    }
}
