//! What the debug hooks say about a block, and the end of the process
//! (CPython `_PyObject_DebugDumpAddress`).

use super::block::{DebugBlock, Expect, FORBIDDEN, TAIL_PAD};
use crate::report::{Misuse, Report};

/// What a block is, and where it comes from.
fn describe(report: &mut Report, block: DebugBlock) {
    let layout = block.layout();
    report.line(format_args!(
        "  block {:#x}: {} bytes asked for, align {}, allocation number {}",
        block.data().addr(),
        layout.size(),
        layout.align(),
        block.serial(),
    ));
    report.stack("allocated at", &block.stack(0));
    report.stack("freed at", &block.stack(1));
}

/// The pads behind the block, byte by byte, and the bytes around an address.
fn show(report: &mut Report, block: DebugBlock, at: *mut u8) {
    // SAFETY: the pad lies in the raw block, which is live or in quarantine.
    let pad = unsafe { core::slice::from_raw_parts(block.end(), TAIL_PAD) };
    if pad.iter().all(|byte| *byte == FORBIDDEN) {
        report.line(format_args!(
            "  The {TAIL_PAD} pad bytes at {:#x}, behind the block, are fd, as expected.",
            block.end().addr()
        ));
    } else {
        report.line(format_args!(
            "  The {TAIL_PAD} pad bytes at {:#x}, behind the block, are not all fd:",
            block.end().addr()
        ));
        for (index, byte) in pad.iter().enumerate() {
            let ouch = if *byte == FORBIDDEN { "" } else { " *** OUCH" };
            report.line(format_args!("    +{index}: {byte:02x}{ouch}"));
        }
    }
    report.bytes_around(at.addr());
}

/// An address outside every block.
pub(super) fn foreign(data: *mut u8) -> ! {
    let mut report = Report::new(
        Misuse::InvalidFree,
        data.addr(),
        format_args!(
            "no block of this allocator's lies there: it was never allocated, by another \
             allocator, or has been freed and given back to the system"
        ),
    );
    report.bytes_around(data.addr());
    report.abort()
}

/// An address in a block, which starts elsewhere.
pub(super) fn inside(data: *mut u8, block: DebugBlock) -> ! {
    let distance = data.addr().cast_signed() - block.data().addr().cast_signed();
    let mut report = Report::new(
        Misuse::InvalidFree,
        data.addr(),
        format_args!("the block there starts {distance} bytes before"),
    );
    describe(&mut report, block);
    show(&mut report, block, data);
    report.abort()
}

/// A block that was freed before.
pub(super) fn freed_twice(block: DebugBlock) -> ! {
    let mut report = Report::new(
        Misuse::DoubleFree,
        block.data().addr(),
        format_args!("the block has been freed before"),
    );
    describe(&mut report, block);
    show(&mut report, block, block.data());
    report.abort()
}

/// A place where a block's data may start, with no sense before it.
pub(super) fn no_header(data: *mut u8, raw: *mut u8, raw_size: usize) -> ! {
    // A freed block that left the quarantine: the allocator's own link lies over the size.
    // SAFETY: the byte lies in the raw block, before the data, or is the data's first.
    let id = unsafe { data.wrapping_sub(8).max(raw).read() };
    let offset = data.addr() - raw.addr();
    let may_start = offset.is_power_of_two() && offset >= 16;
    // SAFETY: the raw block's part before a header that may be there.
    let before = unsafe { core::slice::from_raw_parts(raw, offset.saturating_sub(16)) };
    let (misuse, what) = if id == super::block::DEAD && may_start {
        (Misuse::DoubleFree, "the block was freed some time ago")
    } else if may_start && before.iter().all(|byte| *byte == FORBIDDEN) {
        (
            Misuse::Underflow,
            "what lies before the block, its size and id, was written over",
        )
    } else {
        (Misuse::InvalidFree, "no block starts there")
    };
    let mut report = Report::new(misuse, data.addr(), format_args!("{what}"));
    report.line(format_args!(
        "  in {raw_size} bytes at {:#x}, the block starts 16 bytes in, or at its alignment",
        raw.addr()
    ));
    report.bytes_around(data.addr());
    report.abort()
}

/// A pad that was written to.
pub(super) fn bad_pad(block: DebugBlock, (misuse, at): (Misuse, *mut u8)) -> ! {
    let side = match misuse {
        Misuse::Overflow => at.addr() - block.end().addr(),
        _ => block.data().addr() - at.addr(),
    };
    let what = match misuse {
        Misuse::Overflow => "bytes behind its end",
        _ => "bytes before its start",
    };
    let mut report = Report::new(
        misuse,
        block.data().addr(),
        format_args!("the block was written to {side} {what}"),
    );
    describe(&mut report, block);
    show(&mut report, block, at);
    report.abort()
}

/// A block that was freed as another one.
pub(super) fn wrong_layout(block: DebugBlock, expect: Expect) -> ! {
    let data = block.data().addr();
    let mut report = match expect {
        Expect::Layout(layout) => Report::new(
            Misuse::WrongLayout,
            data,
            format_args!(
                "freed as {} bytes, align {}; allocated as {} bytes, align {}",
                layout.size(),
                layout.align(),
                block.layout().size(),
                block.layout().align()
            ),
        ),
        Expect::Class(class) => Report::new(
            Misuse::WrongLayout,
            data,
            format_args!(
                "freed as of up to {} bytes; allocated as of up to {}",
                class.block_size(),
                block.layout().size()
            ),
        ),
        Expect::Anything => Report::new(Misuse::WrongLayout, data, format_args!("not as asked")),
    };
    describe(&mut report, block);
    show(&mut report, block, block.data());
    report.abort()
}

/// A freed block, or its pads, written to.
pub(super) fn written_after_free(block: DebugBlock, at: *mut u8) -> ! {
    let offset = at.addr().cast_signed() - block.data().addr().cast_signed();
    let mut report = Report::new(
        Misuse::WriteAfterFree,
        at.addr(),
        format_args!("a freed block was written to, at byte {offset} of it"),
    );
    describe(&mut report, block);
    show(&mut report, block, at);
    report.abort()
}
