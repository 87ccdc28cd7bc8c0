//! The secure mode where it takes many blocks, or no luck, to see what it does.

mod support;

use std::alloc::{GlobalAlloc, Layout};
use std::os::unix::process::ExitStatusExt;

use pymalloc::PyMallocSecure;
use support::{Child, in_child, page_size};

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
    let page = address.map_addr(|address| address & !(page_size() - 1));
    let mut answer = 0;
    // SAFETY: a page of the allocator's; the answer is a byte.
    let status = unsafe { libc::mincore(page.cast(), page_size(), &raw mut answer) };
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

/// As crash reporters do, with the allocator at fault.
extern "C" fn allocate(_: i32) {
    const SAID: &[u8] = b"the handler has allocated\n";
    for _ in 0..4 {
        alloc(OF_THEIR_OWN_POOL);
    }
    // SAFETY: the bytes are there.
    unsafe { libc::write(2, SAID.as_ptr().cast(), SAID.len()) };
}

/// Thirteen are a pool of 256 KiB.
const OF_THEIR_OWN_POOL: usize = 20_000;

/// A freed block is written to, then the others of its pool are freed, whose memory goes back.
#[test]
fn a_write_after_free_is_found_before_the_memory_goes_back() {
    const TEST: &str = "a_write_after_free_is_found_before_the_memory_goes_back";
    const SIZE: usize = OF_THEIR_OWN_POOL;
    let Some(case) = in_child(TEST) else {
        for case in ["a thread", "a guest"] {
            let output = Child::of(TEST, case).output();
            let said = String::from_utf8_lossy(&output.stderr);
            let count = |text| said.matches(text).count();
            assert_eq!(count("pymalloc: write after free"), 1, "{case}: {said}");
            assert_eq!(count("pymalloc: "), 1, "{case}: {said}");
            assert_eq!(count("the handler has allocated"), 1, "{case}: {said}");
            assert_eq!(output.status.signal(), Some(libc::SIGABRT));
        }
        return;
    };
    if case == "a guest" {
        take_all_keys();
    }
    // SAFETY: the handler does what the test is about.
    unsafe { libc::signal(libc::SIGABRT, allocate as *const () as libc::sighandler_t) };
    // SAFETY: the process ends then, where it waits for itself.
    unsafe { libc::alarm(60) };
    let mut blocks: Vec<_> = (0..100).map(|_| alloc(SIZE)).collect();
    let address = blocks.swap_remove(50).expose_provenance();
    let block: *mut u8 = std::ptr::with_exposed_provenance_mut(address);
    free(block, SIZE);
    // SAFETY: none: this is the misuse.
    unsafe { block.write_volatile(0x40) };
    blocks.into_iter().for_each(|block| free(block, SIZE));
    // Had nothing been said, this would be the case that is asked for.
    assert!(!is_resident(block), "its memory did not go back");
}

/// Takes every pthread key that is left.
fn take_all_keys() {
    let mut key = 0;
    // SAFETY: `key` is writable; there is no destructor.
    while unsafe { libc::pthread_key_create(&raw mut key, None) } == 0 {}
}

/// Where in their region the first blocks lie.
fn places() -> String {
    let places: Vec<_> = (0..64)
        .map(|_| alloc(40).addr() & ((32 << 20) - 1))
        .collect();
    format!("{places:?}")
}

#[test]
fn without_keys_chance_differs_from_process_to_process() {
    const TEST: &str = "without_keys_chance_differs_from_process_to_process";
    if in_child(TEST).is_some() {
        take_all_keys();
        eprint!("{}", places());
        return;
    }
    let [one, other] = [1, 2].map(|_| Child::of(TEST, "child").stderr());
    assert_ne!(one, other);
}

#[test]
fn without_keys_chance_differs_from_parent_to_child() {
    const TEST: &str = "without_keys_chance_differs_from_parent_to_child";
    if in_child(TEST).is_none() {
        Child::of(TEST, "child").stderr();
        return;
    }
    take_all_keys();
    places();
    let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
    // SAFETY: the child allocates, writes and exits.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    let mine = places();
    if child == 0 {
        let is_written = std::io::Write::write_all(&mut writer, mine.as_bytes()).is_ok();
        // SAFETY: the child has nothing to flush.
        unsafe { libc::_exit(i32::from(!is_written)) };
    }
    drop(writer);
    let theirs = std::io::read_to_string(&mut reader).expect("it writes");
    let mut status = 0;
    // SAFETY: `status` is writable and the child is ours.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
    assert!(!theirs.is_empty() && theirs != mine);
}
