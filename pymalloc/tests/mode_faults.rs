//! Where the system refuses memory at any request, the modes answer null, keep what is live
//! as it was, and go on when there is memory again. Needs the feature `fault-injection`.

mod support;

use std::alloc::{GlobalAlloc, Layout};

use pymalloc::{PyMalloc, PyMallocDebug, PyMallocSecure, Sampled, fault};
use support::{Child, Random, are_all, in_child};

static DEBUG: PyMallocDebug = PyMallocDebug;
static SECURE: PyMallocSecure = PyMallocSecure;
static SAMPLED: Sampled<PyMalloc> = Sampled::new(PyMalloc);

const MODES: [(&str, &(dyn GlobalAlloc + Sync)); 3] = [
    ("debug", &DEBUG),
    ("secure", &SECURE),
    ("sampled", &SAMPLED),
];

/// Frees a block that must be as it was filled.
fn free(allocator: &dyn GlobalAlloc, block: *mut u8, layout: Layout) {
    // SAFETY: live, of that layout.
    let bytes = unsafe { std::slice::from_raw_parts(block, layout.size()) };
    assert!(are_all(bytes, 0x5a));
    // SAFETY: live, of that layout, and given up.
    unsafe { allocator.dealloc(block, layout) }
}

/// Allocates, grows and frees with the n-th request refused, and every later one; whether
/// any was.
fn live_with(allocator: &dyn GlobalAlloc, n: usize) -> bool {
    let mut random = Random::new(n as u64);
    let mut blocks: Vec<(*mut u8, Layout)> = Vec::new();
    let mut refused = false;
    fault::fail_at(n);
    for step in 0..400_usize {
        let layout = Layout::from_size_align(random.size(), 1 << random.below(6));
        let layout = layout.expect("a legal layout");
        match random.below(4) {
            0 if !blocks.is_empty() => {
                let (block, layout) = blocks.swap_remove(random.below(blocks.len()));
                free(allocator, block, layout);
            }
            1 if !blocks.is_empty() => {
                let pick = random.below(blocks.len());
                let (block, old) = blocks[pick];
                let new = Layout::from_size_align(layout.size(), old.align());
                let new = new.expect("a legal layout");
                // SAFETY: live, of that layout.
                let moved = unsafe { allocator.realloc(block, old, new.size()) };
                refused |= moved.is_null();
                let (now, layout) = if moved.is_null() {
                    (block, old)
                } else {
                    (moved, new)
                };
                // SAFETY: live, of that layout.
                let bytes = unsafe { std::slice::from_raw_parts_mut(now, layout.size()) };
                assert!(are_all(&bytes[..old.size().min(layout.size())], 0x5a));
                bytes.fill(0x5a);
                blocks[pick] = (now, layout);
            }
            _ => {
                // SAFETY: the layout is not empty.
                let block = unsafe { allocator.alloc(layout) };
                refused |= block.is_null();
                if !block.is_null() {
                    // SAFETY: the new block's bytes.
                    unsafe { block.write_bytes(0x5a, layout.size()) };
                    blocks.push((block, layout));
                }
            }
        }
        if step == 300 {
            fault::clear();
        }
    }
    for (block, layout) in blocks {
        free(allocator, block, layout);
    }
    refused
}

#[test]
fn every_refused_request_is_a_null() {
    const TEST: &str = "every_refused_request_is_a_null";
    if let Some(role) = in_child(TEST) {
        let (mode, n) = role.split_once(':').expect("a mode and a number");
        let mode = MODES
            .iter()
            .find(|(name, _)| *name == mode)
            .expect("a mode");
        let refused = live_with(mode.1, n.parse().expect("a number"));
        eprint!("{}", if refused { "refused" } else { "" });
        return;
    }
    for (name, _) in MODES {
        // The first allocations of a process ask most: each in turn, then some later ones.
        let mut refused = 0;
        for n in (1..=24).chain((25..200).step_by(9)) {
            let child = Child::of(TEST, &format!("{name}:{n}"));
            let said = child.env("PYMALLOC_SAMPLE", "5").stderr();
            refused += usize::from(said == "refused");
        }
        assert!(refused > 4, "{name}: only {refused} were refused anything");
    }
}

/// At the limit of mappings a sampled block's pages stay when it is freed.
#[test]
fn a_slot_whose_pages_stayed_is_new_to_the_next_block() {
    const TEST: &str = "a_slot_whose_pages_stayed_is_new_to_the_next_block";
    if in_child(TEST).is_none() {
        Child::of(TEST, "child").stderr();
        return;
    }
    pymalloc::set_sample_rate(1);
    let layout = Layout::from_size_align(10_000, 8).expect("a legal layout");
    for _ in 0..200 {
        // SAFETY: the layout is not empty.
        let block = unsafe { SAMPLED.alloc_zeroed(layout) };
        // SAFETY: the new block's bytes.
        let bytes = unsafe { std::slice::from_raw_parts_mut(block, layout.size()) };
        assert!(are_all(bytes, 0));
        bytes.fill(0x5a);
        fault::fail(&[fault::Call::Map], 1, usize::MAX);
        // SAFETY: live, of that layout, and given up.
        unsafe { SAMPLED.dealloc(block, layout) };
        assert!(fault::calls() > 0, "the block was not sampled");
        fault::clear();
    }
}
