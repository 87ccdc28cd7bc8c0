//! Stacks and frames numbered, as most formats want them.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use crate::snapshot::{Frame, Snapshot, Total};

/// Distinct frames and, of each stack that has blocks, which frames and how many blocks.
pub(super) struct Table {
    /// Distinct by file, line and function.
    pub(super) frames: Vec<Frame>,
    pub(super) rows: Vec<Row>,
}

/// A distinct stack.
pub(super) struct Row {
    /// Index in the snapshot's stacks.
    pub(super) stack: u32,
    /// Indices in the table's frames, the oldest call first.
    pub(super) frames: Vec<usize>,
    pub(super) total: Total,
}

impl Table {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let mut numbers = Numbers::default();
        let mut frames = Vec::new();
        let mut rows = Vec::new();
        for (stack, total) in snapshot.totals_by_stack() {
            let mut row = Vec::new();
            for frame in snapshot.traceback_of(stack).iter() {
                let key = (
                    Arc::clone(frame.shared_filename()),
                    frame.lineno(),
                    Arc::clone(frame.shared_function()),
                );
                let number = numbers.of(key);
                if number == frames.len() {
                    frames.push(frame.clone());
                }
                row.push(number);
            }
            rows.push(Row {
                stack,
                frames: row,
                total,
            });
        }
        Self { frames, rows }
    }
}

/// Gives equal values the same number, counting from 0.
pub(super) struct Numbers<K>(HashMap<K, usize>);

impl<K> Default for Numbers<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Numbers<K> {
    pub(super) fn of(&mut self, key: K) -> usize {
        let next = self.0.len();
        *self.0.entry(key).or_insert(next)
    }
}

/// What a frame is called in a picture of stacks: its function, or else where it is.
pub(super) fn title(frame: &Frame) -> String {
    if frame.function().is_empty() {
        frame.to_string()
    } else {
        frame.function().to_owned()
    }
}

/// The executable's path.
pub(super) fn program(snapshot: &Snapshot) -> &str {
    snapshot.modules().first().map_or("", |module| &module.path)
}
