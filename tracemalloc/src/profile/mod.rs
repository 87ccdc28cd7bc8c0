//! What each line of a function does to memory.
//!
//! ```text
//!  Call ── line, back, closing ──▶ Sheet: whose turn it is, and since how many bytes
//!   │                                │ what the turn before did
//!   │                                ▼
//!   │                              lines: increment, most, occurrences
//!   └─ drop of the outermost ──▶ table.rs ──▶ standard error, or `stream`
//! ```
//! A turn goes from one note of the function's to the next. A thread has a sheet for each function
//! that it is in, however deep it calls itself: so each byte is put down to one line. What a sheet
//! and its table take themselves is neither counted nor traced.

mod table;

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use crate::measure::{self, Region};
use crate::memory_info;

/// Prints what each line of a function did to memory, when the function ends.
///
/// ```
/// # use std::alloc::System;
/// use tracemalloc::Counted;
///
/// // Or `Counted(pymalloc::PyMalloc)`.
/// #[global_allocator]
/// static GLOBAL: Counted<System> = Counted(System);
///
/// #[tracemalloc::profile]
/// fn words(count: usize) -> Vec<String> {
///     let mut list = Vec::new();
///     for number in 0..count {
///         let text = format!("word number {number}").repeat(100);
///         if number % 2 == 0 {
///             list.push(text);
///         }
///     }
///     list
/// }
///
/// assert_eq!(words(1000).len(), 500);
/// ```
///
/// ```text
/// Filename: src/main.rs
/// Function: program::words
/// Memory: this thread's since the call
///
/// Line #    Mem usage    Increment  Occurrences   Line Contents
/// =============================================================
///      7                                          #[tracemalloc::profile]
///      8          0 B          0 B            1   fn words(count: usize) -> Vec<String> {
///      9          0 B          0 B            1       let mut list = Vec::new();
///     10      739 KiB          0 B         1001       for number in 0..count {
///     11      741 KiB     1454 KiB         1000           let text = format!("word number {number}").repeat(100);
///     12      741 KiB          0 B         1000           if number % 2 == 0 {
///     13      739 KiB     12.0 KiB          500               list.push(text);
///     14                                                  }
///     15      739 KiB     -727 KiB          500       }
///     16      739 KiB          0 B            1       list
///     17                                          }
/// ```
///
/// *Mem usage* is the most there was when the line had run, *Increment* what it added or freed, each
/// time it ran taken together, *Occurrences* how often it ran. The line of a loop runs once more than
/// its body.
///
/// What is measured depends on the program:
///
/// | if | then |
/// |---|---|
/// | the global allocator is [`Counted`](crate::Counted) | bytes that this thread has allocated and not freed since the call: exact |
/// | tracing is on | bytes in traced blocks of all threads: estimated if they are samples |
/// | else | resident memory of the process, in whole pages |
///
/// It stays what it was when the outermost call began: where tracing stops meanwhile, all that was
/// traced seems to be freed.
///
/// # Which line it is put down to
///
/// - A statement of several lines counts as its first, but for the blocks in it, whose statements
///   have lines of their own.
/// - What a block's variables free counts as the block's closing brace, however the block is left:
///   at its end, by `return`, `?`, `break` or a panic, after which the table is printed as well.
///   So do the function's arguments, but for `self`; for one that is no plain name (`name` or
///   `mut name`), or has attributes; and for those before such a one: they are freed after the table
///   is made.
/// - Closures and `async` blocks count as the line that runs them, as does whatever else is called.
/// - A function that calls itself has one table, which the outermost call prints. So has each thread.
/// - Two statements on one line count as one.
///
/// The lines are read from the source, which is looked for where the compiler found it, and left
/// out if it is not there.
///
/// # Options
///
/// `#[profile(stream = EXPRESSION)]` writes the table elsewhere than to standard error. The
/// expression gives a [`Write`](std::io::Write), or a lock of one; it is asked for it each time,
/// and sees no variables of the function. Its errors and panics are ignored. What it allocates is not
/// counted, and so is missing where the program frees it.
///
/// ```
/// use std::sync::Mutex;
///
/// static TABLES: Mutex<Vec<u8>> = Mutex::new(Vec::new());
///
/// #[tracemalloc::profile(stream = TABLES.lock().unwrap())]
/// fn sum(numbers: &[u64]) -> u64 {
///     numbers.iter().sum()
/// }
///
/// assert_eq!(sum(&[1, 2]), 3);
/// let tables = String::from_utf8(TABLES.lock().unwrap().clone())?;
/// assert!(tables.contains("Line #    Mem usage    Increment  Occurrences   Line Contents"));
/// # Ok::<(), std::string::FromUtf8Error>(())
/// ```
///
/// Functions of all editions may have it, whatever lives until their end:
///
/// ```edition2021
/// use std::cell::RefCell;
/// use std::rc::Rc;
///
/// #[tracemalloc::profile]
/// fn len(list: Rc<RefCell<Vec<u8>>>) -> usize {
///     list.borrow().len()
/// }
///
/// #[tracemalloc::profile]
/// fn never(why: &str) -> ! {
///     panic!("{why}")
/// }
///
/// assert_eq!(len(Rc::default()), 0);
/// assert!(std::panic::catch_unwind(|| never("end")).is_err());
/// ```
///
/// `#[profile(crate = path)]` says where this crate is, for those that name it otherwise.
///
/// # What it costs
///
/// About 15 ns a statement where bytes are counted, and 15 us where the system is asked for resident
/// memory. Without the attribute nothing: a program may have it behind a feature of its own, as
/// `#[cfg_attr(feature = "profile", tracemalloc::profile)]`.
///
/// # Where it cannot go
///
/// On an `async fn`, whose parts run between those of others:
///
/// ```compile_fail
/// #[tracemalloc::profile]
/// async fn later() {}
/// ```
///
/// On a `const fn`, which runs in the compiler as well:
///
/// ```compile_fail
/// #[tracemalloc::profile]
/// const fn early() -> u32 { 1 }
/// ```
///
/// On whatever is no function, or has no body:
///
/// ```compile_fail
/// #[tracemalloc::profile]
/// struct Server;
/// ```
///
/// ```compile_fail
/// trait Serve {
///     #[tracemalloc::profile]
///     fn serve(&self);
/// }
/// ```
///
/// (memory_profiler: `@profile`, whose first *Increment* is all of the process's memory; it takes
/// `precision` as well, where sizes here have three to five digits.)
pub use tracemalloc_macros::profile;

/// A function that is profiled.
#[derive(Debug)]
pub struct Site {
    /// As the compiler was told.
    pub file: &'static str,
    /// Where the package was.
    pub folder: Option<&'static str>,
    /// With its module.
    pub function: &'static str,
    /// The attribute's line.
    pub first: u32,
    /// The line of `fn`.
    pub entry: u32,
    /// The last brace's line.
    pub last: u32,
    /// Writes a table; `None` is to standard error.
    pub stream: Option<WriteTable>,
}

/// Writes a table somewhere.
pub type WriteTable = fn(&[u8]) -> io::Result<()>;

/// A call of a function that is profiled: the function's first variable.
#[derive(Debug)]
pub struct Call {
    /// `None` once it has ended.
    sheet: Option<Rc<Sheet>>,
    /// The line of the call that this one was made in; `None` for the outermost.
    outer: Option<u32>,
    /// What makes the allocator count.
    _region: Option<Region>,
}

/// Notes a line when it is dropped.
#[derive(Debug)]
pub struct Leaving<'a> {
    sheet: Option<&'a Sheet>,
    line: u32,
    kind: Kind,
}

/// What the lines of a function did, in one thread.
#[derive(Debug)]
struct Sheet {
    site: &'static Site,
    meter: Meter,
    turn: Cell<Turn>,
    lines: Box<[Cell<Line>]>,
    /// That of the function which this one was called in.
    below: Option<Rc<Sheet>>,
}

/// What is measured.
#[derive(Debug, Clone, Copy)]
enum Meter {
    /// This thread's bytes, less those that there were at the call.
    Thread { before: i64 },
    /// All traced bytes.
    Traced,
    /// Resident bytes of the process.
    Resident,
}

/// The line whose doings are being measured.
#[derive(Debug, Clone, Copy)]
struct Turn {
    line: u32,
    kind: Kind,
    /// What there was when it began.
    bytes: i64,
}

/// How a line got its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A statement begins: it has occurred.
    Begins,
    /// A statement goes on, after a block in it.
    GoesOn,
    /// A block's variables are dropped, which occurs if they free something.
    Closing,
}

/// What a line did.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    /// The most bytes that there were after it; `None` if it did not run.
    usage: Option<i64>,
    increment: i64,
    occurrences: u64,
}

thread_local! {
    /// The sheet of the function that the thread entered last.
    static TOP: RefCell<Option<Rc<Sheet>>> = const { RefCell::new(None) };
}

/// Calls `f`; what it allocates is nobody's.
fn uncounted<R>(f: impl FnOnce() -> R) -> R {
    measure::uncounted(|| crate::untraced(f))
}

impl Call {
    /// The function begins.
    #[must_use]
    pub fn enter(site: &'static Site) -> Self {
        let mut next = TOP.try_with(|top| top.borrow().clone()).ok().flatten();
        while let Some(sheet) = next {
            if std::ptr::eq(sheet.site, site) {
                let outer = Some(sheet.turn.get().line);
                sheet.next(site.entry, Kind::Begins);
                return Self {
                    sheet: Some(sheet),
                    outer,
                    _region: None,
                };
            }
            next = sheet.below.clone();
        }
        let region = Region::new().ok();
        let meter = Meter::new(region.is_some());
        let sheet = uncounted(|| {
            // While the thread exits, the function may call itself unseen: then it is as another.
            TOP.try_with(|top| {
                let below = top.borrow().clone();
                let sheet = Rc::new(Sheet::new(site, meter, below));
                top.replace(Some(Rc::clone(&sheet)));
                sheet
            })
            .unwrap_or_else(|_| Rc::new(Sheet::new(site, meter, None)))
        });
        sheet.next(site.entry, Kind::Begins);
        Self {
            sheet: Some(sheet),
            outer: None,
            _region: region,
        }
    }

    /// A statement begins.
    #[inline]
    pub fn line(&self, line: u32) {
        self.next(line, Kind::Begins);
    }

    /// A statement begins on a line that has its turn already, or goes on.
    #[inline]
    pub fn back(&self, line: u32) {
        self.next(line, Kind::GoesOn);
    }

    /// A block of the statement in `line` begins; the result is to be dropped at its end.
    #[inline]
    #[must_use]
    pub fn block(&self, line: u32) -> Leaving<'_> {
        self.leaving(line, Kind::GoesOn)
    }

    /// The same of a loop's body.
    #[inline]
    #[must_use]
    pub fn iteration(&self, line: u32) -> Leaving<'_> {
        if let Some(sheet) = &self.sheet {
            sheet.occurs(line);
        }
        self.leaving(line, Kind::GoesOn)
    }

    /// A block that ends in `line` has another variable, before which the result is to be dropped.
    #[inline]
    #[must_use]
    pub fn closing(&self, line: u32) -> Leaving<'_> {
        self.leaving(line, Kind::Closing)
    }

    fn leaving(&self, line: u32, kind: Kind) -> Leaving<'_> {
        let sheet = self.sheet.as_deref();
        Leaving { sheet, line, kind }
    }

    fn next(&self, line: u32, kind: Kind) {
        if let Some(sheet) = &self.sheet {
            sheet.next(line, kind);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let Some(sheet) = self.sheet.take() else {
            return;
        };
        if let Some(outer) = self.outer {
            sheet.next(outer, Kind::GoesOn);
            return;
        }
        sheet.end(sheet.meter.bytes());
        uncounted(|| {
            let _ = TOP.try_with(|top| top.replace(sheet.below.clone()));
            let table = sheet.to_string();
            // Nobody is there to be told. The function may be panicking already: a second panic
            // that got out of here would end the process.
            let _ = catch_unwind(AssertUnwindSafe(|| match sheet.site.stream {
                Some(stream) => stream(table.as_bytes()),
                None => io::stderr().write_all(table.as_bytes()),
            }));
            drop((table, sheet));
        });
    }
}

impl Drop for Leaving<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(sheet) = self.sheet {
            sheet.next(self.line, self.kind);
        }
    }
}

impl Meter {
    fn new(is_counted: bool) -> Self {
        if is_counted {
            let before = measure::live_bytes();
            Self::Thread { before }
        } else if crate::is_tracing() {
            Self::Traced
        } else {
            Self::Resident
        }
    }

    /// What there is now.
    fn bytes(self) -> i64 {
        match self {
            Self::Thread { before } => measure::live_bytes().wrapping_sub(before),
            Self::Traced => crate::get_traced_memory().0.cast_signed(),
            Self::Resident => {
                let resident = crate::untraced(memory_info::resident);
                resident.map_or(0, |resident| resident.rss_bytes.cast_signed())
            }
        }
    }
}

impl Sheet {
    fn new(site: &'static Site, meter: Meter, below: Option<Rc<Self>>) -> Self {
        let count = site.last.saturating_sub(site.first) as usize + 1;
        let turn = Turn {
            line: site.entry,
            kind: Kind::GoesOn,
            bytes: meter.bytes(),
        };
        Self {
            site,
            meter,
            turn: Cell::new(turn),
            lines: vec![Cell::default(); count].into(),
            below,
        }
    }

    fn line(&self, line: u32) -> Option<&Cell<Line>> {
        let index = line.checked_sub(self.site.first)?;
        self.lines.get(usize::try_from(index).ok()?)
    }

    /// Gives the turn to a line.
    fn next(&self, line: u32, kind: Kind) {
        let turn = self.turn.get();
        if kind == Kind::Closing && (turn.line, turn.kind) == (line, kind) {
            return;
        }
        let bytes = self.meter.bytes();
        self.end(bytes);
        self.turn.set(Turn { line, kind, bytes });
        if kind == Kind::Begins {
            self.occurs(line);
        }
    }

    /// Once more.
    fn occurs(&self, line: u32) {
        if let Some(cell) = self.line(line) {
            let mut line = cell.get();
            line.occurrences += 1;
            cell.set(line);
        }
    }

    /// The turn ends with so many bytes.
    fn end(&self, bytes: i64) {
        let turn = self.turn.get();
        let increment = bytes.wrapping_sub(turn.bytes);
        if turn.kind == Kind::Closing && increment == 0 {
            return;
        }
        if let Some(cell) = self.line(turn.line) {
            let mut line = cell.get();
            line.increment = line.increment.wrapping_add(increment);
            line.usage = Some(line.usage.map_or(bytes, |usage| usage.max(bytes)));
            line.occurrences += u64::from(turn.kind == Kind::Closing);
            cell.set(line);
        }
    }
}
