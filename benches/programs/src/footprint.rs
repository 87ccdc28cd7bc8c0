//! Resident memory. Every row does all of its work: its scale is ignored.

use benches::report::{Clock, Report, Scale};
use benches::workloads::{self, Workload};

/// A million boxes of 24 bytes.
#[must_use]
pub fn million_24(_: Scale) -> Report {
    measure(workloads::million_of_24_bytes)
}

/// A million boxes of 100 bytes.
#[must_use]
pub fn million_100(_: Scale) -> Report {
    measure(workloads::million_of_100_bytes)
}

/// 200 threads alive, then joined.
#[must_use]
pub fn threads_200(_: Scale) -> Report {
    measure(workloads::two_hundred_threads_alive)
}

/// 300 MB of small blocks, then freed and idle.
#[must_use]
pub fn freed_300_mb(_: Scale) -> Report {
    measure(workloads::freed_in_order)
}

/// 100 MB of small blocks, of which 2 % survive.
#[must_use]
pub fn survivors(_: Scale) -> Report {
    measure(workloads::survivors)
}

fn measure(workload: Workload) -> Report {
    let clock = Clock::start();
    let reading = workload();
    Report {
        busy_bytes: reading.busy_bytes,
        after_bytes: reading.after_bytes,
        ..clock.stop(1, 1)
    }
}
