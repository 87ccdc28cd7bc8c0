//! What is said about a sampled block.

use core::alloc::Layout;

use super::slots::Record;
use crate::report::{Misuse, Report};

fn describe(report: &mut Report, record: &Record) {
    report.line(format_args!(
        "  block {:#x}: {} bytes, align {}, allocated by thread {}",
        record.block.addr(),
        record.layout.size(),
        record.layout.align(),
        record.allocated_by
    ));
    report.stack("allocated at", &record.allocated_at);
    if !record.is_used {
        report.line(format_args!("  freed by thread {}", record.freed_by));
        report.stack("freed at", &record.freed_at);
    }
}

/// A free that fits no live block.
pub(super) fn bad_free(block: *mut u8, layout: Layout, record: &Record) -> ! {
    let address = block.addr();
    let distance = address.cast_signed() - record.block.addr().cast_signed();
    let mut report = if distance != 0 {
        let what = format_args!("freed {distance} bytes from a block's start");
        Report::new(Misuse::InvalidFree, address, what)
    } else if !record.is_used {
        let what = format_args!("the block has been freed before");
        Report::new(Misuse::DoubleFree, address, what)
    } else {
        Report::new(
            Misuse::WrongLayout,
            address,
            format_args!("freed as {} bytes, align {}", layout.size(), layout.align()),
        )
    };
    describe(&mut report, record);
    report.abort()
}

/// A free where no block was yet.
pub(super) fn never_allocated(block: *mut u8) -> ! {
    let what = format_args!("no block was ever there");
    Report::new(Misuse::InvalidFree, block.addr(), what).abort()
}

/// A write to the rest of a block's pages.
pub(super) fn bad_rest(at: *mut u8, record: &Record) -> ! {
    let start = record.block.addr();
    let end = start + record.layout.size();
    let mut report = if at.addr() < start {
        let what = format_args!("written to {} bytes before its start", start - at.addr());
        Report::new(Misuse::Underflow, start, what)
    } else {
        let what = format_args!("written to {} bytes behind its end", at.addr() - end);
        Report::new(Misuse::Overflow, start, what)
    };
    describe(&mut report, record);
    report.bytes_around(at.addr());
    report.abort()
}

/// An access beyond a block's pages, or to those of a freed one.
pub(super) fn fault(address: usize, was_write: Option<bool>, record: Option<&Record>) {
    let access = match was_write {
        Some(true) => "write",
        Some(false) => "read",
        None => "access",
    };
    let Some(record) = record else {
        let what = format_args!("a {access} beside a sampled block");
        return Report::new(Misuse::Overflow, address, what).finish();
    };
    let start = record.block.addr();
    let end = start + record.layout.size();
    let offset = address.cast_signed() - start.cast_signed();
    let mut report = if !record.is_used {
        let what = format_args!("a {access} at byte {offset} of a freed block");
        Report::new(Misuse::UseAfterFree, address, what)
    } else if (start..end).contains(&address) {
        // It was free when it was accessed.
        let what = format_args!("a {access} at byte {offset} of what is another block by now");
        Report::new(Misuse::UseAfterFree, address, what)
    } else if address < start {
        let what = format_args!(
            "a {access} {} bytes before a block's start",
            start - address
        );
        Report::new(Misuse::Underflow, address, what)
    } else {
        let what = format_args!("a {access} {} bytes behind a block's end", address - end);
        Report::new(Misuse::Overflow, address, what)
    };
    describe(&mut report, record);
    report.finish();
}
