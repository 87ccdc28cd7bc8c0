//! Dominators: what an object alone keeps alive.
//!
//! An object *dominates* another if every way from outside leads through it: with it the
//! other would go. The bytes of all it dominates are its *retained size*. The immediate
//! dominators make a tree, whose root stands for outside:
//!
//! ```text
//!  outside -> a -> b -> d          outside
//!             a -> c -> d             a        retains a, b, c, d
//!                                   b c d      d goes with neither b nor c alone
//! ```
//!
//! Garbage holds what it refers to until it is collected. It hangs under the same root: first the objects of it that no other garbage
//! refers to, then one of each cycle that nothing else leads to.
//!
//! Semi-NCA (Georgiadis 2005), a simplification of Lengauer and Tarjan's that is fast on
//! real graphs; all of it with stacks of its own.

use super::components::Components;
use super::graph::ObjectGraph;
use super::node::Node;

/// The dominator tree of a graph, and the retained sizes.
///
/// Costs 24 bytes an object. What garbage refers to is not free before the garbage is
/// collected, so it counts to none of the live objects: collect first.
///
/// ```
/// use cyclegc::{Gc, objgraph};
///
/// let shared = Gc::new([0_u8; 1000]);
/// let left = Gc::new((shared.clone(), Gc::new([0_u8; 200])));
/// let right = Gc::new((shared.clone(), 1));
/// drop(shared);
/// let graph = objgraph::snapshot();
/// let dominators = graph.dominators();
/// let retained = |handle| dominators.retained_size(graph.find(handle).unwrap());
/// // `left` alone keeps the 200 bytes alive, but not the 1000.
/// assert!((200..400).contains(&retained(&left)));
/// # drop(right);
/// ```
pub struct Dominators<'g> {
    graph: &'g ObjectGraph,
    /// The immediate dominator; [`OUTSIDE`] for those under the root.
    immediate: Vec<u32>,
    retained: Vec<usize>,
    /// Children in the tree, by parent; those of the root come last.
    children: Vec<u32>,
    starts: Vec<u32>,
}

const OUTSIDE: u32 = u32::MAX;

impl ObjectGraph {
    /// Computes the dominator tree and all retained sizes.
    ///
    /// Costs a few looks at every link: for a million objects with two links each about
    /// half a second.
    ///
    /// ```
    /// use cyclegc::{Gc, objgraph};
    ///
    /// let list = Gc::new(vec![Gc::new(1)]);
    /// let graph = objgraph::snapshot();
    /// let list_node = graph.find(&list).unwrap();
    /// assert_eq!(graph.dominators().retained_size(list_node), graph.total_bytes());
    /// ```
    #[must_use]
    pub fn dominators(&self) -> Dominators<'_> {
        let roots = roots(self);
        let mut tree = SemiNca::depth_first(self, &roots);
        tree.find_semidominators(self);
        tree.find_dominators();
        Dominators::new(self, &tree)
    }
}

/// Where the ways from outside begin: objects that are held from there, and what of the
/// garbage nothing else leads to. All nodes are reached from them.
pub(super) fn roots(graph: &ObjectGraph) -> Vec<u32> {
    let reached = graph.reached_from_outside();
    #[allow(clippy::cast_possible_truncation, reason = "the builder has counted")]
    let mut roots: Vec<u32> = (0..graph.len() as u32)
        .filter(|node| graph.nodes[*node as usize].outside_count > 0)
        .collect();
    if reached.iter().all(|reached| *reached) {
        return roots;
    }
    // Components come after those they refer to, so what leads to others comes last.
    let components = Components::of(graph);
    let mut is_led_to = vec![false; components.count()];
    for component in (0..components.count()).rev() {
        let members = components.members(component);
        if reached[members[0] as usize] {
            continue;
        }
        for member in members {
            for target in graph.strong_targets(*member as usize) {
                is_led_to[components.of_node[target as usize] as usize] |=
                    components.of_node[target as usize] as usize != component;
            }
        }
        if !is_led_to[component] {
            roots.extend(members.iter().min());
        }
    }
    roots
}

/// Numbers are places in depth-first order, 0 is the root.
struct SemiNca {
    /// The node with each number, [`OUTSIDE`] for the root.
    nodes: Vec<u32>,
    numbers: Vec<u32>,
    /// The parent in the depth-first tree; paths are compressed.
    ancestors: Vec<u32>,
    semidominators: Vec<u32>,
    /// Of the compressed path from here, the number with the least semidominator.
    labels: Vec<u32>,
    /// First the parent, in the end the immediate dominator.
    dominators: Vec<u32>,
    is_root: Vec<bool>,
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "the builder has counted nodes and links"
)]
impl SemiNca {
    fn depth_first(graph: &ObjectGraph, roots: &[u32]) -> Self {
        let count = graph.len() + 1;
        let mut tree = SemiNca {
            nodes: Vec::with_capacity(count),
            numbers: vec![0; graph.len()],
            ancestors: Vec::with_capacity(count),
            semidominators: Vec::new(),
            labels: Vec::new(),
            dominators: Vec::new(),
            is_root: vec![false; graph.len()],
        };
        tree.nodes.push(OUTSIDE);
        tree.ancestors.push(0);
        // Nodes that are being visited, and the link that is next.
        let mut path: Vec<(u32, u32)> = Vec::new();
        for root in roots {
            tree.is_root[*root as usize] = true;
            tree.enter(graph, *root, 0, &mut path);
            while let Some((node, link)) = path.last_mut() {
                if *link == graph.starts[*node as usize + 1] {
                    path.pop();
                    continue;
                }
                let (node, this) = (*node, *link as usize);
                *link += 1;
                if !graph.weak[this] {
                    let parent = tree.numbers[node as usize];
                    tree.enter(graph, graph.targets[this], parent, &mut path);
                }
            }
        }
        tree.dominators = tree.ancestors.clone();
        tree.labels = (0..tree.nodes.len() as u32).collect();
        tree.semidominators = tree.labels.clone();
        tree
    }

    /// Gives a node its number, unless it has one.
    #[inline]
    fn enter(&mut self, graph: &ObjectGraph, node: u32, parent: u32, path: &mut Vec<(u32, u32)>) {
        let number = &mut self.numbers[node as usize];
        if *number == 0 {
            *number = self.nodes.len() as u32;
            self.nodes.push(node);
            self.ancestors.push(parent);
            path.push((node, graph.starts[node as usize]));
        }
    }

    fn find_semidominators(&mut self, graph: &ObjectGraph) {
        let referrers = graph.referrers();
        let mut path = Vec::new();
        for number in (1..self.nodes.len() as u32).rev() {
            let node = self.nodes[number as usize] as usize;
            let mut least = if self.is_root[node] {
                0
            } else {
                self.ancestors[number as usize]
            };
            for (source, link) in referrers.of_node(node) {
                if !graph.weak[link] {
                    let from = self.numbers[source];
                    let best = self.evaluate(from, number + 1, &mut path);
                    least = least.min(self.semidominators[best as usize]);
                }
            }
            self.semidominators[number as usize] = least;
        }
    }

    /// Of the path from `number` up to what is linked, from `linked` on, the number with
    /// the least semidominator; compresses the path.
    fn evaluate(&mut self, number: u32, linked: u32, path: &mut Vec<u32>) -> u32 {
        let mut here = number;
        if self.ancestors[here as usize] < linked {
            return self.labels[here as usize];
        }
        while self.ancestors[here as usize] >= linked {
            path.push(here);
            here = self.ancestors[here as usize];
        }
        let end = self.ancestors[here as usize];
        let mut best = self.labels[here as usize];
        while let Some(here) = path.pop() {
            let label = self.labels[here as usize];
            if self.semidominators[label as usize] < self.semidominators[best as usize] {
                best = label;
            } else {
                self.labels[here as usize] = best;
            }
            self.ancestors[here as usize] = end;
        }
        best
    }

    fn find_dominators(&mut self) {
        for number in 1..self.nodes.len() {
            let semidominator = self.semidominators[number];
            let mut candidate = self.dominators[number];
            while candidate > semidominator {
                candidate = self.dominators[candidate as usize];
            }
            self.dominators[number] = candidate;
        }
    }
}

impl<'g> Dominators<'g> {
    #[allow(clippy::cast_possible_truncation, reason = "the builder has counted")]
    fn new(graph: &'g ObjectGraph, tree: &SemiNca) -> Self {
        let count = graph.len();
        let mut immediate = vec![OUTSIDE; count];
        let mut retained: Vec<usize> = graph.nodes.iter().map(|n| n.size_bytes).collect();
        // Children have higher numbers than their parents.
        for number in (1..tree.nodes.len()).rev() {
            let node = tree.nodes[number] as usize;
            let parent = tree.nodes[tree.dominators[number] as usize];
            immediate[node] = parent;
            if parent != OUTSIDE {
                retained[parent as usize] += retained[node];
            }
        }
        let place = |parent: u32| (parent as usize).min(count);
        let mut starts = vec![0_u32; count + 2];
        for parent in &immediate {
            starts[place(*parent) + 1] += 1;
        }
        for node in 1..starts.len() {
            starts[node] += starts[node - 1];
        }
        let mut next = starts.clone();
        let mut children = vec![0; count];
        for (node, parent) in immediate.iter().enumerate() {
            let next = &mut next[place(*parent)];
            children[*next as usize] = node as u32;
            *next += 1;
        }
        Dominators {
            graph,
            immediate,
            retained,
            children,
            starts,
        }
    }

    /// The bytes that would be free if the object went: its own and those of all it
    /// dominates (heapy's `domisize`).
    #[must_use]
    pub fn retained_size(&self, node: Node<'_>) -> usize {
        self.retained[node.index()]
    }

    /// The last object that all ways from outside to this one lead through; `None` if
    /// there is none (heapy's `imdom`).
    #[must_use]
    pub fn immediate_dominator(&self, node: Node<'_>) -> Option<Node<'g>> {
        let parent = self.immediate[node.index()];
        (parent != OUTSIDE).then(|| self.graph.node(parent as usize))
    }

    /// The objects whose immediate dominator this is, largest first.
    #[must_use]
    pub fn dominated(&self, node: Node<'_>) -> Vec<Node<'g>> {
        self.children(node.index())
    }

    /// The number of objects whose immediate dominator this is.
    #[must_use]
    pub fn dominated_count(&self, node: Node<'_>) -> usize {
        (self.starts[node.index() + 1] - self.starts[node.index()]) as usize
    }

    /// The objects that no other dominates, largest first.
    #[must_use]
    pub fn top(&self) -> Vec<Node<'g>> {
        self.children(self.graph.len())
    }

    fn children(&self, parent: usize) -> Vec<Node<'g>> {
        let range = self.starts[parent] as usize..self.starts[parent + 1] as usize;
        let children = self.children[range].iter();
        let mut nodes: Vec<_> = children.map(|n| self.graph.node(*n as usize)).collect();
        nodes.sort_by_key(|node| std::cmp::Reverse(self.retained[node.index()]));
        nodes
    }
}

impl std::fmt::Debug for Dominators<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dominators")
            .field("nodes", &self.immediate.len())
            .finish_non_exhaustive()
    }
}
