//! Programs of allocations, one thread at a time.

use arbitrary::{Result, Unstructured};
use pymalloc::PyMalloc;
use pymalloc::fault::{self, Call};

use crate::model::{ByAddress, EDGES, MAX_ALIGN_SHIFT, MAX_SIZE, Model, Op, Subject, THREAD_COUNT};

/// Longer programs teach little more, and cost more.
const MOST_OPS: usize = 400;

/// Runs a program that frees by layout, or, if its first bit says so, by address.
pub fn alloc_ops(program: &[u8]) {
    let mut bytes = Unstructured::new(program);
    if bytes.arbitrary().unwrap_or(false) {
        run(&ByAddress, bytes);
    } else {
        run(&PyMalloc, bytes);
    }
}

fn run(subject: &'static impl Subject, mut bytes: Unstructured<'_>) {
    let mut model = Model::new(subject);
    for _ in 0..MOST_OPS {
        let Ok(op) = op(&mut bytes) else { break };
        model.apply(op);
    }
    model.finish();
    pymalloc::trim();
}

/// Runs a program in which now and then a stretch of calls to the system fails. At the
/// end they succeed, and so must every request.
pub fn alloc_faults(program: &[u8]) {
    let mut bytes = Unstructured::new(program);
    let mut model = Model::tolerating_null(&PyMalloc);
    for _ in 0..MOST_OPS {
        let Ok(choice) = bytes.int_in_range(0..=9_u8) else {
            break;
        };
        if choice > 0 {
            let Ok(op) = op(&mut bytes) else { break };
            model.apply(op);
        } else if fail_some(&mut bytes).is_err() {
            break;
        }
    }
    model.apply(Op::Check);
    fault::clear();
    let nulls = model.null_count();
    for size in [1, 600, 70_000] {
        model.apply(Op::Alloc {
            thread: 0,
            size,
            align: 8,
            zeroed: true,
        });
    }
    assert_eq!(
        model.null_count(),
        nulls,
        "null though the system has memory"
    );
    model.finish();
    pymalloc::trim();
}

fn fail_some(bytes: &mut Unstructured<'_>) -> Result<()> {
    let mut chosen = Vec::new();
    for call in [
        Call::Map,
        Call::Remap,
        Call::Unmap,
        Call::Discard,
        Call::Advise,
    ] {
        if bytes.arbitrary()? {
            chosen.push(call);
        }
    }
    let first = bytes.int_in_range(1..=16)?;
    let count = bytes.int_in_range(0..=40)?;
    fault::fail(&chosen, first, count);
    Ok(())
}

fn op(bytes: &mut Unstructured<'_>) -> Result<Op> {
    if bytes.is_empty() {
        return Err(arbitrary::Error::NotEnoughData);
    }
    let choice = bytes.int_in_range(0..=31_u8)?;
    let thread = bytes.int_in_range(0..=THREAD_COUNT - 1)?;
    Ok(match choice {
        0..=9 => Op::Alloc {
            thread,
            size: size(bytes)?,
            align: align(bytes)?,
            zeroed: bytes.arbitrary()?,
        },
        10..=15 => Op::Realloc {
            thread,
            pick: pick(bytes)?,
            new_size: size(bytes)?,
        },
        16..=22 => Op::Dealloc {
            thread,
            pick: pick(bytes)?,
        },
        23..=24 => Op::Burst {
            thread,
            size: size(bytes)?,
            align: 1 << bytes.int_in_range(0..=5)?,
            count: bytes.int_in_range(1..=400)?,
        },
        25..=27 => Op::Drain {
            thread,
            pick: pick(bytes)?,
            count: bytes.int_in_range(1..=400)?,
        },
        28..=29 => Op::EndThread { thread },
        30 => Op::Trim { thread },
        _ => Op::Check,
    })
}

fn pick(bytes: &mut Unstructured<'_>) -> Result<usize> {
    Ok(bytes.arbitrary::<u16>()?.into())
}

/// A size of any tier, the small ones most often.
pub(crate) fn size(bytes: &mut Unstructured<'_>) -> Result<usize> {
    match bytes.int_in_range(0..=15_u8)? {
        0..=4 => Ok(*bytes.choose(&EDGES)?),
        5..=11 => bytes.int_in_range(0..=512),
        12..=14 => bytes.int_in_range(513..=65_536),
        _ => bytes.int_in_range(65_537..=MAX_SIZE),
    }
}

/// Mostly what Rust types ask for; now and then a page and more.
pub(crate) fn align(bytes: &mut Unstructured<'_>) -> Result<usize> {
    let shift = match bytes.int_in_range(0..=15_u8)? {
        0..=11 => bytes.int_in_range(0..=4)?,
        12..=14 => bytes.int_in_range(5..=12)?,
        _ => bytes.int_in_range(13..=MAX_ALIGN_SHIFT)?,
    };
    Ok(1 << shift)
}
