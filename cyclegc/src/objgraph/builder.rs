//! `GraphBuilder`: makes an `ObjectGraph`, object by object.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::graph::{NodeEntry, ObjectGraph, ObjectId, TypeEntry};
use super::hash::FastHash;
use super::names::{Name, NameTable};
use super::node_info::NodeInfo;
use super::stacks::{Frame, StackTable};

/// Makes an [`ObjectGraph`] of whatever there is.
///
/// [`snapshot`](super::snapshot) uses one for this thread's objects. Objects are
/// added in any order; links are given source by source.
///
/// ```
/// use cyclegc::objgraph::{GraphBuilder, NodeInfo};
///
/// let mut builder = GraphBuilder::new();
/// let window = builder.node(NodeInfo::new("Window", 64).ref_count(1));
/// let button = builder.node(NodeInfo::new("Button", 32).ref_count(1));
/// builder.links_of(window);
/// builder.link(".buttons[0]", button);
/// let graph = builder.finish();
/// assert!(graph.node(window).is_root() && !graph.node(button).is_root());
/// ```
#[derive(Default)]
pub struct GraphBuilder {
    types: Vec<TypeEntry>,
    type_numbers: HashMap<Box<str>, u32, FastHash>,
    last_type: Option<u32>,
    nodes: Vec<NodeEntry>,
    /// Where the links of a node start and end, in the order given.
    ranges: Vec<(u32, u32)>,
    /// Whose links are being given.
    source: Option<usize>,
    targets: Vec<u32>,
    link_names: Vec<Name>,
    weak: Vec<bool>,
    names: NameTable,
    stacks: StackTable,
    origins: HashMap<usize, Vec<String>>,
    is_shared: bool,
}

impl GraphBuilder {
    /// No objects yet.
    ///
    /// ```
    /// assert!(cyclegc::objgraph::GraphBuilder::new().finish().is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// As `new`, of objects that threads share.
    pub(crate) fn shared() -> Self {
        GraphBuilder {
            is_shared: true,
            ..Self::default()
        }
    }

    /// Adds an object; returns its place in [`ObjectGraph::nodes`].
    ///
    /// # Panics
    ///
    /// With more than 2^32 - 2 objects.
    ///
    /// ```
    /// # use cyclegc::objgraph::{GraphBuilder, NodeInfo};
    /// assert_eq!(GraphBuilder::new().node(NodeInfo::new("Window", 64)), 0);
    /// ```
    pub fn node(&mut self, info: NodeInfo<'_>) -> usize {
        let type_number = self.type_number(info.type_name, info.has_finalizer);
        let index = self.nodes.len();
        let number = u32::try_from(index + 1).expect("fewer than 2^32 - 1 objects");
        self.nodes.push(NodeEntry {
            address: info.address,
            size_bytes: info.size_bytes,
            id: info.id.unwrap_or(ObjectId(number)),
            type_number,
            ref_count: info.ref_count,
            outside_count: info.ref_count,
            stack: self.stacks.intern(&info.stack),
            flags: info.flags,
        });
        self.ranges.push((0, 0));
        index
    }

    fn type_number(&mut self, name: &str, has_finalizer: bool) -> u32 {
        // Most often the same again.
        if let Some(last) = self.last_type
            && *self.types[last as usize].name == *name
        {
            return last;
        }
        let number = self.find_type(name, has_finalizer);
        self.last_type = Some(number);
        number
    }

    fn find_type(&mut self, name: &str, has_finalizer: bool) -> u32 {
        if let Some(number) = self.type_numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.types.len()).expect("fewer than 2^32 types");
        self.types.push(TypeEntry {
            name: name.into(),
            has_finalizer,
        });
        self.type_numbers.insert(name.into(), number);
        number
    }

    /// Goes on to the links of a node.
    ///
    /// # Panics
    ///
    /// If the node is not there, or its links were given before.
    ///
    /// ```
    /// # use cyclegc::objgraph::{GraphBuilder, NodeInfo};
    /// let mut builder = GraphBuilder::new();
    /// let one = builder.node(NodeInfo::new("Window", 64));
    /// builder.links_of(one);
    /// builder.link(".me", one);
    /// assert_eq!(builder.finish().link_count(), 1);
    /// ```
    pub fn links_of(&mut self, source: usize) {
        let here = u32::try_from(self.targets.len()).expect("fewer than 2^32 links");
        assert_eq!(self.ranges[source], (0, 0), "the links were given before");
        self.ranges[source] = (here, here);
        self.source = Some(source);
    }

    /// Adds a link from the current node, which may be said before its target is added.
    ///
    /// # Panics
    ///
    /// Before [`Self::links_of`], and with more than 2^32 - 1 links.
    ///
    /// ```
    /// # use cyclegc::objgraph::{GraphBuilder, NodeInfo};
    /// let mut builder = GraphBuilder::new();
    /// let one = builder.node(NodeInfo::new("Window", 64).ref_count(1));
    /// builder.links_of(one);
    /// builder.link(".me", one);
    /// assert!(!builder.finish().node(one).is_root());
    /// ```
    pub fn link(&mut self, name: &str, target: usize) {
        self.push(name, target, false);
    }

    /// Adds a link that does not keep its target alive.
    ///
    /// # Panics
    ///
    /// As [`Self::link`].
    ///
    /// ```
    /// # use cyclegc::objgraph::{GraphBuilder, NodeInfo};
    /// let mut builder = GraphBuilder::new();
    /// let one = builder.node(NodeInfo::new("Window", 64).ref_count(1));
    /// builder.links_of(one);
    /// builder.weak_link(".me", one);
    /// assert!(builder.finish().node(one).is_root());
    /// ```
    pub fn weak_link(&mut self, name: &str, target: usize) {
        self.push(name, target, true);
    }

    fn push(&mut self, name: &str, target: usize, weak: bool) {
        let source = self.source.expect("`links_of` says whose links these are");
        let name = self.names.intern(name);
        self.targets
            .push(u32::try_from(target).expect("fewer than 2^32 objects"));
        self.link_names.push(name);
        self.weak.push(weak);
        self.ranges[source].1 = u32::try_from(self.targets.len()).expect("fewer than 2^32 links");
    }

    /// Says where a handle from outside to a node was made.
    ///
    /// ```
    /// # use cyclegc::objgraph::{GraphBuilder, NodeInfo};
    /// let mut builder = GraphBuilder::new();
    /// let node = builder.node(NodeInfo::new("Window", 64).ref_count(1));
    /// builder.origin(node, "src/main.rs:3".to_owned());
    /// assert_eq!(builder.finish().node(node).origins(), ["src/main.rs:3"]);
    /// ```
    pub fn origin(&mut self, node: usize, place: String) {
        self.origins.entry(node).or_default().push(place);
    }

    pub(crate) fn stack(&mut self, node: usize, stack: &[Frame]) {
        self.nodes[node].stack = self.stacks.intern(stack);
    }

    pub(crate) fn entry(&mut self, node: usize) -> &mut NodeEntry {
        &mut self.nodes[node]
    }

    /// The graph: handles that are no links come from outside.
    ///
    /// # Panics
    ///
    /// If the target of a link was not added.
    ///
    /// ```
    /// # use cyclegc::objgraph::{GraphBuilder, NodeInfo};
    /// let mut builder = GraphBuilder::new();
    /// builder.node(NodeInfo::new("Window", 64).ref_count(3));
    /// assert_eq!(builder.finish().node(0).outside_count(), 3);
    /// ```
    #[must_use]
    pub fn finish(mut self) -> ObjectGraph {
        for (target, weak) in self.targets.iter().zip(&self.weak) {
            let target = self.nodes.get_mut(*target as usize);
            let target = target.expect("a link's target is a node");
            target.outside_count -= u32::from(!weak && target.outside_count > 0);
        }
        let starts = self.sort_links();
        self.nodes.shrink_to_fit();
        self.targets.shrink_to_fit();
        self.link_names.shrink_to_fit();
        self.weak.shrink_to_fit();
        // INVARIANT: 1 and 2 of `graph.rs`.
        ObjectGraph {
            types: self.types,
            nodes: self.nodes,
            starts,
            targets: self.targets,
            link_names: self.link_names,
            weak: self.weak,
            names: self.names.finish(),
            stacks: self.stacks.finish(),
            origins: self.origins,
            referrers: OnceLock::new(),
            is_shared: self.is_shared,
        }
    }

    /// Sorts the links by their source, unless they were given so; where those of each
    /// node start.
    fn sort_links(&mut self) -> Vec<u32> {
        let mut starts = Vec::with_capacity(self.ranges.len() + 1);
        let mut end = 0;
        let mut is_sorted = true;
        starts.push(0);
        for (first, last) in &self.ranges {
            is_sorted &= first == last || *first == end;
            end += last - first;
            starts.push(end);
        }
        if !is_sorted {
            let order: Vec<usize> = self
                .ranges
                .iter()
                .flat_map(|(first, last)| *first as usize..*last as usize)
                .collect();
            self.targets = order.iter().map(|link| self.targets[*link]).collect();
            self.link_names = order.iter().map(|link| self.link_names[*link]).collect();
            self.weak = order.iter().map(|link| self.weak[*link]).collect();
        }
        starts
    }
}

impl std::fmt::Debug for GraphBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GraphBuilder")
            .field("nodes", &self.nodes.len())
            .field("links", &self.targets.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_may_be_given_in_any_order_of_sources() {
        let mut builder = GraphBuilder::new();
        let nodes = [0; 3].map(|_| builder.node(NodeInfo::new("T", 1).ref_count(1)));
        builder.links_of(nodes[2]);
        builder.link(".c", nodes[0]);
        builder.links_of(nodes[0]);
        builder.link(".a", nodes[1]);
        builder.weak_link(".b", nodes[2]);
        let graph = builder.finish();
        let links = |node| -> Vec<String> {
            let links = graph.node(node).links();
            links
                .map(|link| format!("{}{}", link, link.target().index()))
                .collect()
        };
        assert_eq!(links(0), [".a1", ".b2"]);
        assert_eq!(links(1), [""; 0]);
        assert_eq!(links(2), [".c0"]);
        let roots: Vec<usize> = graph
            .nodes()
            .filter(|n| n.is_root())
            .map(|n| n.index())
            .collect();
        assert_eq!(roots, [2]);
        let from: Vec<usize> = graph
            .node(2)
            .referrers()
            .map(|l| l.source().index())
            .collect();
        assert_eq!(from, [0]);
    }
}
