//! What it was measured on.

use std::fs;
use std::process::Command;
use std::thread;

#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) processor: String,
    pub(super) cores: usize,
    pub(super) kernel: String,
    pub(super) rust: String,
    /// Of the last minute, before anything was built: more than a little spoils times.
    pub(super) load: String,
    pub(super) huge_pages: String,
}

impl Machine {
    pub(super) fn describe() -> Self {
        let processors = read("/proc/cpuinfo");
        let model = processors
            .lines()
            .find(|line| line.starts_with("model name"));
        let model = model.and_then(|line| line.split(": ").nth(1));
        let chosen = |text: String| {
            let inside = text
                .split('[')
                .nth(1)
                .and_then(|rest| rest.split(']').next());
            inside.unwrap_or("unknown").to_owned()
        };
        Self {
            processor: model.unwrap_or("unknown processor").to_owned(),
            cores: thread::available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            rust: rust_version(),
            load: read("/proc/loadavg")
                .split(' ')
                .next()
                .unwrap_or("?")
                .to_owned(),
            huge_pages: chosen(read("/sys/kernel/mm/transparent_hugepage/enabled")),
        }
    }

    /// In a line.
    pub(super) fn line(&self) -> String {
        format!(
            "{}, {} cores, Linux {}, Rust {}, huge pages: {}, load before: {}",
            self.processor, self.cores, self.kernel, self.rust, self.huge_pages, self.load
        )
    }
}

/// What cannot be read is empty.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

pub(super) fn rust_version() -> String {
    let said = Command::new("rustc").arg("--version").output();
    let said = said.map(|output| output.stdout).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    said.split(' ').nth(1).unwrap_or("unknown").to_owned()
}

/// The C library's name and version: its allocator is the system's.
pub(super) fn system_allocator() -> String {
    let said = Command::new("ldd").arg("--version").output();
    let output = said.map(|output| [output.stdout, output.stderr].concat());
    let output = output.unwrap_or_default();
    let text = String::from_utf8_lossy(&output);
    let first = text
        .lines()
        .next()
        .unwrap_or("C library of unknown version");
    first.trim_start_matches("ldd ").to_owned()
}
