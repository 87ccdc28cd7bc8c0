//! How to trace: what a program asks for, and where the hooks read it.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU64};

/// Which blocks are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every block.
    Exact,
    /// Samples, one in so many bytes on average: a large block is more likely to be one. Sums
    /// over samples are estimates, and come with a standard error.
    Sampled {
        /// The mean number of bytes between two samples; 512 KiB is usual.
        period_bytes: u64,
    },
}

/// How stacks are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwinder {
    /// By frame pointers if the stack of whoever starts tracing can be walked so; else by tables.
    Auto,
    /// By frame pointers, which `-C force-frame-pointers=yes` gives a program, and std has. The
    /// quicker way. A function without one ends the stack, or hides its caller.
    FramePointers,
    /// By the tables in `.eh_frame`, which every program has (feature `framehop`). Libraries whose
    /// tables are read stay loaded for good, whatever is closed: those that are there when tracing
    /// starts, by [`Auto`](Self::Auto), too, and those that a snapshot finds.
    Tables,
}

/// What to record: see [`start_with`](crate::start_with).
///
/// ```
/// use tracemalloc::{Config, Mode};
///
/// let config = Config { nframe: 10, ..Config::default() };
/// assert_eq!(config.mode, Mode::Exact);
///
/// let config: Config = "sample:512k,10".parse()?;
/// assert_eq!(config.mode, Mode::Sampled { period_bytes: 512 << 10 });
/// assert_eq!(config.nframe, 10);
/// # Ok::<(), tracemalloc::BadConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How many calls of each stack are kept, the most recent ones; at least 1. 25 by default;
    /// CPython's default of 1 would name `Vec::push` where a program grows its vectors.
    pub nframe: u16,
    /// Which blocks; all by default.
    pub mode: Mode,
    /// How stacks are found.
    pub unwinder: Unwinder,
    /// Whether the sums of each stack are kept as they were at the peak, for
    /// [`take_peak_snapshot`](crate::take_peak_snapshot). Two atomic additions more for each block
    /// and each free.
    pub peak: bool,
    /// What the random numbers of sampling start from; a fixed number makes the samples of one
    /// thread the same in each run. `None` takes one from the system.
    pub seed: Option<u64>,
    /// Start even if the global allocator tells of no blocks: for [`track`](crate::track), and for
    /// a [`Traced`](crate::Traced) that is not global.
    pub unhooked: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            nframe: 25,
            mode: Mode::Exact,
            unwinder: Unwinder::Auto,
            peak: false,
            seed: None,
            unhooked: false,
        }
    }
}

/// A text that says no [`Config`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadConfig;

impl fmt::Display for BadConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not a number of frames from 1 to 65535 such as 25, nor a period such as sample:512k, \
             nor both such as sample:512k,25",
        )
    }
}

impl std::error::Error for BadConfig {}

impl FromStr for Config {
    type Err = BadConfig;

    /// `25`: 25 frames of every block. `sample:512k`: samples. `sample:512k,10`: both.
    fn from_str(text: &str) -> Result<Self, BadConfig> {
        let mut config = Self::default();
        let frames = match text.strip_prefix("sample:") {
            None => Some(text),
            Some(sample) => {
                let (period, frames) = match sample.split_once(',') {
                    Some((period, frames)) => (period, Some(frames)),
                    None => (sample, None),
                };
                let period_bytes = parse_bytes(period).ok_or(BadConfig)?;
                config.mode = Mode::Sampled { period_bytes };
                frames
            }
        };
        if let Some(frames) = frames {
            config.nframe = parse_digits(frames)
                .and_then(|frames| u16::try_from(frames).ok())
                .filter(|&frames| frames > 0)
                .ok_or(BadConfig)?;
        }
        Ok(config)
    }
}

fn parse_digits(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

fn parse_bytes(text: &str) -> Option<u64> {
    let (digits, shift) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 10),
        b'm' | b'M' => (&text[..text.len() - 1], 20),
        b'g' | b'G' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let bytes = parse_digits(digits)?.checked_mul(1 << shift)?;
    (bytes > 0).then_some(bytes)
}

/// The settings as the hooks read them. Each stands for itself: a thread that reads them while
/// they change may record a block or two by halves of both.
pub(super) struct Settings {
    mode: AtomicU8,
    nframe: AtomicU16,
    period: AtomicU64,
    seed: AtomicU64,
    by_tables: AtomicBool,
    peak: AtomicBool,
    /// Counts changes; 0 before the first.
    generation: AtomicU64,
}

/// Those in force.
pub(super) static SETTINGS: Settings = Settings::new();

const OFF: u8 = 0;
const EXACT: u8 = 1;
const SAMPLED: u8 = 2;
/// The two lowest bits say what is recorded; where tracing pauses, those above say what was.
const RECORDED: u8 = 3;
const PAUSED_SHIFT: u32 = 2;
/// Set while blocks are recorded to find out how, and tracing is not on yet.
const PROBING: u8 = 1 << 4;

impl Settings {
    /// Off.
    const fn new() -> Self {
        Settings {
            mode: AtomicU8::new(OFF),
            nframe: AtomicU16::new(0),
            period: AtomicU64::new(0),
            seed: AtomicU64::new(0),
            by_tables: AtomicBool::new(false),
            peak: AtomicBool::new(false),
            generation: AtomicU64::new(0),
        }
    }

    /// Puts a configuration in force, with a seed of its own and the unwinder chosen.
    pub(super) fn set(&self, config: &Config, seed: u64, by_tables: bool) {
        self.put(config, seed, by_tables, 0);
    }

    /// Has blocks recorded as `config` says, though tracing is not on yet.
    pub(super) fn set_probing(&self, config: &Config, by_tables: bool) {
        self.put(config, 1, by_tables, PROBING);
    }

    fn put(&self, config: &Config, seed: u64, by_tables: bool, flags: u8) {
        let (mode, period) = match config.mode {
            Mode::Exact => (EXACT, 0),
            Mode::Sampled { period_bytes } => (SAMPLED, period_bytes.max(1)),
        };
        self.nframe.store(config.nframe, Relaxed);
        self.period.store(period, Relaxed);
        self.seed.store(seed, Relaxed);
        self.by_tables.store(by_tables, Relaxed);
        self.peak.store(config.peak, Relaxed);
        self.generation.fetch_add(1, Relaxed);
        self.mode.store(mode | flags, Relaxed);
    }

    /// Records nothing from now on.
    pub(super) fn set_off(&self) {
        self.mode.store(OFF, Relaxed);
        self.peak.store(false, Relaxed);
    }

    /// Calls `f`; nothing is recorded meanwhile, though tracing is on as before. Not for two
    /// threads at once.
    pub(super) fn paused(&self, f: impl FnOnce()) {
        let mode = self.mode.load(Relaxed);
        self.mode.store(mode << PAUSED_SHIFT, Relaxed);
        f();
        self.mode.store(mode, Relaxed);
    }

    /// Whether tracing is on.
    pub(super) fn is_on(&self) -> bool {
        let mode = self.mode.load(Relaxed);
        mode != OFF && mode & PROBING == 0
    }

    /// Whether blocks are to be recorded at this moment.
    #[inline(always)]
    pub(super) fn is_recording(&self) -> bool {
        self.mode.load(Relaxed) & RECORDED != OFF
    }

    /// The period of samples, in a pause, too; `None` if every block is recorded, or none.
    #[inline(always)]
    pub(super) fn sampling(&self) -> Option<u64> {
        let mode = self.mode.load(Relaxed);
        let is_sampled = (mode | mode >> PAUSED_SHIFT) & RECORDED == SAMPLED;
        is_sampled.then(|| self.period.load(Relaxed))
    }

    /// The period last set, whatever the mode is now.
    pub(super) fn period(&self) -> u64 {
        self.period.load(Relaxed).max(1)
    }

    #[inline(always)]
    pub(super) fn nframe(&self) -> u16 {
        self.nframe.load(Relaxed)
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed.load(Relaxed)
    }

    #[cfg_attr(
        not(feature = "framehop"),
        allow(dead_code, reason = "for unwind tables")
    )]
    #[inline(always)]
    pub(super) fn by_tables(&self) -> bool {
        self.by_tables.load(Relaxed)
    }

    #[inline(always)]
    pub(super) fn peak(&self) -> bool {
        self.peak.load(Relaxed)
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_probed_is_recorded_though_tracing_is_off() {
        let settings = Settings::new();
        let state = || (settings.is_on(), settings.is_recording());
        settings.set_probing(&Config::default(), false);
        assert_eq!(state(), (false, true));
        settings.set(&Config::default(), 1, false);
        assert_eq!(state(), (true, true));
        settings.paused(|| assert_eq!(state(), (true, false)));
        settings.set_off();
        assert_eq!(state(), (false, false));
    }

    #[test]
    fn a_configuration_is_read_as_documented() {
        let sampled = |period_bytes, nframe| Config {
            mode: Mode::Sampled { period_bytes },
            nframe,
            ..Config::default()
        };
        assert_eq!(
            "1".parse(),
            Ok(Config {
                nframe: 1,
                ..Config::default()
            })
        );
        assert_eq!(
            "65535".parse(),
            Ok(Config {
                nframe: 65535,
                ..Config::default()
            })
        );
        assert_eq!("sample:512k".parse(), Ok(sampled(512 << 10, 25)));
        assert_eq!("sample:1M,3".parse(), Ok(sampled(1 << 20, 3)));
        assert_eq!("sample:100".parse(), Ok(sampled(100, 25)));
        for bad in [
            "",
            "0",
            "65536",
            "-1",
            "+1",
            "1.5",
            "yes",
            "sample",
            "sample:",
            "sample:0",
            "sample:k",
            "sample:1x",
            "sample:1k,",
            "sample:1k,0",
            "sample:99999999999g",
            "25,9",
            "sample:512\u{212a}",
        ] {
            assert_eq!(bad.parse::<Config>(), Err(BadConfig), "{bad}");
        }
    }
}
