//! `golden PATH COUNT` takes a hit path COUNT times.
//!
//! Each path is one function that is not inlined, named `hit_...`, with the operation
//! inlined into it: what callgrind counts inside it is the operation, a `ret`, and what
//! moves its argument. `benches/tests/instruction_counts.rs` says how many that may be.

use std::env;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::process::ExitCode;

#[global_allocator]
static GLOBAL: pymalloc::PyMalloc = pymalloc::PyMalloc;

type Forty = [u64; 5];

/// Not filled: five stores would be counted too.
type Block = Box<MaybeUninit<Forty>>;

#[inline(never)]
fn hit_alloc() -> Block {
    Box::new_uninit()
}

#[inline(never)]
fn hit_dealloc(block: Block) {
    drop(block);
}

fn pairs(count: u64) {
    // With the feature `trace`, a block at a multiple of 16 KiB, such as a pool's first, is not
    // freed by the hit path: it is kept.
    let first = hit_alloc();
    // Called through pointers, so that the compiler knows nothing about them here.
    let (alloc, dealloc): (fn() -> Block, fn(Block)) = black_box((hit_alloc, hit_dealloc));
    for n in 0..count {
        let mut block = black_box(alloc());
        block.write([n; 5]);
        dealloc(black_box(block));
    }
    drop(black_box(first));
}

#[cfg(feature = "gc")]
mod gc {
    use super::black_box;
    use cyclegc::{Gc, Trace};
    use std::cell::RefCell;

    #[derive(Trace)]
    pub struct Node {
        v: u64,
        next: RefCell<Vec<Gc<Node>>>,
    }

    #[inline(never)]
    fn hit_gc_new(v: u64) -> Gc<Node> {
        Gc::new(Node {
            v,
            next: RefCell::default(),
        })
    }

    // Not the same code as `hit_gc_drop`: a linker may make one of two that are.
    #[inline(never)]
    fn hit_gc_end(handle: Gc<Node>) -> u64 {
        handle.v
    }

    #[inline(never)]
    fn hit_gc_clone(handle: &Gc<Node>) -> Gc<Node> {
        handle.clone()
    }

    #[inline(never)]
    fn hit_gc_deref(handle: &Gc<Node>) -> u64 {
        handle.v
    }

    #[inline(never)]
    fn hit_gc_drop(handle: Gc<Node>) {
        drop(handle);
    }

    pub fn handles(count: u64) {
        let next = RefCell::default();
        let handle = Gc::new(Node { v: 1, next });
        let mut sum = 0;
        // Called through pointers, as above.
        let clone: fn(&Gc<Node>) -> Gc<Node> = black_box(hit_gc_clone);
        let deref: fn(&Gc<Node>) -> u64 = black_box(hit_gc_deref);
        let drop: fn(Gc<Node>) = black_box(hit_gc_drop);
        let new: fn(u64) -> Gc<Node> = black_box(hit_gc_new);
        let end: fn(Gc<Node>) -> u64 = black_box(hit_gc_end);
        for _ in 0..count {
            let other = black_box(clone(black_box(&handle)));
            sum += deref(&other);
            drop(other);
            black_box(end(black_box(new(sum))));
        }
        assert_eq!(sum, count);
        assert!(handle.next.borrow().is_empty());
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [path, count] = arguments.as_slice() else {
        eprintln!("Usage: golden pymalloc|cyclegc COUNT");
        return ExitCode::from(2);
    };
    let count = count.parse().unwrap_or(1);
    match path.as_str() {
        "pymalloc" => pairs(count),
        #[cfg(feature = "gc")]
        "cyclegc" => gc::handles(count),
        other => {
            eprintln!("golden: no path '{other}'");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
