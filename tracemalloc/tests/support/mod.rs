//! A recorder for tests, as simple as can be: every block, in a map behind a lock, with the
//! `backtrace` crate. What it hands over is what any recorder does.

#![allow(dead_code, reason = "each test uses a part")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::HashMap;
use std::fs;
use std::sync::Mutex;
use std::time::{Instant, SystemTime};

use object::Object;
use tracemalloc::RawSnapshot;
use tracemalloc::snapshot::{Module, RawTrace, ThreadName, TimelinePoint, Weight};

/// Records what is allocated between [`record`]'s begin and end.
pub(crate) struct Recorder;

static BLOCKS: Mutex<Option<State>> = Mutex::new(None);

struct State {
    start: Instant,
    live: HashMap<usize, (usize, Vec<usize>, u64, u64)>,
    current: u64,
    peak: u64,
    timeline: Vec<TimelinePoint>,
    threads: Vec<ThreadName>,
}

thread_local! {
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

fn with_state(f: impl FnOnce(&mut State)) {
    if BUSY.replace(true) {
        return;
    }
    if let Some(state) = BLOCKS.lock().unwrap().as_mut() {
        f(state);
    }
    BUSY.set(false);
}

fn thread_number() -> u64 {
    let text = format!("{:?}", std::thread::current().id());
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

// SAFETY: all is `System`'s; what is recorded beside it changes nothing of it.
unsafe impl GlobalAlloc for Recorder {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let block = unsafe { System.alloc(layout) };
        note(block.addr(), layout.size());
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        with_state(|state| {
            if let Some((size, ..)) = state.live.remove(&block.addr()) {
                state.current -= size as u64;
            }
        });
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) };
    }
}

#[inline(never)]
fn note(address: usize, size: usize) {
    with_state(|state| {
        let stack = stack_below(note as fn(usize, usize) as *const ());
        let when = state.start.elapsed().as_nanos() as u64;
        let thread = thread_number();
        if !state.threads.iter().any(|t| t.thread == thread)
            && let Some(name) = std::thread::current().name()
        {
            let name = name.to_owned();
            state.threads.push(ThreadName { thread, name });
        }
        state.current += size as u64;
        state.peak = state.peak.max(state.current);
        state.live.insert(address, (size, stack, thread, when));
        let last = state.timeline.last().map_or(0, |p| p.when_ns);
        if when - last > 1_000_000 {
            state.timeline.push(TimelinePoint {
                when_ns: when,
                traced_bytes: state.current,
                heap_bytes: state.current * 9 / 8,
                rss_bytes: rss(),
            });
        }
    });
}

fn rss() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// The return addresses of the calls that led to `function`, most recent first.
fn stack_below(function: *const ()) -> Vec<usize> {
    let mut stack = Vec::new();
    let mut below = false;
    backtrace::trace(|frame| {
        if below {
            stack.push(frame.ip().addr());
        }
        below |= frame.symbol_address().addr() == function.addr();
        stack.len() < 64
    });
    stack
}

/// Runs `work`, and hands over the blocks left by it, and by what else runs at the time.
pub(crate) fn record<T>(work: impl FnOnce() -> T) -> (T, RawSnapshot) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|poison| poison.into_inner());
    *BLOCKS.lock().unwrap() = Some(State {
        start: Instant::now(),
        live: HashMap::new(),
        current: 0,
        peak: 0,
        timeline: Vec::new(),
        threads: Vec::new(),
    });
    let result = work();
    BUSY.set(true);
    let state = BLOCKS.lock().unwrap().take().unwrap();
    BUSY.set(false);
    let mut raw = RawSnapshot {
        modules: modules(),
        threads: state.threads,
        traceback_limit: 64,
        time: SystemTime::now(),
        elapsed_ns: state.start.elapsed().as_nanos() as u64,
        current_bytes: state.current,
        peak_bytes: state.peak,
        pid: std::process::id(),
        timeline: state.timeline,
        ..RawSnapshot::default()
    };
    let mut numbers = HashMap::new();
    for (address, (size, stack, thread, when_ns)) in state.live {
        let next = numbers.len() as u32;
        let number = *numbers.entry(stack.clone()).or_insert(next);
        if number == next {
            raw.stacks.push(stack.into());
        }
        raw.traces.push(RawTrace {
            domain: 0,
            address,
            size,
            weight: Weight::exact(size),
            stack: number,
            thread,
            when_ns,
        });
    }
    (result, raw)
}

/// What is mapped from files here, the executable first.
pub(crate) fn modules() -> Vec<Module> {
    let mut modules: Vec<Module> = Vec::new();
    for line in fs::read_to_string("/proc/self/maps").unwrap().lines() {
        let Some((_, path)) = line.split_once(" /") else {
            continue;
        };
        let path = format!("/{path}");
        let (range, rest) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let (start, end) = (hex(start), hex(end));
        let offset = hex(rest.split(' ').nth(1).unwrap());
        match modules.last_mut().filter(|module| module.path == path) {
            Some(module) => module.range.end = end,
            None if offset == 0 => modules.push(Module {
                build_id: build_id(&path),
                path,
                base: start,
                range: start..end,
            }),
            None => {}
        }
    }
    modules
}

/// The build-id that a file names.
pub(crate) fn build_id(path: &str) -> Vec<u8> {
    let bytes = fs::read(path).unwrap_or_default();
    let Ok(file) = object::File::parse(&*bytes) else {
        return Vec::new();
    };
    file.build_id().unwrap().unwrap_or_default().to_vec()
}

fn hex(digits: &str) -> usize {
    usize::from_str_radix(digits, 16).unwrap()
}
