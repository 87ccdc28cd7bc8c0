//! What it costs to look at a heap of a million objects.
//!
//! `million_objects [COUNT [FOLDER]]` makes a graph of that many, takes a snapshot, asks
//! it what can be asked, and writes the files that other tools open, to FOLDER if one is
//! named. Prints the CPU time of each step and the memory that it added.

use std::cell::RefCell;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use cyclegc::objgraph::{self, Explorer};
use cyclegc::{Gc, Trace};
use pymalloc::PyMalloc;

#[global_allocator]
static GLOBAL: PyMalloc = PyMalloc;

/// An account with its orders, which know it, and friends anywhere.
#[derive(Trace)]
struct Account {
    name: String,
    orders: RefCell<Vec<Gc<Order>>>,
    friend: RefCell<Option<Gc<Account>>>,
}

#[derive(Trace)]
struct Order {
    account: RefCell<Option<Gc<Account>>>,
    item: Gc<str>,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let count = arguments
        .next()
        .map_or(Ok(1_000_000), |count| count.parse());
    let Ok(count) = count else {
        eprintln!("usage: million_objects [COUNT [FOLDER]]");
        return ExitCode::FAILURE;
    };
    match run(count, arguments.next().map(PathBuf::from)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("million_objects: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(count: usize, folder: Option<PathBuf>) -> io::Result<()> {
    let accounts = step("make the objects", || accounts(count));
    let graph = step("take a snapshot", objgraph::snapshot);
    println!(
        "    {} objects, {} links; the graph takes {} MB",
        graph.len(),
        graph.link_count(),
        graph.memory_bytes() / 1_000_000
    );
    step("typestats of the graph", || graph.typestats());
    step("growth, without a graph", || objgraph::growth(10));
    let last = accounts.borrow().last().cloned();
    step("why is the last account alive", || {
        last.as_ref()
            .and_then(|last| graph.find(last))
            .map(|node| graph.why_alive(node))
    });
    step("find the cycles", || graph.cycles());
    step("dominators and retained sizes", || graph.dominators());
    let output = |name: &str| -> io::Result<Box<dyn Write>> {
        Ok(match &folder {
            Some(folder) => Box::new(std::fs::File::create(folder.join(name))?),
            None => Box::new(io::sink()),
        })
    };
    let mut out = Counting(io::BufWriter::new(output("million.heapsnapshot")?), 0);
    step("write a .heapsnapshot", || {
        graph.write_heap_snapshot(&mut out)
    })?;
    println!("    {} MB", out.1 / 1_000_000);
    let mut out = Counting(io::BufWriter::new(output("million.html")?), 0);
    step("write the explorer", || {
        Explorer::new(&graph).write(&mut out)
    })?;
    println!("    {} KB", out.1 / 1000);
    Ok(())
}

/// Does something, and prints how long it took and how much memory it added at most.
fn step<R>(what: &str, action: impl FnOnce() -> R) -> R {
    // The peak is that of this step.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let before = memory_kib("VmRSS:");
    let started = cpu_time();
    let result = action();
    let duration = cpu_time().saturating_sub(started);
    let added = memory_kib("VmHWM:")
        .zip(before)
        .map(|(peak, before)| peak.saturating_sub(before));
    let added = added.map_or_else(
        || "?".to_owned(),
        |kib| (kib * 1024 / 1_000_000).to_string(),
    );
    println!(
        "{what:<32} {:>7.0} ms  +{added} MB",
        duration.as_secs_f64() * 1e3
    );
    result
}

/// The CPU time of this process, which others do not disturb as they do a clock.
fn cpu_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is valid for a write.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn memory_kib(what: &str) -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(what))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn accounts(count: usize) -> Gc<RefCell<Vec<Gc<Account>>>> {
    let items: Vec<Gc<str>> = ["bread", "butter", "jam", "tea"].map(Gc::from).into();
    let accounts: Gc<RefCell<Vec<Gc<Account>>>> = Gc::new(RefCell::default());
    let mut made = items.len() + 1;
    let mut seed = 1_usize;
    while made < count {
        let account = Gc::new(Account {
            name: format!("account {made}"),
            orders: RefCell::default(),
            friend: RefCell::default(),
        });
        for order in 0..3 {
            account.orders.borrow_mut().push(Gc::new(Order {
                account: RefCell::new(Some(account.clone())),
                item: items[(made + order) % items.len()].clone(),
            }));
        }
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let others = accounts.borrow().len().max(1);
        let friend = accounts.borrow().get((seed >> 33) % others).cloned();
        account.friend.replace(friend);
        accounts.borrow_mut().push(account);
        made += 4;
    }
    // So that nobody thinks the names are not used.
    assert!(
        accounts
            .borrow()
            .iter()
            .all(|account| !account.name.is_empty())
    );
    accounts
}

/// Counts what is written.
struct Counting<W>(W, usize);

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.0.write(bytes)?;
        self.1 += written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
