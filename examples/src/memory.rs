//! How much memory the process holds, as the kernel sees it.

use std::fmt;
use std::fs;

/// The process's memory at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Resident now (`VmRSS`).
    pub resident_bytes: usize,
    /// The most that ever was resident (`VmHWM`).
    pub peak_bytes: usize,
}

impl Process {
    /// Asks the kernel; `None` where it has no `/proc`.
    #[must_use]
    pub fn now() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/status").ok()?)
    }

    fn parse(status: &str) -> Option<Self> {
        let field = |name: &str| -> Option<usize> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kib: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
            Some(kib * 1024)
        };
        Some(Self {
            resident_bytes: field("VmRSS:")?,
            peak_bytes: field("VmHWM:")?,
        })
    }
}

/// Bytes as `12.3 MB`.
#[derive(Clone, Copy, Debug)]
pub struct Megabytes(pub usize);

impl fmt::Display for Megabytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:.1} MB", self.0 as f64 / 1e6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_read() {
        let status = "Name:\tcat\nVmHWM:\t    1024 kB\nVmRSS:\t     512 kB\nThreads:\t1\n";
        let process = Process::parse(status).expect("both fields are there");
        assert_eq!(process.resident_bytes, 512 * 1024);
        assert_eq!(process.peak_bytes, 1024 * 1024);
        assert_eq!(Process::parse("Name:\tcat\n"), None);
    }

    #[test]
    fn megabytes_have_one_decimal() {
        assert_eq!(format!("{:>9}", Megabytes(12_345_678)), "  12.3 MB");
    }
}
