//! Memory over time: what `mprof run` records beside a Python program.

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use crate::memory_info;
use crate::snapshot::{Snapshot, TimelinePoint};
use crate::worker::Worker;

/// The most points kept: then every second one is dropped, and half as many are taken from there.
const MOST_POINTS: usize = 4096;

/// The least time from point to point.
const SHORTEST: Duration = Duration::from_millis(1);

/// Notes the process's memory every so often, in a thread of its own, until it is stopped.
///
/// A point costs a read of `/proc/self/statm` and, with `pymalloc`, a walk over its pools. However
/// long it runs, at most 4096 points are kept.
///
/// ```
/// # use std::alloc::System;
/// # #[global_allocator]
/// # static GLOBAL: tracemalloc::Traced<System> = tracemalloc::Traced(System);
/// use std::time::Duration;
///
/// tracemalloc::start(25)?;
/// let timeline = tracemalloc::Timeline::start(Duration::from_millis(1))?;
/// let work: Vec<Vec<u8>> = (0..100).map(|i| vec![0; i * 100]).collect();
/// let points = timeline.stop();
/// let snapshot = tracemalloc::take_snapshot()?.with_timeline(points);
/// assert!(snapshot.timeline().len() >= 2);
/// # drop(work);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// (memory_profiler: `mprof run`; [`plot()`](crate::plot()), `tracemalloc plot` and the HTML page draw it.)
#[derive(Debug)]
pub struct Timeline {
    worker: Worker<Vec<TimelinePoint>>,
}

impl Timeline {
    /// Starts to note a point every `interval`; every millisecond if that is less.
    ///
    /// # Errors
    ///
    /// If no thread can be started.
    pub fn start(interval: Duration) -> std::io::Result<Self> {
        let (began, elapsed) = (Instant::now(), crate::record::elapsed().unwrap_or_default());
        let worker = Worker::start("timeline", move |stopped| {
            let mut points = Points::new(interval);
            loop {
                points.push(point(elapsed + began.elapsed()));
                match stopped.recv_timeout(points.interval) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            points.push(point(elapsed + began.elapsed()));
            points.list
        })?;
        Ok(Self { worker })
    }

    /// Stops, and gives the points, oldest first: one of the start and one of now at least.
    ///
    /// There are none in the child of a fork, which has not got the thread, and in a handler around a
    /// fork, which does not wait for it.
    #[must_use]
    pub fn stop(mut self) -> Vec<TimelinePoint> {
        self.worker.stop().unwrap_or_default()
    }
}

struct Points {
    list: Vec<TimelinePoint>,
    interval: Duration,
}

impl Points {
    fn new(interval: Duration) -> Self {
        Self {
            list: Vec::with_capacity(MOST_POINTS),
            interval: interval.max(SHORTEST),
        }
    }

    fn push(&mut self, point: TimelinePoint) {
        if self.list.len() == MOST_POINTS {
            let mut keep = false;
            self.list.retain(|_| {
                keep = !keep;
                keep
            });
            self.interval = self.interval.saturating_mul(2);
        }
        self.list.push(point);
    }
}

fn point(when: Duration) -> TimelinePoint {
    TimelinePoint {
        when_ns: u64::try_from(when.as_nanos()).unwrap_or(u64::MAX),
        traced_bytes: crate::get_traced_memory().0,
        heap_bytes: heap_bytes(),
        rss_bytes: memory_info::resident().map_or(0, |resident| resident.rss_bytes),
    }
}

#[cfg(feature = "pymalloc")]
fn heap_bytes() -> u64 {
    let stats = pymalloc::stats();
    (stats.bytes_in_use + stats.bytes_large) as u64
}

#[cfg(not(feature = "pymalloc"))]
fn heap_bytes() -> u64 {
    0
}

impl Snapshot {
    /// The same with the process's memory over time.
    #[must_use]
    pub fn with_timeline(self, points: Vec<TimelinePoint>) -> Self {
        self.map_raw(|raw| raw.timeline = points)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_thin_out_evenly() {
        let mut points = Points::new(Duration::from_millis(1));
        for when_ns in 0..3 * MOST_POINTS as u64 {
            let next = TimelinePoint {
                when_ns,
                ..TimelinePoint::default()
            };
            points.push(next);
        }
        assert!(points.list.len() <= MOST_POINTS);
        assert!(points.list.len() > MOST_POINTS / 2);
        assert!(points.list.is_sorted_by_key(|point| point.when_ns));
        assert_eq!(points.list[0].when_ns, 0);
        assert!(points.interval >= Duration::from_millis(4));
    }

    #[test]
    fn points_of_no_interval_thin_out_too() {
        let mut points = Points::new(Duration::ZERO);
        for _ in 0..=MOST_POINTS {
            points.push(TimelinePoint::default());
        }
        assert!(points.interval >= 2 * SHORTEST);
    }

    #[test]
    fn a_process_is_resident() {
        assert!(point(Duration::ZERO).rss_bytes > 1 << 20);
    }
}
