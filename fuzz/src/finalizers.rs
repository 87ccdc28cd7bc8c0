//! Plays of finalizers.

use arbitrary::{Result, Unstructured};

use crate::graphs::generation;
use crate::stage::{Act, Play};

/// Runs a play; bytes that are too few for one do nothing.
pub fn gc_finalizers(program: &[u8]) {
    if let Ok(play) = play(&mut Unstructured::new(program)) {
        play.run();
    }
}

fn play(bytes: &mut Unstructured<'_>) -> Result<Play> {
    let actors = bytes.int_in_range(1..=12_usize)?;
    Ok(Play {
        acts: many(bytes, actors, act)?,
        kept: many(bytes, actors, |bytes| bytes.arbitrary())?,
        generations: some(bytes, 6, generation)?,
        weaks: some(bytes, 16, |bytes| {
            let (from, to) = pair(bytes)?;
            Ok((from, to, bytes.arbitrary()?))
        })?,
        links: some(bytes, 60, pair)?,
    })
}

fn pair(bytes: &mut Unstructured<'_>) -> Result<(usize, usize)> {
    Ok((bytes.int_in_range(0..=11)?, bytes.int_in_range(0..=11)?))
}

fn act(bytes: &mut Unstructured<'_>) -> Result<Act> {
    let acts = [
        Act::Nothing,
        Act::Resurrect,
        Act::Cut,
        Act::Breed,
        Act::Tie,
        Act::Watch,
        Act::Panic,
    ];
    Ok(*bytes.choose(&acts)?)
}

type Read<T> = fn(&mut Unstructured<'_>) -> Result<T>;

fn many<T>(bytes: &mut Unstructured<'_>, count: usize, read: Read<T>) -> Result<Vec<T>> {
    (0..count).map(|_| read(bytes)).collect()
}

fn some<T>(bytes: &mut Unstructured<'_>, most: usize, read: Read<T>) -> Result<Vec<T>> {
    let count = bytes.int_in_range(0..=most)?;
    many(bytes, count, read)
}
