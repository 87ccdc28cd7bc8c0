//! Links by their target: who refers to a node.

use super::graph::ObjectGraph;

/// For each node the links to it, in the order of their sources.
pub(super) struct Referrers {
    starts: Vec<u32>,
    /// Source and number of each link.
    links: Vec<(u32, u32)>,
}

impl Referrers {
    pub(super) fn of(graph: &ObjectGraph) -> Self {
        let mut starts = vec![0_u32; graph.len() + 1];
        for target in &graph.targets {
            starts[*target as usize + 1] += 1;
        }
        for node in 1..starts.len() {
            starts[node] += starts[node - 1];
        }
        let mut next = starts.clone();
        let mut links = vec![(0, 0); graph.targets.len()];
        for source in 0..graph.len() {
            for link in graph.links_of(source) {
                let place = &mut next[graph.targets[link] as usize];
                #[allow(
                    clippy::cast_possible_truncation,
                    reason = "the builder has counted both"
                )]
                {
                    links[*place as usize] = (source as u32, link as u32);
                }
                *place += 1;
            }
        }
        Referrers { starts, links }
    }

    /// Source and number of each link to a node.
    pub(super) fn of_node(
        &self,
        node: usize,
    ) -> impl ExactSizeIterator<Item = (usize, usize)> + '_ {
        self.links[self.starts[node] as usize..self.starts[node + 1] as usize]
            .iter()
            .map(|(source, link)| (*source as usize, *link as usize))
    }
}
