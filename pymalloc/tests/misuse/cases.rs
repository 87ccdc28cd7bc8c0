//! One abuse each: what a program must not do with an allocator, done.
//!
//! Every case is a function that gets the allocator and misuses it; that it comes back says
//! that nothing was noticed. It runs in a process of its own, which ends with it.

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::ptr;
use std::sync::Barrier;

/// The allocator that a case misuses.
pub(crate) type Subject = &'static (dyn GlobalAlloc + Sync);

/// What a case says if the allocator did the attacker's will.
pub(crate) const TAKEN_OVER: &str = "the target was handed out as a block";

/// A case by its name.
pub(crate) type Case = (&'static str, fn(Subject));

/// One of each tier; and sizes that fill no class, and whole pages.
const SMALL: usize = 40;
const ODD: usize = 13;
const MEDIUM: usize = 5_000;
const LARGE: usize = 200_000;
const PAGES: usize = 64 << 12;

/// What is written where it must not be. Even: no byte of a secure canary is, so that chance
/// has no part in a verdict.
const STRAY: u8 = 0x40;

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("a legal layout")
}

fn alloc(subject: Subject, size: usize) -> *mut u8 {
    alloc_as(subject, layout(size))
}

fn alloc_as(subject: Subject, layout: Layout) -> *mut u8 {
    // SAFETY: the layout is not empty.
    let block = unsafe { subject.alloc(layout) };
    assert!(!block.is_null(), "out of memory");
    for offset in (0..layout.size()).step_by(layout.size() / 16 + 1) {
        // SAFETY: within the block.
        unsafe { block.wrapping_add(offset).write_volatile(0x5a) };
    }
    black_box(block)
}

fn free(subject: Subject, block: *mut u8, size: usize) {
    free_as(subject, block, layout(size));
}

fn free_as(subject: Subject, block: *mut u8, layout: Layout) {
    // SAFETY: none: this is where the allocator is misused.
    unsafe { subject.dealloc(black_box(block), layout) }
}

fn realloc(subject: Subject, block: *mut u8, old: usize, new: usize) -> *mut u8 {
    // SAFETY: none, as above.
    unsafe { subject.realloc(black_box(block), layout(old), new) }
}

fn write(block: *mut u8, offset: isize, value: u8) {
    // SAFETY: none, as above.
    unsafe { black_box(block.wrapping_offset(offset)).write_volatile(value) }
}

fn read(block: *mut u8, offset: isize) {
    // SAFETY: none, as above.
    black_box(unsafe { black_box(block.wrapping_offset(offset)).read_volatile() });
}

/// Goes on as a program does: more blocks of the size than a pool has, and back, so that
/// whatever was freed before is used again.
fn go_on(subject: Subject, size: usize) {
    for _ in 0..8 {
        let blocks = many(subject, size);
        for block in blocks {
            free(subject, block, size);
        }
    }
}

fn many(subject: Subject, size: usize) -> Vec<*mut u8> {
    (0..1_100).map(|_| alloc(subject, size)).collect()
}

/// A block among others, as most are.
fn alloc_in_company(subject: Subject, size: usize) -> *mut u8 {
    let company = [(); 4].map(|()| alloc(subject, size));
    black_box(company);
    alloc(subject, size)
}

/// A block with neighbours on both sides that are in use, and the others.
fn crowded(subject: Subject, size: usize) -> (*mut u8, Vec<*mut u8>) {
    let first: Vec<_> = (0..8).map(|_| alloc(subject, size)).collect();
    let mut all = many(subject, size);
    all.extend(&first);
    all.sort_unstable();
    let span = |block: &*mut u8| {
        let at = all.binary_search(block).expect("it is one of all");
        let around = at
            .checked_sub(1)
            .and_then(|before| all.get(before))
            .zip(all.get(at + 3));
        around.map_or(usize::MAX, |(before, behind)| behind.addr() - before.addr())
    };
    // One that an allocator treats as special is among the first.
    let block = first
        .iter()
        .copied()
        .min_by_key(span)
        .expect("there are eight");
    all.retain(|other| *other != block);
    (block, all)
}

/// A pointer that crosses to another thread.
struct Sent(*mut u8);
// SAFETY: what these tests do with it is their point.
unsafe impl Send for Sent {}

impl Sent {
    fn get(self) -> *mut u8 {
        self.0
    }
}

fn in_thread(f: impl FnOnce() -> Sent + Send + 'static) -> *mut u8 {
    std::thread::spawn(f).join().expect("it comes back").0
}

fn double_free(subject: Subject, size: usize) {
    let block = alloc_in_company(subject, size);
    free(subject, block, size);
    free(subject, block, size);
    go_on_large_or_small(subject, size);
}

/// As `go_on`; of large blocks, a few.
fn go_on_large_or_small(subject: Subject, size: usize) {
    if size > 65_536 {
        for _ in 0..10 {
            let block = alloc(subject, size);
            free(subject, block, size);
        }
    } else {
        go_on(subject, size);
    }
}

fn overflow(subject: Subject, size: usize, by: usize, value: u8) {
    let block = alloc(subject, size);
    let other = alloc(subject, size);
    for offset in 0..by {
        write(block, (size + offset) as isize, value);
    }
    free(subject, block, size);
    free(subject, other, size);
}

fn underflow(subject: Subject, size: usize, by: usize) {
    let (block, others) = crowded(subject, size);
    for offset in 1..=by {
        write(block, -(offset as isize), STRAY);
    }
    free(subject, block, size);
    for other in others {
        free(subject, other, size);
    }
    go_on(subject, size);
}

fn write_after_free(subject: Subject, size: usize, offset: isize) {
    let block = alloc_in_company(subject, size);
    free(subject, block, size);
    write(block, offset, STRAY);
    go_on_large_or_small(subject, size);
}

fn read_after_free(subject: Subject, size: usize) {
    let block = alloc_in_company(subject, size);
    free(subject, block, size);
    read(block, 20);
}

fn wrong_layout(subject: Subject, size: usize, claimed: usize) {
    let block = alloc(subject, size);
    free(subject, block, claimed);
    go_on_large_or_small(subject, size);
}

fn free_inside(subject: Subject, size: usize, offset: isize) {
    let block = alloc(subject, size);
    // SAFETY: none, as above.
    free(subject, block.wrapping_offset(offset), size);
}

/// All cases.
pub(crate) const CASES: &[Case] = &[
    // A second free.
    ("double free, small", |s| double_free(s, SMALL)),
    ("double free, medium", |s| double_free(s, MEDIUM)),
    ("double free, large", |s| double_free(s, LARGE)),
    ("double free, another freed between", |s| {
        let (block, other) = (alloc(s, SMALL), alloc(s, SMALL));
        free(s, block, SMALL);
        free(s, other, SMALL);
        free(s, block, SMALL);
        go_on(s, SMALL);
    }),
    ("double free, ten allocated and freed between", |s| {
        let block = alloc(s, SMALL);
        free(s, block, SMALL);
        for _ in 0..10 {
            let other = alloc(s, SMALL);
            free(s, other, SMALL);
        }
        free(s, block, SMALL);
        go_on(s, SMALL);
    }),
    ("double free, thousands freed between", |s| {
        let block = alloc(s, SMALL);
        free(s, block, SMALL);
        go_on(s, SMALL);
        free(s, block, SMALL);
        go_on(s, SMALL);
    }),
    ("double free, aligned to 256", |s| {
        let layout = Layout::from_size_align(300, 256).expect("a legal layout");
        let block = alloc_as(s, layout);
        free_as(s, block, layout);
        free_as(s, block, layout);
        go_on(s, 512);
    }),
    ("double free, the second in another thread", |s| {
        let block = Sent(alloc(s, SMALL));
        let block = in_thread(move || {
            let block = block.get();
            free(s, block, SMALL);
            Sent(block)
        });
        free(s, block, SMALL);
        go_on(s, SMALL);
    }),
    ("double free, of a thread that has exited", |s| {
        let block = in_thread(move || {
            let block = alloc(s, SMALL);
            free(s, block, SMALL);
            Sent(block)
        });
        free(s, block, SMALL);
        go_on(s, SMALL);
    }),
    ("double free, by two threads at once", |s| {
        static BOTH: Barrier = Barrier::new(2);
        let block = alloc(s, SMALL);
        let threads = [Sent(block), Sent(block)].map(|block| {
            std::thread::spawn(move || {
                let block = block.get();
                BOTH.wait();
                free(s, block, SMALL);
                go_on(s, SMALL);
            })
        });
        for thread in threads {
            thread.join().expect("it comes back");
        }
    }),
    ("double free, the old block of a realloc", |s| {
        let block = alloc(s, SMALL);
        let moved = realloc(s, block, SMALL, MEDIUM);
        free(s, block, SMALL);
        free(s, moved, MEDIUM);
        go_on(s, SMALL);
    }),
    ("double free, the old block of a large realloc", |s| {
        let block = alloc(s, LARGE);
        let moved = realloc(s, block, LARGE, 40 * LARGE);
        assert_ne!(block, moved, "it stayed");
        free(s, block, LARGE);
        free(s, moved, 40 * LARGE);
    }),
    ("realloc after free, small", |s| {
        let block = alloc(s, SMALL);
        free(s, block, SMALL);
        realloc(s, block, SMALL, MEDIUM);
        go_on(s, SMALL);
    }),
    ("realloc after free, within the class", |s| {
        let block = alloc(s, 33);
        free(s, block, 33);
        realloc(s, block, 33, 35);
    }),
    ("realloc after free, large", |s| {
        let block = alloc(s, LARGE);
        free(s, block, LARGE);
        realloc(s, block, LARGE, 2 * LARGE);
    }),
    ("free of a block that is another's by now", |s| {
        let block = alloc(s, SMALL);
        free(s, block, SMALL);
        let others: Vec<_> = (0..8).map(|_| alloc(s, SMALL)).collect();
        free(s, block, SMALL);
        black_box(others);
        go_on(s, SMALL);
    }),
    // A free of what is no block.
    ("free 8 bytes inside, small", |s| free_inside(s, SMALL, 8)),
    ("free 16 bytes inside, small", |s| free_inside(s, 64, 16)),
    ("free 1 byte inside, small", |s| free_inside(s, SMALL, 1)),
    ("free 1 KiB inside, medium", |s| {
        free_inside(s, MEDIUM, 1024)
    }),
    ("free 4 KiB inside, large", |s| free_inside(s, LARGE, 4096)),
    ("free 16 bytes before, small", |s| {
        free_inside(s, SMALL, -16)
    }),
    ("free of a place no block was yet", |s| {
        free_inside(s, 64, 100 * 64);
        go_on(s, 64);
    }),
    ("free of a local variable", |s| {
        let mut local = [0_u64; 8];
        free(s, local.as_mut_ptr().cast(), SMALL);
        black_box(local);
    }),
    ("free of a static", |s| {
        static mut STATIC: [u64; 8] = [0; 8];
        free(s, (&raw mut STATIC).cast(), SMALL);
    }),
    ("free of a function", |s| {
        let function: fn(Subject, usize) = go_on;
        free(s, (function as *mut u8).map_addr(|addr| addr & !7), SMALL);
    }),
    ("free of an address with nothing there", |s| {
        free(s, ptr::without_provenance_mut(0x4141_4141_4140), SMALL);
    }),
    ("free of an address no process has", |s| {
        free(s, ptr::without_provenance_mut(0x4141_4141_4141_4140), SMALL);
    }),
    ("free of another allocator's block, small", |s| {
        let foreign = foreign(SMALL);
        free(s, foreign, SMALL);
    }),
    ("free of another allocator's block, large", |s| {
        let foreign = foreign(LARGE);
        free(s, foreign, LARGE);
    }),
    // A layout that is not the block's.
    ("free as smaller, small", |s| wrong_layout(s, SMALL, 8)),
    ("free as larger, small", |s| wrong_layout(s, SMALL, 400)),
    ("free as another size of the class", |s| {
        wrong_layout(s, 36, 34)
    }),
    ("free as another size of the class, medium", |s| {
        wrong_layout(s, 5000, 5016)
    }),
    ("free as medium, small", |s| wrong_layout(s, SMALL, MEDIUM)),
    ("free as large, small", |s| wrong_layout(s, SMALL, LARGE)),
    ("free as small, medium", |s| wrong_layout(s, MEDIUM, SMALL)),
    ("free as small, large", |s| wrong_layout(s, LARGE, SMALL)),
    ("free as larger, large", |s| {
        wrong_layout(s, LARGE, 2 * LARGE)
    }),
    ("free with another alignment", |s| {
        let block = alloc(s, SMALL);
        free_as(
            s,
            block,
            Layout::from_size_align(SMALL, 1).expect("a legal layout"),
        );
    }),
    ("realloc with another old size", |s| {
        let block = alloc(s, SMALL);
        let moved = realloc(s, block, 400, MEDIUM);
        free(s, moved, MEDIUM);
    }),
    // Writes and reads beyond the ends.
    ("write 1 byte behind, small", |s| {
        overflow(s, SMALL, 1, STRAY)
    }),
    ("write 1 byte behind, 13 bytes", |s| {
        overflow(s, ODD, 1, STRAY)
    }),
    ("write a NUL behind, 16 bytes", |s| overflow(s, 16, 1, 0)),
    ("write 16 bytes behind, small", |s| {
        overflow(s, SMALL, 16, STRAY)
    }),
    ("write 1 byte behind, medium", |s| {
        overflow(s, MEDIUM, 1, STRAY)
    }),
    ("write 16 bytes behind, medium of its class", |s| {
        overflow(s, 8192 - 8, 16, STRAY)
    }),
    ("write 1 byte behind, large", |s| {
        overflow(s, LARGE, 1, STRAY)
    }),
    ("write 1 byte behind, whole pages", |s| {
        overflow(s, PAGES, 1, STRAY)
    }),
    ("write 300 KiB behind, small", |s| {
        overflow(s, SMALL, 300 << 10, STRAY)
    }),
    ("write 1 byte 100 behind, small", |s| {
        let (block, others) = crowded(s, SMALL);
        write(block, (SMALL + 100) as isize, STRAY);
        free(s, block, SMALL);
        others.into_iter().for_each(|other| free(s, other, SMALL));
        go_on(s, SMALL);
    }),
    ("write 1 byte before, small", |s| underflow(s, SMALL, 1)),
    ("write 8 bytes before, small", |s| underflow(s, SMALL, 8)),
    ("write 16 bytes before, medium", |s| {
        underflow(s, MEDIUM, 16)
    }),
    ("write 1 byte before, large", |s| {
        let block = alloc(s, LARGE);
        write(block, -1, STRAY);
        free(s, block, LARGE);
    }),
    ("read 1 byte behind, small", |s| {
        read(alloc(s, SMALL), SMALL as isize)
    }),
    ("read 1 byte behind, whole pages", |s| {
        read(alloc(s, PAGES), PAGES as isize)
    }),
    ("read 1 byte before, large", |s| read(alloc(s, LARGE), -1)),
    // Uses of what is freed.
    ("write after free, small, first byte", |s| {
        write_after_free(s, SMALL, 0)
    }),
    ("write after free, small, byte 20", |s| {
        write_after_free(s, SMALL, 20)
    }),
    ("write after free, medium", |s| {
        write_after_free(s, MEDIUM, 3000)
    }),
    ("write after free, large", |s| {
        write_after_free(s, LARGE, 3000)
    }),
    ("write after free, at the end of the program", |s| {
        let block = alloc_in_company(s, SMALL);
        free(s, block, SMALL);
        write(block, 20, STRAY);
    }),
    ("write after free, in another thread", |s| {
        let block = Sent(alloc_in_company(s, SMALL));
        let block = in_thread(move || {
            let block = block.get();
            free(s, block, SMALL);
            go_on(s, MEDIUM);
            Sent(block)
        });
        write(block, 20, STRAY);
        go_on(s, SMALL);
    }),
    ("write behind the new end after a realloc to less", |s| {
        let block = alloc(s, 64);
        let block = realloc(s, block, 64, 60);
        write(block, 62, STRAY);
        free(s, block, 60);
        go_on(s, 60);
    }),
    ("write to the old block of a realloc", |s| {
        let block = alloc_in_company(s, SMALL);
        let moved = realloc(s, block, SMALL, MEDIUM);
        write(block, 20, STRAY);
        free(s, moved, MEDIUM);
        go_on(s, SMALL);
    }),
    ("read after free, small", |s| read_after_free(s, SMALL)),
    ("read after free, medium", |s| read_after_free(s, MEDIUM)),
    ("read after free, large", |s| read_after_free(s, LARGE)),
    // What attackers do.
    ("a freed block's link bent to a target", |s| {
        static mut TARGET: [u64; 8] = [0; 8];
        let block = alloc_in_company(s, SMALL);
        free(s, block, SMALL);
        let link: *mut usize = block.cast();
        let target = &raw mut TARGET;
        // SAFETY: none, as above.
        unsafe { link.write_volatile(target.addr()) };
        let blocks = [(); 64].map(|()| alloc_quietly(s, SMALL));
        if blocks.contains(&target.cast()) {
            // Whoever writes to that block writes where the attacker wants.
            eprintln!("{TAKEN_OVER}");
            std::process::exit(0);
        }
        go_on(s, SMALL);
    }),
    ("the links of free neighbours written over", |s| {
        let blocks = [(); 64].map(|()| alloc(s, SMALL));
        for block in &blocks[1..] {
            free(s, *block, SMALL);
        }
        for block in &blocks[1..] {
            for offset in 0..SMALL {
                write(*block, offset as isize, STRAY);
            }
        }
        go_on(s, SMALL);
    }),
];

/// Without a write to the block, which may be anywhere.
fn alloc_quietly(subject: Subject, size: usize) -> *mut u8 {
    // SAFETY: the layout is not empty.
    black_box(unsafe { subject.alloc(layout(size)) })
}

/// A block of another allocator's: in memory that it mapped for itself.
fn foreign(size: usize) -> *mut u8 {
    // SAFETY: a new mapping touches nothing that exists.
    let mapped = unsafe {
        libc::mmap(
            ptr::null_mut(),
            size + 8192,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    assert_ne!(mapped, libc::MAP_FAILED);
    mapped.cast::<u8>().wrapping_add(64)
}
