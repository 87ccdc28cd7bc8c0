//! Which objects handles from outside reach.

use super::graph::ObjectGraph;

impl ObjectGraph {
    /// Whether each node is reached from outside; the others are garbage, saved or
    /// waiting for the collector.
    pub(super) fn reached_from_outside(&self) -> Vec<bool> {
        let mut reached: Vec<bool> = self.nodes.iter().map(|n| n.outside_count > 0).collect();
        let mut waiting: Vec<usize> = (0..self.len()).filter(|node| reached[*node]).collect();
        while let Some(node) = waiting.pop() {
            for target in self.strong_targets(node) {
                let target = target as usize;
                if !reached[target] {
                    reached[target] = true;
                    waiting.push(target);
                }
            }
        }
        reached
    }
}
