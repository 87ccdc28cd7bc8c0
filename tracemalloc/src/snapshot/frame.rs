//! Where a block was allocated: a frame, and a traceback of them.

use std::cmp::Ordering;
use std::fmt;
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::{BufRead, BufReader};
use std::ops::{Deref, Range};
use std::sync::Arc;

/// The file of a frame whose file is not known, as in Python.
pub const UNKNOWN: &str = "<unknown>";

/// One call: a file and a line in it, and the function.
///
/// Frames are compared as Python compares them, by file and line; the function counts only where
/// the file is unknown. A group that is no place in a file, such as a thread, is a frame that
/// has its name as function and no file.
#[derive(Clone)]
pub struct Frame {
    filename: Arc<str>,
    lineno: u32,
    function: Arc<str>,
}

impl Frame {
    /// A call in `function`, at line `lineno` of `filename`.
    #[must_use]
    pub fn new(filename: impl Into<Arc<str>>, lineno: u32, function: impl Into<Arc<str>>) -> Self {
        Self {
            filename: filename.into(),
            lineno,
            function: function.into(),
        }
    }

    /// A group that is no place in a file.
    pub(crate) fn named(name: impl Into<Arc<str>>) -> Self {
        Self::new("", 0, name)
    }

    /// The file's path as the compiler wrote it, or [`UNKNOWN`].
    #[must_use]
    pub fn filename(&self) -> &str {
        &self.filename
    }

    /// The line in the file, from 1; 0 is unknown, or the whole file.
    #[must_use]
    pub const fn lineno(&self) -> u32 {
        self.lineno
    }

    /// The function's demangled path, without its hash; empty if unknown.
    #[must_use]
    pub fn function(&self) -> &str {
        &self.function
    }

    pub(crate) const fn shared_filename(&self) -> &Arc<str> {
        &self.filename
    }

    pub(crate) const fn shared_function(&self) -> &Arc<str> {
        &self.function
    }

    /// Whether nothing but the function is known, or the frame is a group without a file.
    pub(crate) fn has_no_file(&self) -> bool {
        self.filename.is_empty() || &*self.filename == UNKNOWN
    }

    fn identity(&self) -> (&str, u32, &str) {
        let function = if self.has_no_file() {
            &*self.function
        } else {
            ""
        };
        (&self.filename, self.lineno, function)
    }
}

impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Frame {}

impl Hash for Frame {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl PartialOrd for Frame {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Frame {
    fn cmp(&self, other: &Self) -> Ordering {
        self.identity().cmp(&other.identity())
    }
}

impl fmt::Display for Frame {
    /// `file:line`; the function alone where there is no file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.has_no_file() && !self.function.is_empty() {
            f.write_str(&self.function)
        } else {
            write!(f, "{}:{}", self.filename, self.lineno)
        }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<Frame filename={:?} lineno={} function={:?}>",
            self.filename, self.lineno, self.function
        )
    }
}

/// Frames from the oldest call to the most recent one.
///
/// A slice of [`Frame`]s that is cheap to clone. Calls that were inlined are frames as well.
#[derive(Clone)]
pub struct Traceback {
    frames: Arc<[Frame]>,
    shown: Range<usize>,
    total_nframe: Option<u32>,
}

impl Traceback {
    /// A traceback of these frames, oldest first.
    #[must_use]
    pub fn new(frames: impl Into<Arc<[Frame]>>, total_nframe: Option<u32>) -> Self {
        let frames = frames.into();
        let shown = 0..frames.len();
        Self {
            frames,
            shown,
            total_nframe,
        }
    }

    /// Those of `frames` that are in `shown`, which is within them.
    pub(crate) fn part(
        frames: Arc<[Frame]>,
        shown: Range<usize>,
        total_nframe: Option<u32>,
    ) -> Self {
        debug_assert!(shown.start <= shown.end && shown.end <= frames.len());
        Self {
            frames,
            shown,
            total_nframe,
        }
    }

    /// How many return addresses the stack had before it was cut; `None` if nobody counted.
    #[must_use]
    pub const fn total_nframe(&self) -> Option<u32> {
        self.total_nframe
    }

    /// The lines that Python prints for a traceback: for each frame its file and line and, where
    /// the file can be read, the line of source; where only the function is known, that.
    ///
    /// A positive `limit` takes so many of the most recent frames, a negative one so many of the
    /// oldest. (That is what CPython documents; it really leaves out as many of the most recent.)
    ///
    /// ```
    /// use tracemalloc::{Frame, Traceback};
    ///
    /// let frames = [Frame::new("a.rs", 3, "main"), Frame::new("b.rs", 7, "load")];
    /// let traceback = Traceback::new(frames, None);
    /// assert_eq!(traceback.format(None, false), [
    ///     r#"  File "a.rs", line 3"#,
    ///     r#"  File "b.rs", line 7"#,
    /// ]);
    /// assert_eq!(traceback.format(Some(1), false), [r#"  File "b.rs", line 7"#]);
    /// ```
    #[must_use]
    pub fn format(&self, limit: Option<isize>, most_recent_first: bool) -> Vec<String> {
        let wanted = limit.map_or(self.len(), |limit| limit.unsigned_abs().min(self.len()));
        let frames = if limit.is_some_and(|limit| limit < 0) {
            &self[..wanted]
        } else {
            &self[self.len() - wanted..]
        };
        let mut lines = Vec::with_capacity(2 * frames.len());
        let mut push = |frame: &Frame| {
            let filename = if frame.filename.is_empty() {
                UNKNOWN
            } else {
                &frame.filename
            };
            lines.push(format!("  File \"{filename}\", line {}", frame.lineno));
            if frame.has_no_file() && !frame.function.is_empty() {
                lines.push(format!("    {}", frame.function));
            } else if let Some(source) = source_line(filename, frame.lineno) {
                lines.push(format!("    {source}"));
            }
        };
        if most_recent_first {
            frames.iter().rev().for_each(&mut push);
        } else {
            frames.iter().for_each(&mut push);
        }
        lines
    }
}

/// The line of source without the blanks around it (Python's `linecache.getline().strip()`);
/// `None` if there is nothing to show.
pub(crate) fn source_line(filename: &str, lineno: u32) -> Option<String> {
    let index = usize::try_from(lineno).ok()?.checked_sub(1)?;
    if filename.starts_with('<') {
        return None;
    }
    let file = BufReader::new(File::open(filename).ok()?);
    let line = file.lines().nth(index)?.ok()?;
    let line = line.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

impl Deref for Traceback {
    type Target = [Frame];

    fn deref(&self) -> &[Frame] {
        &self.frames[self.shown.clone()]
    }
}

impl fmt::Display for Traceback {
    /// The oldest frame, as in Python.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first() {
            Some(frame) => frame.fmt(f),
            None => write!(f, "{UNKNOWN}:0"),
        }
    }
}

impl fmt::Debug for Traceback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Traceback {:?}", &**self)?;
        if let Some(total) = self.total_nframe {
            write!(f, " total_nframe={total}")?;
        }
        f.write_str(">")
    }
}

impl PartialEq for Traceback {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Traceback {}

impl Hash for Traceback {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl PartialOrd for Traceback {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Traceback {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(other)
    }
}
