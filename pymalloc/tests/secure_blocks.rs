//! The secure mode where it takes many blocks, or no luck, to see what it does.

mod support;

use std::alloc::{GlobalAlloc, Layout};
use std::os::unix::process::ExitStatusExt;

use pymalloc::PyMallocSecure;
use support::{Child, in_child};

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("a legal layout")
}

fn alloc(size: usize) -> *mut u8 {
    // SAFETY: the layout is not empty.
    let block = unsafe { PyMallocSecure.alloc(layout(size)) };
    assert!(!block.is_null());
    block
}

fn free(block: *mut u8, size: usize) {
    // SAFETY: each block is freed once, but where that is the misuse.
    unsafe { PyMallocSecure.dealloc(block, layout(size)) };
}

/// Whether the page that an address lies in has memory.
fn is_resident(address: *mut u8) -> bool {
    let page = address.map_addr(|address| address & !4095);
    let mut answer = 0;
    // SAFETY: a page of the allocator's; the answer is a byte.
    let status = unsafe { libc::mincore(page.cast(), 4096, &raw mut answer) };
    assert_eq!(status, 0);
    answer & 1 != 0
}

#[test]
fn a_write_after_free_is_found_where_the_memory_was_given_back_between() {
    const TEST: &str = "a_write_after_free_is_found_where_the_memory_was_given_back_between";
    const SIZE: usize = 5_000;
    if in_child(TEST).is_none() {
        let output = Child::of(TEST, "child").output();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("pymalloc: write after free"), "{said}");
        assert_eq!(output.status.signal(), Some(libc::SIGABRT));
        return;
    }
    let addresses = std::thread::spawn(|| {
        let blocks: Vec<_> = (0..200).map(|_| alloc(SIZE)).collect();
        let addresses: Vec<_> = blocks
            .iter()
            .map(|block| block.expose_provenance())
            .collect();
        for block in blocks {
            // SAFETY: within the block.
            unsafe { block.write_bytes(1, SIZE) };
            free(block, SIZE);
        }
        addresses
    });
    // When the thread has exited, all its blocks are in their pools.
    let blocks = addresses.join().expect("a thread comes to its end");
    let middles = blocks.iter().map(|block| block + SIZE / 2);
    let gone: Vec<*mut u8> = middles
        .map(std::ptr::with_exposed_provenance_mut)
        .filter(|middle| !is_resident(*middle))
        .collect();
    assert!(gone.len() > 50, "{} given back", gone.len());
    for middle in gone {
        // SAFETY: none: this is the misuse.
        unsafe { middle.write_volatile(0x40) };
    }
    for _ in 0..200 {
        alloc(SIZE);
    }
}
