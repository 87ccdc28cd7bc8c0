//! The same random programs on CPython 3.11's own collector: every `collect()`
//! of every generation must return the same number.
//!
//! A node is an instance of a `list` subclass there and a `Gc` here, so that
//! each is one tracked object. Needs `python3.11`; without it the test says so.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::rc::Rc;

use cyclegc::{Finalize, Gc, Generation, Trace, Weak};

/// Runs the operations that it reads, prints what `gc.collect` returns, and
/// how many nodes live.
const PYTHON: &str = r"
import gc, sys, weakref
gc.disable()
saved, called = [], [0]

class Node(list):
    __slots__ = ('act', '__weakref__')
    live = 0
    def __init__(self, act):
        self.act = act
        Node.live += 1
    def __del__(self):
        if self.act == 1:
            self.act = 0
            if self:
                saved.append(self[0])
        # Runs once an object, but a resurrected one is still alive.

def called_back(_):
    called[0] += 1

stack, weaks = [], []
lines = sys.stdin.read().split('\n')
out = []
gc.collect()
gc.freeze()
for line in lines:
    op = line.split()
    if not op:
        continue
    a = [int(x) for x in op[1:]]
    if op[0] == 'new':
        stack.append(Node(a[0]))
    elif op[0] == 'link':
        stack[a[0]].append(stack[a[1]])
    elif op[0] == 'unlink':
        del stack[a[0]][a[1]]
    elif op[0] == 'drop':
        stack[a[0]] = stack[-1]
        stack.pop()
    elif op[0] == 'follow':
        stack.append(stack[a[0]][a[1]])
    elif op[0] == 'watch':
        weaks.append(weakref.ref(stack[a[0]], called_back))
    elif op[0] == 'weak':
        weaks.append(weakref.ref(stack[a[0]]))
    elif op[0] == 'forget':
        saved.clear()
    elif op[0] == 'collect':
        n = gc.collect(a[0])
        dead = sum(w() is None for w in weaks)
        out.append(f'{n} {dead} {called[0]} {len(saved)}')
print('\n'.join(out))
";

#[derive(Trace)]
struct Node {
    links: RefCell<Vec<Gc<Node>>>,
    resurrects: bool,
    #[trace(skip)]
    saved: Rc<RefCell<Vec<Gc<Node>>>>,
}

impl Finalize for Node {
    fn finalize(&self) {
        if self.resurrects
            && let Some(first) = self.links.borrow().first()
        {
            self.saved.borrow_mut().push(first.clone());
        }
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap_or(0) % limit
    }
}

/// Runs a random program here; returns its text and what it printed.
fn run(seed: u64, steps: usize) -> (String, String) {
    let mut random = Random(seed);
    let mut program = String::new();
    let mut printed = String::new();
    let mut stack: Vec<Gc<Node>> = Vec::new();
    let mut weaks: Vec<Weak<Node>> = Vec::new();
    let saved: Rc<RefCell<Vec<Gc<Node>>>> = Rc::default();
    let called = Rc::new(std::cell::Cell::new(0));
    cyclegc::disable();
    cyclegc::collect();
    for _ in 0..steps {
        let choice = random.below(100);
        let n = stack.len();
        let mut note = |line: std::fmt::Arguments<'_>| writeln!(program, "{line}").expect("text");
        match choice {
            _ if n == 0 || choice < 20 => {
                let resurrects = random.below(6) == 0;
                note(format_args!("new {}", u8::from(resurrects)));
                stack.push(Gc::new(Node {
                    links: RefCell::default(),
                    resurrects,
                    saved: saved.clone(),
                }));
            }
            20..55 => {
                let (a, b) = (random.below(n), random.below(n));
                note(format_args!("link {a} {b}"));
                stack[a].links.borrow_mut().push(stack[b].clone());
            }
            55..60 => {
                let a = random.below(n);
                let count = stack[a].links.borrow().len();
                if count > 0 {
                    let k = random.below(count);
                    note(format_args!("unlink {a} {k}"));
                    let removed = stack[a].links.borrow_mut().remove(k);
                    drop(removed);
                }
            }
            60..82 => {
                let a = random.below(n);
                note(format_args!("drop {a}"));
                drop(stack.swap_remove(a));
            }
            82..86 => {
                let a = random.below(n);
                let count = stack[a].links.borrow().len();
                if count > 0 {
                    let k = random.below(count);
                    note(format_args!("follow {a} {k}"));
                    let found = stack[a].links.borrow()[k].clone();
                    stack.push(found);
                }
            }
            86..88 => {
                let a = random.below(n);
                note(format_args!("watch {a}"));
                let calls = called.clone();
                weaks.push(Weak::with_callback(&stack[a], move || {
                    calls.set(calls.get() + 1);
                }));
            }
            88..90 => {
                let a = random.below(n);
                note(format_args!("weak {a}"));
                weaks.push(Gc::downgrade(&stack[a]));
            }
            90 => {
                note(format_args!("forget"));
                let forgotten = saved.take();
                drop(forgotten);
            }
            _ => {
                let generation = random.below(3);
                note(format_args!("collect {generation}"));
                let stats = cyclegc::collect_generation(Generation::ALL[generation]);
                let dead = weaks.iter().filter(|weak| !weak.is_alive()).count();
                let saved = saved.borrow().len();
                let line = format!("{} {dead} {} {saved}\n", stats.collected, called.get());
                printed.push_str(&line);
            }
        }
    }
    drop((stack, weaks));
    for _ in 0..5 {
        drop(saved.take());
        cyclegc::collect();
    }
    assert_eq!(cyclegc::tracked_count(), 0);
    (program, printed)
}

/// What CPython prints for a program; `None` if there is no CPython 3.11.
fn python(program: &str) -> Option<String> {
    let mut child = Command::new("python3.11")
        .args(["-c", PYTHON])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let mut input = child.stdin.take()?;
    input.write_all(program.as_bytes()).ok()?;
    drop(input);
    let output = child.wait_with_output().ok()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("command not found") || errors.contains("not installed") {
        return None;
    }
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).ok()
}

#[test]
fn every_collection_returns_what_cpython_returns() {
    for seed in 1..=20 {
        let (program, printed) = run(seed, 1500);
        assert!(printed.lines().count() > 50);
        let Some(expected) = python(&program) else {
            println!("python3.11 is not installed: nothing was compared");
            return;
        };
        let differs = printed
            .lines()
            .zip(expected.lines())
            .position(|(a, b)| a != b);
        assert_eq!(
            differs, None,
            "seed {seed}\nhere\n{printed}\nCPython\n{expected}"
        );
        assert_eq!(printed.lines().count(), expected.lines().count());
    }
}
