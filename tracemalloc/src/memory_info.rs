//! What the system says of a process's memory.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Component, Path};

use crate::snapshot::Size;
use crate::waterfall::Resident;

/// Where cgroups are found.
const CGROUPS: &str = "/sys/fs/cgroup";

/// A process's memory, as the system sees it.
///
/// Shown, it is a table:
///
/// ```text
/// resident (rss)          11.4 MiB
/// at most (peak)          12.0 MiB
/// its own (uss)           9352 KiB
/// its share (pss)         9482 KiB
/// swapped out                  0 B
/// addresses (vms)         1034 MiB
/// limit                    512 MiB
/// ```
///
/// (psutil: `Process.memory_full_info`.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryInfo {
    /// Bytes in memory now: the resident set size.
    pub rss_bytes: u64,
    /// Of these, bytes of files and of memory that processes share.
    pub shared_bytes: u64,
    /// Bytes of address space.
    pub vms_bytes: u64,
    /// Bytes that are in memory for this process alone, and go with it: the unique set size.
    /// `None` if the system does not say, as of another user's process.
    pub uss_bytes: Option<u64>,
    /// The same, and of what it shares with others its part: the proportional set size.
    pub pss_bytes: Option<u64>,
    /// Bytes that were moved out to swap space.
    pub swap_bytes: u64,
    /// The most that `rss_bytes` has been. The system keeps it by sums that lag behind a little.
    pub peak_bytes: u64,
    /// What the process and those in its control group may have together; `None` without a
    /// limit. The least of all groups that it is in, found where they usually are,
    /// in `/sys/fs/cgroup`. Of a group that lies outside of what is seen there, that of the top.
    pub limit_bytes: Option<u64>,
}

/// What the system says of this process's memory.
///
/// Reads three files of `/proc/self`, one of which makes the kernel walk through the process's
/// pages: a millisecond for each gigabyte, and more. And the limits of its control groups.
///
/// # Errors
///
/// Those of reading `/proc/self/status`.
///
/// # Examples
///
/// ```
/// let info = tracemalloc::memory_info()?;
/// assert!(info.peak_bytes >= info.rss_bytes);
/// println!("{info}");
/// # std::io::Result::Ok(())
/// ```
pub fn memory_info() -> io::Result<MemoryInfo> {
    crate::untraced(|| read(Path::new("/proc/self")))
}

/// What the system says of another process's memory.
///
/// # Errors
///
/// Those of reading `/proc/<pid>/status`: there is no such process, or it is another user's and
/// hidden.
pub fn memory_info_of(pid: u32) -> io::Result<MemoryInfo> {
    crate::untraced(|| read(Path::new(&format!("/proc/{pid}"))))
}

/// What of this process is resident: quickly, by the system's sums.
pub(crate) fn resident() -> io::Result<Resident> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    let page_bytes = page_bytes();
    let mut numbers = statm.split_ascii_whitespace().map(str::parse::<u64>);
    let mut next = |index| match numbers.nth(index) {
        Some(Ok(pages)) => Ok(pages * page_bytes),
        _ => Err(io::Error::from(io::ErrorKind::InvalidData)),
    };
    Ok(Resident {
        rss_bytes: next(1)?,
        shared_bytes: next(0)?,
    })
}

/// The bytes of a page.
pub(crate) fn page_bytes() -> u64 {
    // SAFETY: a question with a number for an answer.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(bytes)
        .ok()
        .filter(|bytes| *bytes > 0)
        .unwrap_or(4096)
}

fn read(process: &Path) -> io::Result<MemoryInfo> {
    let status = read_text(&process.join("status"))?;
    // Counted by walking through the pages, where the other is a sum that lags behind.
    let pages = read_text(&process.join("smaps_rollup")).unwrap_or_default();
    let cgroups = read_text(&process.join("cgroup")).unwrap_or_default();
    // A process that has exited and was not waited for has none of the lines.
    let of = |name| bytes_of(&status, name).unwrap_or(0);
    let rss_bytes = bytes_of(&pages, "Rss").unwrap_or_else(|| of("VmRSS"));
    let private = |name| bytes_of(&pages, name);
    Ok(MemoryInfo {
        rss_bytes,
        shared_bytes: (of("RssFile") + of("RssShmem")).min(rss_bytes),
        vms_bytes: of("VmSize"),
        uss_bytes: private("Private_Clean")
            .zip(private("Private_Dirty"))
            .map(|(clean, dirty)| clean + dirty),
        pss_bytes: private("Pss"),
        swap_bytes: of("VmSwap"),
        peak_bytes: of("VmHWM").max(rss_bytes),
        limit_bytes: limit(&cgroups, Path::new(CGROUPS)),
    })
}

/// A file's text. Names in it may be any bytes: a process's is cut in the middle of a letter.
fn read_text(path: &Path) -> io::Result<String> {
    let bytes = fs::read(path)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The bytes in a line as `VmRSS:     1234 kB`.
fn bytes_of(text: &str, name: &str) -> Option<u64> {
    let is_it = |line: &&str| line.strip_prefix(name).is_some_and(|l| l.starts_with(':'));
    let line = text.lines().find(is_it)?;
    let kib: u64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
    kib.checked_mul(1024)
}

/// The least limit of the groups in `/proc/self/cgroup`, and of those they are in.
fn limit(groups: &str, root: &Path) -> Option<u64> {
    let limits = groups.lines().filter_map(|line| {
        // `0::/path`, or of version 1 `4:memory:/path`.
        let (_, group) = line.split_once(':')?;
        let (controllers, path) = group.split_once(':')?;
        if controllers.is_empty() {
            least(root, path, "memory.max")
        } else if controllers.split(',').any(|name| name == "memory") {
            least(&root.join("memory"), path, "memory.limit_in_bytes")
        } else {
            None
        }
    });
    limits.min()
}

/// The least number in the files of this name in a group's folder and those above.
fn least(root: &Path, group: &str, file: &str) -> Option<u64> {
    let group = group.strip_prefix('/').unwrap_or(group);
    // `/../other` is seen in a container: a group beside its own.
    let is_inside = |name: Component<'_>| matches!(name, Component::Normal(_));
    let group = Path::new(group);
    let group = if group.components().all(is_inside) {
        group
    } else {
        Path::new("")
    };
    let folders = group.ancestors().map(|folder| root.join(folder));
    let numbers = folders.filter_map(|folder| {
        let text = fs::read_to_string(folder.join(file)).ok()?;
        text.trim().parse().ok()
    });
    // Version 1 says "no limit" by a number near the largest.
    numbers.filter(|&bytes: &u64| bytes < 1 << 62).min()
}

impl fmt::Display for MemoryInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            ("resident (rss)", Some(self.rss_bytes)),
            ("at most (peak)", Some(self.peak_bytes)),
            ("its own (uss)", self.uss_bytes),
            ("its share (pss)", self.pss_bytes),
            ("swapped out", Some(self.swap_bytes)),
            ("addresses (vms)", Some(self.vms_bytes)),
            ("limit", self.limit_bytes),
        ];
        let known = rows
            .iter()
            .filter_map(|&(name, bytes)| Some((name, bytes?)));
        for (index, (name, bytes)) in known.enumerate() {
            let line_end = if index > 0 { "\n" } else { "" };
            let size = Size::new(bytes as f64).to_string();
            write!(f, "{line_end}{name:<20} {size:>11}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_and_its_parts_are_less() {
        let block = std::hint::black_box(vec![1_u8; 8 << 20]);
        let info = memory_info().unwrap();
        assert!(info.rss_bytes > 8 << 20 && info.vms_bytes >= info.rss_bytes);
        assert!(info.shared_bytes > 0 && info.shared_bytes < info.rss_bytes);
        // Some systems do not say.
        if let (Some(uss), Some(pss)) = (info.uss_bytes, info.pss_bytes) {
            assert!(
                uss > 8 << 20 && uss <= pss && pss <= info.rss_bytes,
                "{info:?}"
            );
        }
        drop(block);
        let after = memory_info().unwrap();
        assert!(after.peak_bytes + (4 << 20) > info.rss_bytes, "{after:?}");
    }

    #[test]
    fn a_process_may_have_any_name() {
        let before = fs::read("/proc/self/comm").unwrap();
        fs::write("/proc/self/comm", b"cut in \xc3").unwrap();
        let info = memory_info();
        fs::write("/proc/self/comm", before.trim_ascii_end()).unwrap();
        assert!(info.unwrap().rss_bytes > 0);
    }

    #[test]
    fn another_process_has_memory_or_is_not_there() {
        let of_this = memory_info_of(std::process::id()).unwrap();
        assert!(of_this.rss_bytes > 0);
        assert!(memory_info_of(u32::MAX).is_err());
    }

    #[test]
    fn lines_are_found_by_their_whole_name() {
        let text = "Pss_Dirty:  1 kB\nPss:        2384 kB\nRss: kB\nSwap: 7";
        assert_eq!(bytes_of(text, "Pss"), Some(2384 << 10));
        assert_eq!(bytes_of(text, "Rss"), None);
        assert_eq!(bytes_of(text, "Swa"), None);
    }

    #[test]
    fn the_least_limit_of_all_groups_counts() {
        let name = format!("tracemalloc-cgroups-{}", std::process::id());
        let root = std::env::temp_dir().join(name);
        let set = |folder: &str, file: &str, text: &str| {
            fs::create_dir_all(root.join(folder)).unwrap();
            fs::write(root.join(folder).join(file), text).unwrap();
        };
        set("a/b", "memory.max", "max\n");
        set("a", "memory.max", "1000000\n");
        set("", "memory.max", "2000000\n");
        set("other", "memory.max", "3000\n");
        set("memory/c", "memory.limit_in_bytes", "500000\n");
        set("memory", "memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(limit("0::/a/b\n", &root), Some(1_000_000));
        // A container sees its group as the top, or as one beside that: not as one below it.
        assert_eq!(limit("0::/\n", &root), Some(2_000_000));
        assert_eq!(limit("0::/../other\n", &root), Some(2_000_000));
        let first = "4:cpu,memory:/c\n1:name=systemd:/a\n0::/a\n";
        assert_eq!(limit(first, &root), Some(500_000));
        assert_eq!(limit("4:memory:/host/path\n", &root), None);
        assert_eq!(limit("", &root), None);
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn what_is_unknown_is_left_out_of_the_table() {
        let info = MemoryInfo {
            rss_bytes: 12 << 20,
            shared_bytes: 0,
            vms_bytes: 1034 << 20,
            uss_bytes: Some(9352 << 10),
            pss_bytes: None,
            swap_bytes: 0,
            peak_bytes: 13 << 20,
            limit_bytes: None,
        };
        let table = info.to_string();
        let lines: Vec<&str> = table.lines().collect();
        let expected = [
            "resident (rss)          12.0 MiB",
            "at most (peak)          13.0 MiB",
            "its own (uss)           9352 KiB",
            "swapped out                  0 B",
            "addresses (vms)         1034 MiB",
        ];
        assert_eq!(lines, expected);
    }
}
