//! Objects of every alignment and size keep apart, are listed, and end once.

use std::cell::{Cell, RefCell};

use cyclegc::{AnyGc, Gc, Trace};

thread_local! {
    static DROPS: Cell<usize> = const { Cell::new(0) };
}

/// Counts that it ends.
#[derive(Trace)]
#[trace(leaf)]
struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        DROPS.set(DROPS.get() + 1);
    }
}

/// Leaves no zero on the stack: padding of what is built there later.
#[inline(never)]
fn dirty_the_stack() {
    std::hint::black_box([0xAA_u8; 64 * 1024]);
}

macro_rules! aligned {
    ($($name:ident = $align:literal),*) => {$({
        #[derive(Trace)]
        #[repr(align($align))]
        struct $name {
            next: RefCell<Option<Gc<$name>>>,
            value: u64,
            ends: Counted,
        }

        #[repr(align($align))]
        #[derive(Trace)]
        #[trace(leaf)]
        struct Plain(u64);

        #[repr(align($align))]
        #[derive(Trace)]
        struct Item(Option<Gc<Plain>>);

        let before = (cyclegc::tracked_count(), DROPS.get());
        let mut held: Vec<Gc<$name>> = Vec::new();
        let mut plain = Vec::new();
        let mut slices: Vec<Gc<[Item]>> = Vec::new();
        for round in 0..30_u64 {
            dirty_the_stack();
            let new = Gc::new($name { next: RefCell::default(), value: round, ends: Counted });
            let _: &Counted = &new.ends;
            new.next.replace(held.last().cloned());
            held.push(new);
            dirty_the_stack();
            plain.push(Gc::new(Plain(round)));
            let items = (0..round % 4).map(|_| Item(plain.last().cloned()));
            slices.push(items.collect());
            if round % 3 == 0 {
                let last = held.swap_remove(round as usize % held.len());
                // Some are a circle of their own.
                last.next.replace(Some(last.clone()));
                plain.swap_remove(round as usize % plain.len());
                slices.swap_remove(round as usize % slices.len());
            }
            let here = |gc: &AnyGc| gc.type_name().contains(stringify!($name));
            let listed = cyclegc::objects(None).into_iter().filter(here).count();
            assert!(listed >= held.len());
            for gc in &held {
                assert_eq!(Gc::as_ptr(gc).addr() % $align, 0);
                assert!(gc.value < 30);
            }
            for gc in &plain {
                assert_eq!(Gc::as_ptr(gc).addr() % $align, 0);
                assert!(gc.0 < 30);
            }
            for gc in &slices {
                assert_eq!(Gc::as_ptr(gc).cast::<u8>().addr() % $align, 0);
                assert!(gc.iter().all(|item| item.0.as_ref().is_some_and(|plain| plain.0 < 30)));
            }
        }
        drop((held, plain, slices));
        cyclegc::collect();
        assert_eq!((cyclegc::tracked_count(), DROPS.get() - before.1), (before.0, 30));
    })*};
}

/// On a thread with a large stack: values are built there.
fn on_a_large_stack(test: fn()) {
    let thread = std::thread::Builder::new().stack_size(256 << 20);
    thread.spawn(test).unwrap().join().unwrap();
}

#[test]
fn objects_of_alignments_that_pools_serve_and_of_others() {
    on_a_large_stack(|| {
        aligned!(
            A8 = 8,
            A16 = 16,
            A32 = 32,
            A64 = 64,
            A128 = 128,
            A256 = 256,
            A4096 = 4096,
            A8192 = 8192,
            A16384 = 16384,
            A65536 = 65536,
            A1048576 = 1048576
        );
    });
}

#[test]
fn objects_of_every_size() {
    let mut held = Vec::new();
    for length in (0..6000).step_by(7).chain([70_000, 1 << 20]) {
        let byte = (length % 251) as u8;
        let text: Gc<[u8]> = Gc::from(vec![byte; length]);
        let links: Gc<[Option<Gc<[u8]>>]> = Gc::from(vec![Some(text.clone()); length / 64]);
        held.push((byte, text, links));
        if length % 3 == 0 {
            held.swap_remove(length % held.len());
        }
    }
    let listed = cyclegc::objects(None).len();
    assert_eq!(listed, held.len());
    for (byte, text, links) in &held {
        assert!(text.iter().all(|b| b == byte));
        assert!(links.iter().flatten().all(|link| Gc::ptr_eq(link, text)));
    }
    drop(held);
    assert_eq!(cyclegc::tracked_count(), 0);
}
