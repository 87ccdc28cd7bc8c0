//! Programs of handles and links.

use arbitrary::{Result, Unstructured};
use cyclegc::Generation;

use crate::world::{Op, World};

/// Longer programs teach little more, and the model's work grows with the square.
const MOST_OPS: usize = 300;

/// Runs a program beside a model of reachability and counts.
pub fn gc_programs(program: &[u8]) {
    let mut bytes = Unstructured::new(program);
    let ops: Vec<Op> = std::iter::from_fn(|| op(&mut bytes).ok())
        .take(MOST_OPS)
        .collect();
    World::run_all(&ops);
}

fn op(bytes: &mut Unstructured<'_>) -> Result<Op> {
    if bytes.is_empty() {
        return Err(arbitrary::Error::NotEnoughData);
    }
    let choice = bytes.int_in_range(0..=67_u8)?;
    let mut n = || bytes.int_in_range(0..=63_usize);
    Ok(match choice {
        0..=7 => Op::New,
        8..=12 => Op::Clone(n()?),
        13..=21 => Op::Drop(n()?),
        22..=33 => Op::Link(n()?, n()?),
        34..=37 => Op::Move(n()?, n()?),
        38..=40 => Op::Unlink(n()?, n()?),
        41..=43 => Op::Take(n()?, n()?),
        44..=46 => Op::Follow(n()?, n()?),
        47..=48 => Op::Downgrade(n()?),
        49..=50 => Op::Upgrade(n()?),
        51..=52 => Op::Swap(n()?, n()?),
        53 => Op::GetMut(n()?),
        54 => Op::Rebox(n()?),
        55..=60 => Op::Collect(generation(bytes)?),
        61 => Op::CollectBorrowed(n()?),
        62 => Op::Objects,
        64..=66 => Op::Watch(n()?),
        67 => Op::Unwatch(n()?),
        _ => Op::FreezeAndUnfreeze,
    })
}

pub(crate) fn generation(bytes: &mut Unstructured<'_>) -> Result<Generation> {
    Ok(*bytes.choose(&Generation::ALL)?)
}
