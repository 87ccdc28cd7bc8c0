//! How much memory the process holds, as the kernel and the allocator see it.

use std::fmt;
use std::fs;
use std::io::{self, Write};

use pymalloc::{ClassStats, Stats};

use crate::style::Style;

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

/// The process and its heap after each step of a program.
#[derive(Debug, Default)]
pub struct Log {
    moments: Vec<Moment>,
}

#[derive(Debug)]
struct Moment {
    step: &'static str,
    /// Unknown where there is no `/proc`.
    process: Option<Process>,
    heap: Stats,
}

/// Lines of the list of size classes.
const CLASS_LINES: usize = 8;
const BAR_WIDTH: usize = 20;

impl Log {
    /// Looks at the process and at its heap now.
    pub fn note(&mut self, step: &'static str) {
        self.moments.push(Moment {
            step,
            process: Process::now(),
            heap: pymalloc::stats(),
        });
    }

    /// A line for each step: the kernel's numbers on the left, the allocator's on
    /// the right.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn write_steps(&self, style: Style, out: &mut impl Write) -> io::Result<()> {
        let kernel = format!("  {:<17} {:>10} {:>10}", "", "resident", "peak");
        let heap = format!("{:>12} {:>10} {:>8}", "in blocks", "free", "arenas");
        writeln!(out, "{}", style.dim(format!("{kernel}   {heap}")))?;
        for Moment {
            step,
            process,
            heap,
        } in &self.moments
        {
            let show = |pick: fn(&Process) -> usize| match process {
                Some(process) => Megabytes(pick(process)).to_string(),
                None => "unknown".to_owned(),
            };
            let (resident, peak) = (show(|p| p.resident_bytes), show(|p| p.peak_bytes));
            let in_blocks = Megabytes(heap.bytes_in_use + heap.bytes_large);
            let free = Megabytes(heap.bytes_free + heap.bytes_large_cached);
            let arenas = heap.arenas_current;
            writeln!(
                out,
                "  {step:<17} {resident:>10} {peak:>10}   {in_blocks:>12} {free:>10} {arenas:>8}"
            )?;
        }
        Ok(())
    }

    /// The size classes with the most bytes in use when most of all were.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn write_classes(&self, style: Style, out: &mut impl Write) -> io::Result<()> {
        let Some(Moment { step, heap, .. }) = self.busiest() else {
            return Ok(());
        };
        let bytes = |class: &ClassStats| class.size * class.blocks_in_use;
        let mut classes: Vec<_> = heap
            .classes
            .iter()
            .filter(|class| bytes(class) > 0)
            .collect();
        classes.sort_by_key(|class| std::cmp::Reverse(bytes(class)));
        let most = classes.first().map_or(1, |class| bytes(class));
        let heading = format!("Busiest of {} size classes in use, {step}", classes.len());
        writeln!(out, "\n{}", style.bold(heading))?;
        for class in classes.into_iter().take(CLASS_LINES) {
            let bar = "█".repeat((bytes(class) * BAR_WIDTH / most).max(1));
            writeln!(
                out,
                "  {:>6} bytes {:>9} blocks in {:>6} pools {:>11}  {}",
                class.size,
                class.blocks_in_use,
                class.pools,
                Megabytes(bytes(class)),
                style.dim(bar),
            )?;
        }
        Ok(())
    }

    /// CPython's table of the moment when most bytes were in use.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn write_table(&self, style: Style, out: &mut impl Write) -> io::Result<()> {
        let Some(Moment { step, heap, .. }) = self.busiest() else {
            return Ok(());
        };
        writeln!(out, "\n{}", style.bold(format!("The whole heap, {step}")))?;
        write!(out, "{heap}")
    }

    fn busiest(&self) -> Option<&Moment> {
        let in_use = |moment: &&Moment| moment.heap.bytes_in_use + moment.heap.bytes_large;
        self.moments.iter().max_by_key(in_use)
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
