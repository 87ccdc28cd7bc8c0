//! Which traces a snapshot is to keep.

use super::fnmatch::fnmatch;
use super::frame::{Frame, Traceback, UNKNOWN};

/// Keeps, or drops, traces by file and line (CPython: `tracemalloc.Filter`).
///
/// ```
/// use tracemalloc::Filter;
///
/// let only_parser = Filter::new(true, "*/src/parser/*");
/// let not_line_12 = Filter::new(false, "*/src/main.rs").lineno(12).all_frames(true);
/// # let _ = (only_parser, not_line_12);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    inclusive: bool,
    filename_pattern: String,
    lineno: Option<u32>,
    all_frames: bool,
    domain: Option<u32>,
}

impl Filter {
    /// Keeps (`inclusive`) or drops traces whose most recent frame's file matches the pattern.
    ///
    /// The pattern is Python's `fnmatch`: `*`, `?`, `[a-z]`, `[!a-z]`, and `*` matches `/`, too.
    pub fn new(inclusive: bool, filename_pattern: impl Into<String>) -> Self {
        Self {
            inclusive,
            filename_pattern: filename_pattern.into(),
            lineno: None,
            all_frames: false,
            domain: None,
        }
    }

    /// Matches this line alone.
    #[must_use]
    pub const fn lineno(mut self, lineno: u32) -> Self {
        self.lineno = Some(lineno);
        self
    }

    /// Looks at all frames and not at the most recent one alone.
    #[must_use]
    pub const fn all_frames(mut self, all_frames: bool) -> Self {
        self.all_frames = all_frames;
        self
    }

    /// Matches blocks of this domain alone.
    #[must_use]
    pub const fn domain(mut self, domain: u32) -> Self {
        self.domain = Some(domain);
        self
    }

    fn matches_frame(&self, frame: &Frame) -> bool {
        let filename = if frame.filename().is_empty() {
            UNKNOWN
        } else {
            frame.filename()
        };
        fnmatch(filename, &self.filename_pattern)
            && self.lineno.is_none_or(|lineno| lineno == frame.lineno())
    }

    fn passes_traceback(&self, traceback: &Traceback) -> bool {
        let matches = if self.all_frames {
            traceback.iter().any(|frame| self.matches_frame(frame))
        } else {
            traceback
                .last()
                .is_some_and(|frame| self.matches_frame(frame))
        };
        matches == self.inclusive
    }
}

/// Keeps, or drops, the traces of a domain (CPython: `tracemalloc.DomainFilter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DomainFilter {
    inclusive: bool,
    domain: u32,
}

impl DomainFilter {
    /// Keeps (`inclusive`) or drops traces of this domain.
    #[must_use]
    pub const fn new(inclusive: bool, domain: u32) -> Self {
        Self { inclusive, domain }
    }
}

/// Keeps, or drops, traces by their functions (not in CPython).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionFilter {
    inclusive: bool,
    pattern: String,
}

impl FunctionFilter {
    /// Keeps (`inclusive`) or drops traces that have any frame whose function matches the
    /// pattern (`*::parse*`).
    pub fn new(inclusive: bool, pattern: impl Into<String>) -> Self {
        Self {
            inclusive,
            pattern: pattern.into(),
        }
    }

    fn passes_traceback(&self, traceback: &Traceback) -> bool {
        let matches = traceback
            .iter()
            .any(|frame| fnmatch(frame.function(), &self.pattern));
        matches == self.inclusive
    }
}

/// Any filter; made from each kind by `into()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TraceFilter {
    /// By file and line.
    File(Filter),
    /// By domain.
    Domain(DomainFilter),
    /// By function.
    Function(FunctionFilter),
}

impl TraceFilter {
    pub(crate) const fn is_inclusive(&self) -> bool {
        match self {
            Self::File(filter) => filter.inclusive,
            Self::Domain(filter) => filter.inclusive,
            Self::Function(filter) => filter.inclusive,
        }
    }

    /// Whether a trace with this traceback may stay, its domain aside.
    pub(crate) fn passes_traceback(&self, traceback: &Traceback) -> bool {
        match self {
            Self::File(filter) => filter.passes_traceback(traceback),
            Self::Function(filter) => filter.passes_traceback(traceback),
            Self::Domain(_) => true,
        }
    }

    /// Whether a trace may stay: one of this domain, whose traceback passes or not.
    pub(crate) fn passes(&self, traceback_passes: bool, domain: u32) -> bool {
        match self {
            Self::File(filter) => match filter.domain {
                None => traceback_passes,
                Some(wanted) if filter.inclusive => traceback_passes && domain == wanted,
                Some(wanted) => traceback_passes || domain != wanted,
            },
            Self::Domain(filter) => (domain == filter.domain) == filter.inclusive,
            Self::Function(_) => traceback_passes,
        }
    }
}

impl From<Filter> for TraceFilter {
    fn from(filter: Filter) -> Self {
        Self::File(filter)
    }
}

impl From<DomainFilter> for TraceFilter {
    fn from(filter: DomainFilter) -> Self {
        Self::Domain(filter)
    }
}

impl From<FunctionFilter> for TraceFilter {
    fn from(filter: FunctionFilter) -> Self {
        Self::Function(filter)
    }
}
