//! Each line of a function is given what it allocated and freed, whatever way the function goes.

use std::alloc::System;
use std::cell::Cell;
use std::fmt::Debug;
use std::hint::black_box;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::thread;

use tracemalloc::__profile::{Call, Site};
use tracemalloc::{Counted, Region, measure, profile};

#[global_allocator]
static GLOBAL: Counted<System> = Counted(System);

fn block(bytes: usize) -> Vec<u8> {
    black_box(Vec::with_capacity(black_box(bytes)))
}

/// What a test's functions print.
struct Tables(Mutex<Vec<u8>>);

impl Tables {
    const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The numbers of the only line that ends so: memory, increment, occurrences.
    fn row(&self, end: &str) -> [String; 3] {
        let text = self.text();
        let mut lines = text.lines().filter(|line| line.ends_with(end));
        let (line, other) = (lines.next(), lines.next());
        assert!(line.is_some() && other.is_none(), "{end}\n{text}");
        let line = line.unwrap();
        [7..19, 20..32, 34..45].map(|part| line[part].trim().to_owned())
    }

    /// The sum of all increments, which are below 10 KiB.
    fn sum(&self) -> i64 {
        let text = self.text();
        let increments = text.lines().filter_map(|line| {
            let increment = line.get(20..32)?.trim().strip_suffix(" B")?;
            Some(increment.parse::<i64>().unwrap())
        });
        increments.sum()
    }
}

const FIRST_LINE: u32 = line!() + 3;
static FIRST: Tables = Tables::new();

#[profile(stream = FIRST.0.lock().unwrap())]
fn kept_and_dropped(count: usize) -> Vec<Vec<u8>> {
    let mut list = Vec::with_capacity(count);

    for bytes in 0..count {
        let temporary = block(100);
        list.push(block(bytes));
        drop(temporary);
    }
    list
}

#[test]
fn a_table_is_like_memory_profilers() {
    let list = kept_and_dropped(4);
    assert_eq!(list.len(), 4);
    let expected = "
     0          0 B          0 B            1   fn kept_and_dropped(count: usize) -> Vec<Vec<u8>> {
     1         96 B         96 B            1       let mut list = Vec::with_capacity(count);
     2
     3        102 B          0 B            5       for bytes in 0..count {
     4        199 B        400 B            4           let temporary = block(100);
     5        202 B          6 B            4           list.push(block(bytes));
     6        102 B       -400 B            4           drop(temporary);
     7                                              }
     8        102 B          0 B            1       list
     9                                          }
";
    let mut rows = String::new();
    for (number, line) in expected.lines().enumerate().skip(1) {
        let number = FIRST_LINE + number as u32;
        rows += &format!("{number:>6}{}\n", &line[6..]);
    }
    let expected = format!(
        "Filename: tracemalloc/tests/profile.rs
Function: profile::kept_and_dropped
Memory: this thread's since the call

Line #    Mem usage    Increment  Occurrences   Line Contents
=============================================================
{FIRST_LINE:>6}                                          #[profile(stream = FIRST.0.lock().unwrap())]
{rows}
"
    );
    assert_eq!(FIRST.text(), expected);
}

#[test]
fn what_a_block_drops_is_its_closing_braces_however_it_is_left() {
    static TABLES: Tables = Tables::new();
    #[profile(stream = TABLES.0.lock().unwrap())]
    fn leaves(way: u32) -> Result<u32, String> {
        let _all = block(1);
        for turn in 0..3 {
            let _some = block(10);
            if way == turn {
                let _few = block(100);
                match way {
                    0 => return Ok(way),
                    1 => Err(String::new())?,
                    _ => break,
                }
            } // if
        } // for
        Ok(9)
    } // fn
    assert_eq!(leaves(0), Ok(0));
    assert_eq!(TABLES.row("} // if"), ["11 B", "-100 B", "1"]);
    assert_eq!(TABLES.row("} // for"), ["1 B", "-10 B", "1"]);
    assert_eq!(TABLES.row("} // fn"), ["0 B", "-1 B", "1"]);
    assert_eq!(TABLES.row("return Ok(way),"), ["111 B", "0 B", "1"]);
    assert_eq!(TABLES.row("_ => break,"), ["", "", ""]);
    TABLES.0.lock().unwrap().clear();
    assert!(leaves(1).is_err());
    assert_eq!(TABLES.row("Err(String::new())?,")[2], "1");
    assert_eq!(TABLES.row("} // for"), ["1 B", "-20 B", "2"]);
    assert_eq!(TABLES.sum(), 0);
    TABLES.0.lock().unwrap().clear();
    assert_eq!(leaves(2), Ok(9));
    assert_eq!(TABLES.row("for turn in 0..3 {")[2], "4");
    assert_eq!(TABLES.row("} // for"), ["1 B", "-30 B", "3"]);
    assert_eq!(TABLES.row("Ok(9)"), ["1 B", "0 B", "1"]);
}

#[test]
fn a_panic_prints_the_table_too() {
    static TABLES: Tables = Tables::new();
    #[profile(stream = TABLES.0.lock().unwrap())]
    fn panics() {
        let _kept = block(30);
        resume_unwind(Box::new(block(5)));
    } // fn
    let payload = catch_unwind(panics).unwrap_err();
    assert_eq!(TABLES.row("let _kept = block(30);"), ["30 B", "30 B", "1"]);
    // The payload is on its way.
    assert_eq!(TABLES.row("} // fn")[1..], ["-30 B", "1"]);
    drop(payload);
    let (_, usage) = measure(|| ()).unwrap();
    assert!(usage.is_empty());
}

#[test]
fn a_stream_that_panics_changes_nothing() {
    fn no_stream() -> io::Sink {
        resume_unwind(Box::new("of the stream"))
    }
    #[profile(stream = no_stream())]
    fn ends() -> usize {
        block(3).capacity()
    }
    #[profile(stream = no_stream())]
    fn panics() {
        resume_unwind(Box::new("of the function"));
    }
    assert_eq!(ends(), 3);
    let payload = catch_unwind(panics).unwrap_err();
    assert_eq!(payload.downcast_ref(), Some(&"of the function"));
    let (_, usage) = measure(|| ()).unwrap();
    assert!(usage.is_empty());
}

#[test]
fn a_stream_may_make_and_drop_regions() {
    thread_local! {
        static REGION: Cell<Option<Region>> = const { Cell::new(None) };
    }
    fn put(region: Option<Region>) -> io::Sink {
        drop(REGION.replace(region));
        io::sink()
    }
    #[profile(stream = put(Region::new().ok()))]
    fn makes() {}
    #[profile(stream = put(None))]
    fn drops() {}
    makes();
    let kept = block(5);
    let region = REGION.take().unwrap();
    assert_eq!(region.usage().allocated_bytes, 5);
    REGION.set(Some(region));
    drops();
    let (more, usage) = measure(|| block(7)).unwrap();
    assert_eq!(usage.allocated_bytes, 7);
    drop((kept, more));
}

#[test]
fn blocks_of_any_kind_have_lines() {
    static TABLES: Tables = Tables::new();
    #[profile(stream = TABLES.0.lock().unwrap())]
    fn any(number: Option<usize>) -> usize {
        let Some(number) = number else {
            drop(block(1));
            return 0;
        };
        let list = if number > 5 { block(20) } else { block(number) };
        let found = 'search: {
            if number == 4 {
                break 'search block(3); // found
            }
            block(2) // not found
        };
        let mut sum = 0;
        while sum < number {
            sum += 1;
        }
        let more = match number {
            0 | 1 => block(7),
            2 => {
                let list = block(8);
                drop(block(1000));
                list
            }
            _ => block(9),
        };
        let last = loop {
            if sum == 0 {
                break block(4);
            }
            sum -= 1; // each
        };
        list.capacity() + found.capacity() + more.capacity() + last.capacity()
    } // fn
    assert_eq!(any(Some(4)), 4 + 3 + 9 + 4);
    assert_eq!(TABLES.row("drop(block(1));"), ["", "", ""]);
    assert_eq!(TABLES.row("else { block(number) };"), ["4 B", "4 B", "1"]);
    assert_eq!(TABLES.row("// found"), ["7 B", "3 B", "1"]);
    assert_eq!(TABLES.row("while sum < number {"), ["7 B", "0 B", "5"]);
    assert_eq!(TABLES.row("sum += 1;"), ["7 B", "0 B", "4"]);
    assert_eq!(TABLES.row("let more = match number {")[2], "1");
    assert_eq!(TABLES.row("0 | 1 => block(7),"), ["", "", ""]);
    assert_eq!(TABLES.row("_ => block(9),"), ["16 B", "9 B", "1"]);
    assert_eq!(TABLES.row("if sum == 0 {")[2], "5");
    assert_eq!(TABLES.row("break block(4);"), ["20 B", "4 B", "1"]);
    assert_eq!(TABLES.row("// each"), ["16 B", "0 B", "4"]);
    assert_eq!(TABLES.row("} // fn"), ["0 B", "-20 B", "1"]);
    TABLES.0.lock().unwrap().clear();
    assert_eq!(any(Some(2)), 2 + 2 + 8 + 4);
    assert_eq!(TABLES.row("// not found"), ["4 B", "2 B", "1"]);
    assert_eq!(TABLES.row("let list = block(8);"), ["12 B", "8 B", "1"]);
    TABLES.0.lock().unwrap().clear();
    assert_eq!(any(None), 0);
    assert_eq!(TABLES.row("drop(block(1));"), ["0 B", "0 B", "1"]);
}

#[test]
fn a_function_that_calls_itself_has_one_table() {
    static TABLES: Tables = Tables::new();
    #[profile(stream = TABLES.0.lock().unwrap())]
    fn nested(depth: usize) -> Vec<u8> {
        let own = block(10);
        if depth > 0 {
            let inner = nested(depth - 1);
            drop(inner);
        }
        own
    }
    let kept = nested(3);
    assert_eq!(TABLES.text().matches("Filename: ").count(), 1);
    assert_eq!(TABLES.row("let own = block(10);"), ["40 B", "40 B", "4"]);
    assert_eq!(TABLES.row("nested(depth - 1);"), ["40 B", "0 B", "3"]);
    assert_eq!(TABLES.row("drop(inner);"), ["30 B", "-30 B", "3"]);
    assert_eq!(TABLES.row("fn nested(depth: usize) -> Vec<u8> {")[2], "4");
    assert_eq!((TABLES.sum(), kept.capacity()), (10, 10));
}

#[test]
fn tables_take_nothing_from_anybody() {
    static INNER: Tables = Tables::new();
    static OUTER: Tables = Tables::new();
    #[profile(stream = INNER.0.lock().unwrap())]
    fn inner(bytes: usize) -> Vec<u8> {
        block(bytes)
    }
    #[profile(stream = OUTER.0.lock().unwrap())]
    fn outer() -> Vec<u8> {
        drop(inner(50));
        inner(60) // last
    }
    let (kept, usage) = measure(outer).unwrap();
    assert_eq!((usage.allocations, usage.frees), (2, 1));
    assert_eq!((usage.live_bytes(), usage.peak_bytes), (60, 60));
    assert_eq!(OUTER.row("drop(inner(50));"), ["0 B", "0 B", "1"]);
    assert_eq!(OUTER.row("inner(60) // last"), ["60 B", "60 B", "1"]);
    assert_eq!(INNER.text().matches("Filename: ").count(), 2);
    drop(kept);
}

#[test]
fn each_thread_has_tables_of_its_own() {
    static TABLES: Tables = Tables::new();
    #[profile(stream = TABLES.0.lock().unwrap())]
    fn work(bytes: usize) {
        for _ in 0..50 {
            let _block = block(bytes);
            thread::yield_now();
        } // for
    }
    thread::scope(|scope| {
        for bytes in [1, 2, 3] {
            scope.spawn(move || work(bytes));
        }
    });
    let text = TABLES.text();
    let ends = text.lines().filter(|line| line.ends_with("} // for"));
    let mut freed: Vec<&str> = ends.map(|line| line[20..32].trim()).collect();
    freed.sort_unstable();
    assert_eq!(freed, ["-100 B", "-150 B", "-50 B"]);
}

static ARGUMENTS: Tables = Tables::new();

#[test]
fn arguments_are_freed_in_the_function() {
    #[profile(stream = ARGUMENTS.0.lock().unwrap())]
    fn takes(first: Vec<u8>, mut second: Vec<u8>, by: &mut u32) {
        second.reserve_exact(100);
        *by += first.capacity() as u32;
    } // takes
    let (mut sum, first, second) = (0, block(20), block(30));
    takes(first, second, &mut sum);
    assert_eq!(sum, 20);
    let reserved = ARGUMENTS.row("second.reserve_exact(100);");
    assert_eq!(reserved, ["70 B", "70 B", "1"]);
    assert_eq!(ARGUMENTS.row("} // takes"), ["-50 B", "-120 B", "1"]);
}

/// Functions of all sorts that need only be compiled, and give what they gave.
mod sorts {
    use super::*;

    pub(super) static TABLES: Tables = Tables::new();

    pub(super) struct Server<T> {
        pub(super) list: Vec<T>,
    }

    pub(super) trait Serve {
        fn serve(&mut self) -> usize;
    }

    impl<T: Clone + Debug> Server<T> {
        #[profile(stream = TABLES.0.lock().unwrap())]
        pub(super) fn shared<'a>(&'a self, other: &'a T) -> &'a T {
            let first = self.list.first();
            first.unwrap_or(other)
        }

        #[profile(stream = TABLES.0.lock().unwrap())]
        pub(super) fn consumed(self, (from, _to): (usize, usize)) -> impl Iterator<Item = T> {
            const SKIPPED: usize = 1;
            let skipped = [0; {
                let more = SKIPPED + 1;
                more * 2
            }]
                .len()
                - 4;
            self.list.into_iter().skip(skipped).skip(from)
        }
    }

    impl<T> Serve for Server<T> {
        #[inline]
        #[profile(stream = TABLES.0.lock().unwrap())]
        fn serve(&mut self) -> usize {
            fn helper(count: usize) -> usize {
                count + 1
            }
            #[cfg(any())]
            self.never();
            #[cfg(any())]
            let never = self;
            self.list.clear();
            helper(self.list.len())
        }
    }

    #[profile(stream = TABLES.0.lock().unwrap())]
    pub(super) unsafe fn pointed(at: *const u32) -> u32 {
        // SAFETY: the caller's promise.
        unsafe { *at }
    }

    #[profile(stream = TABLES.0.lock().unwrap())]
    pub(super) extern "C" fn foreign(number: u32) -> u32 {
        number + 1
    }

    #[profile(stream = TABLES.0.lock().unwrap())]
    pub(super) fn boxed(by: u32) -> Box<dyn Fn(&u32) -> u32> {
        drop(block(1));
        Box::new(move |number| {
            let mut sum = *number;
            sum += by;
            sum
        })
    }

    #[rustfmt::skip]
    #[profile(stream = TABLES.0.lock().unwrap())] pub(super) fn one_line(count: usize) -> usize { let mut sum = 0; for n in 0..count { sum += n; } sum }

    #[profile(stream = TABLES.0.lock().unwrap())]
    pub(super) fn never() -> ! {
        let _kept = block(1);
        resume_unwind(Box::new(()))
    }

    #[profile(stream = TABLES.0.lock().unwrap())]
    pub(super) fn empty() {}

    macro_rules! make {
        ($name:ident, $body:expr) => {
            #[profile(stream = TABLES.0.lock().unwrap())]
            pub(super) fn $name() -> usize {
                let made = $body;
                made + 1
            }
        };
    }
    make!(made, {
        let size = block(3);
        size.capacity()
    });
}

#[test]
fn functions_of_all_sorts_do_what_they_did() {
    use sorts::{Serve, Server};

    let mut server = Server { list: vec![1, 2] };
    assert_eq!(server.shared(&5), &1);
    assert_eq!(server.serve(), 1);
    server.list.extend([3, 4, 5]);
    assert_eq!(server.consumed((1, 9)).collect::<Vec<_>>(), [4, 5]);
    // SAFETY: a reference's address.
    assert_eq!(unsafe { sorts::pointed(&7) }, 7);
    assert_eq!(sorts::foreign(1), 2);
    assert_eq!(sorts::boxed(2)(&3), 5);
    assert_eq!(sorts::one_line(4), 6);
    let never = || {
        sorts::never();
    };
    assert!(catch_unwind(AssertUnwindSafe(never)).is_err());
    sorts::empty();
    assert_eq!(sorts::made(), 4);
    let text = sorts::TABLES.text();
    assert_eq!(text.matches("Filename: ").count(), 10, "{text}");
    assert!(text.contains("Function: profile::sorts::shared\n"));
    let one_line = text.lines().find(|line| line.contains("fn one_line"));
    assert_eq!(one_line.unwrap()[34..45].trim(), "5", "{text}");
    let hidden = sorts::TABLES.row("self.never();");
    assert_eq!(hidden, ["", "", ""]);
}

/// Functions that need only be compiled, where the attribute could be in somebody's way.
#[forbid(unreachable_code)]
mod strict {
    use super::*;

    #[expect(non_upper_case_globals, reason = "called as a variable")]
    static stream: usize = 1;
    #[expect(non_upper_case_globals, reason = "called as a variable")]
    const table: usize = 2;
    #[expect(non_camel_case_types, reason = "called as a variable")]
    struct _block;
    #[expect(non_camel_case_types, reason = "called as a variable")]
    struct _closing;

    #[profile(stream = io::sink())]
    pub(super) fn beside_items() -> usize {
        let mut sum = 0;
        for number in [stream, table] {
            let more = number + size_of::<_block>() + size_of::<_closing>();
            sum += more;
        }
        sum
    }

    #[profile(stream = io::sink())]
    pub(super) fn never() -> ! {
        let _kept = block(1);
        resume_unwind(Box::new(()))
    }

    #[profile(stream = io::sink())]
    pub(super) fn returns() -> usize {
        return block(1).capacity();
    }
}

#[test]
fn strict_functions_do_what_they_did() {
    assert_eq!(strict::beside_items(), 3);
    let never = || {
        strict::never();
    };
    assert!(catch_unwind(never).is_err());
    assert_eq!(strict::returns(), 1);
}

#[test]
fn a_source_that_is_not_there_leaves_lines_without_contents() {
    static TABLES: Tables = Tables::new();
    static SITE: Site = Site {
        file: "nowhere/at/all.rs",
        folder: Some("/also/nowhere"),
        function: "all",
        first: 7,
        entry: 7,
        last: 9,
        stream: Some(|table| {
            TABLES.0.lock().unwrap().extend_from_slice(table);
            Ok(())
        }),
    };
    let call = Call::enter(&SITE);
    call.line(8);
    let kept = block(5);
    // A line that is none of the function's.
    call.line(100);
    drop(call);
    let text = TABLES.text();
    let rows: Vec<&str> = text.lines().skip(6).collect();
    let expected = [
        "     7          0 B          0 B            1",
        "     8          5 B          5 B            1",
        "     9",
        "",
    ];
    assert_eq!(rows, expected);
    drop(kept);
}
