//! Strongly connected components: objects that all reach each other.

use super::graph::ObjectGraph;

/// The components of a graph, each after those it refers to.
pub(super) struct Components {
    /// The component of each node.
    pub(super) of_node: Vec<u32>,
    /// Nodes by component.
    members: Vec<u32>,
    starts: Vec<u32>,
}

const UNSEEN: u32 = u32::MAX;

impl Components {
    /// Tarjan's algorithm with a stack of its own. Weak links do not count.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the builder has counted nodes and links"
    )]
    pub(super) fn of(graph: &ObjectGraph) -> Self {
        let count = graph.len();
        let mut order = vec![UNSEEN; count];
        // The lowest order that is reached; a node whose component is known has none.
        let mut low = vec![0_u32; count];
        let mut components = Components {
            of_node: vec![UNSEEN; count],
            members: Vec::with_capacity(count),
            starts: vec![0],
        };
        let mut open = Vec::new();
        // Nodes that are being visited, and the link that is next.
        let mut path: Vec<(u32, u32)> = Vec::new();
        let mut next_order = 0;
        for root in 0..count as u32 {
            if order[root as usize] != UNSEEN {
                continue;
            }
            path.push((root, graph.starts[root as usize]));
            while let Some((node, link)) = path.last_mut() {
                let here = *node as usize;
                if order[here] == UNSEEN {
                    order[here] = next_order;
                    low[here] = next_order;
                    next_order += 1;
                    open.push(*node);
                }
                if *link < graph.starts[here + 1] {
                    let this = *link as usize;
                    *link += 1;
                    let target = graph.targets[this] as usize;
                    if graph.weak[this] {
                        continue;
                    }
                    if order[target] == UNSEEN {
                        path.push((target as u32, graph.starts[target]));
                    } else if components.of_node[target] == UNSEEN {
                        low[here] = low[here].min(order[target]);
                    }
                    continue;
                }
                path.pop();
                if let Some((before, _)) = path.last() {
                    let before = *before as usize;
                    low[before] = low[before].min(low[here]);
                }
                if low[here] == order[here] {
                    components.close(&mut open, here);
                }
            }
        }
        components
    }

    /// The nodes that were opened since `first` are a component.
    #[allow(clippy::cast_possible_truncation, reason = "as in `of`")]
    fn close(&mut self, open: &mut Vec<u32>, first: usize) {
        let component = self.starts.len() as u32 - 1;
        while let Some(node) = open.pop() {
            self.of_node[node as usize] = component;
            self.members.push(node);
            if node as usize == first {
                break;
            }
        }
        self.starts.push(self.members.len() as u32);
    }

    pub(super) fn count(&self) -> usize {
        self.starts.len() - 1
    }

    pub(super) fn members(&self, component: usize) -> &[u32] {
        &self.members[self.starts[component] as usize..self.starts[component + 1] as usize]
    }
}
