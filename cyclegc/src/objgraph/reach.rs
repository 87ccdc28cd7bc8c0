//! Which objects handles from outside reach.

use std::collections::VecDeque;

use super::graph::ObjectGraph;
use super::node::{Link, Node};

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

    /// The link by which each node is reached first from outside, breadth first; `None` for
    /// roots and garbage.
    pub(super) fn first_links(&self) -> Vec<Option<Link<'_>>> {
        let mut first = vec![None; self.len()];
        let roots = self.nodes().filter(|node| node.is_root());
        let mut queue: VecDeque<usize> = roots.map(Node::index).collect();
        while let Some(node) = queue.pop_front() {
            for link in self.node(node).links().filter(|link| !link.is_weak()) {
                let target = link.target();
                if !target.is_root() && first[target.index()].is_none() {
                    first[target.index()] = Some(link);
                    queue.push_back(target.index());
                }
            }
        }
        first
    }
}
