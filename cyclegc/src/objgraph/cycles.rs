//! Cycles: objects that keep each other alive.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use super::bytes::bytes;
use super::components::Components;
use super::graph::{ObjectGraph, ObjectId};
use super::stacks::Frame;

/// What [`cycles`](super::cycles) found: cycles of the same shape together.
///
/// A *cycle* here is a set of objects that all reach each other, which may hold many
/// circles; its shape is the shortest one through one of its objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CycleReport {
    /// Garbage first, then those with the most bytes.
    pub groups: Vec<CycleGroup>,
}

/// Cycles of the same shape.
///
/// ```
/// use cyclegc::{AnyGc, Gc, objgraph};
/// use std::cell::RefCell;
///
/// let list = Gc::new(RefCell::new(Vec::<AnyGc>::new()));
/// list.borrow_mut().push((&list).into());
/// let report = objgraph::cycles();
/// let around = &report.groups[0].circle;
/// assert_eq!((around.len(), around[0].link.as_str()), (1, "[0]"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CycleGroup {
    /// How many there are.
    pub count: usize,
    /// The objects of all of them.
    pub object_count: usize,
    /// The bytes of these objects.
    pub bytes: usize,
    /// Whether nothing outside reaches them.
    pub is_garbage: bool,
    /// Whether [`garbage`](crate::garbage) holds them.
    pub is_saved: bool,
    /// The shortest circle in one of them.
    pub circle: Vec<CycleStep>,
}

/// An object of [`CycleGroup::circle`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CycleStep {
    /// The object.
    pub id: ObjectId,
    /// Its type, without modules.
    pub type_name: String,
    /// Where in it the handle to the next one is; the last refers to the first.
    pub link: String,
    /// Where it was made, if the snapshot knows.
    pub stack: Vec<Frame>,
}

impl CycleReport {
    /// The number of cycles.
    #[must_use]
    pub fn cycle_count(&self) -> usize {
        self.groups.iter().map(|group| group.count).sum()
    }

    /// The number of cycles that nothing outside reaches.
    #[must_use]
    pub fn garbage_count(&self) -> usize {
        let garbage = self.groups.iter().filter(|group| group.is_garbage);
        garbage.map(|group| group.count).sum()
    }

    /// Only those that nothing outside reaches.
    ///
    /// ```
    /// assert_eq!(cyclegc::objgraph::cycles().garbage().groups, []);
    /// ```
    #[must_use]
    pub fn garbage(mut self) -> Self {
        self.groups.retain(|group| group.is_garbage);
        self
    }
}

impl ObjectGraph {
    /// The cycles of the graph; see [`cycles`](super::cycles).
    ///
    /// Costs a few looks at every link.
    ///
    /// ```
    /// assert!(cyclegc::objgraph::snapshot().cycles().groups.is_empty());
    /// ```
    #[must_use]
    pub fn cycles(&self) -> CycleReport {
        let components = Components::of(self);
        let reached = self.reached_from_outside();
        let mut circles = Circles {
            graph: self,
            components: &components,
            came_by: vec![None; self.len()],
        };
        let mut places: HashMap<_, usize> = HashMap::new();
        let mut report = CycleReport::default();
        for component in 0..components.count() {
            let members = components.members(component);
            let Some(circle) = circles.through_first(members) else {
                continue;
            };
            let nodes = members.iter().map(|node| &self.nodes[*node as usize]);
            let is_garbage = !reached[members[0] as usize];
            let is_saved = members.iter().any(|n| self.node(*n as usize).is_saved());
            let shape: Vec<_> = circle.iter().map(|step| self.shape(*step)).collect();
            let place = places
                .entry((is_garbage, is_saved, shape))
                .or_insert_with(|| {
                    report.groups.push(CycleGroup {
                        count: 0,
                        object_count: 0,
                        bytes: 0,
                        is_garbage,
                        is_saved,
                        circle: circle.iter().map(|step| self.cycle_step(*step)).collect(),
                    });
                    report.groups.len() - 1
                });
            let group = &mut report.groups[*place];
            group.count += 1;
            group.object_count += members.len();
            group.bytes += nodes.map(|node| node.size_bytes).sum::<usize>();
        }
        report
            .groups
            .sort_by_key(|g| (!g.is_garbage, std::cmp::Reverse(g.bytes)));
        report
    }

    /// What the same step of other cycles has, too.
    fn shape(&self, (node, link): (u32, u32)) -> (u32, (u32, bool)) {
        let type_number = self.nodes[node as usize].type_number;
        (type_number, self.link_names[link as usize].shape())
    }

    fn cycle_step(&self, (node, link): (u32, u32)) -> CycleStep {
        let link = self.link(node as usize, link as usize);
        let node = link.source();
        CycleStep {
            id: node.id(),
            type_name: node.short_type_name(),
            link: link.name(),
            stack: node.stack(),
        }
    }
}

/// Finds the shortest circle through an object.
struct Circles<'g> {
    graph: &'g ObjectGraph,
    components: &'g Components,
    /// Node and link before, for those that were reached; none between searches.
    came_by: Vec<Option<(u32, u32)>>,
}

impl Circles<'_> {
    /// The shortest circle through a member, the same one in components of the same
    /// shape. `None` if the component is a single object that does not hold itself.
    fn through_first(&mut self, members: &[u32]) -> Option<Vec<(u32, u32)>> {
        let graph = self.graph;
        let key = |node: &&u32| (graph.nodes[**node as usize].type_number, **node);
        let start = *members.iter().min_by_key(key)?;
        let component = self.components.of_node[start as usize];
        let mut reached = Vec::new();
        let mut queue = VecDeque::from([start]);
        let mut circle = None;
        'search: while let Some(node) = queue.pop_front() {
            for link in graph.links_of(node as usize) {
                let target = graph.targets[link];
                #[allow(clippy::cast_possible_truncation, reason = "the builder has counted")]
                let step = (node, link as u32);
                if graph.weak[link] || self.components.of_node[target as usize] != component {
                    continue;
                }
                if target == start {
                    circle = Some(self.way_back(start, step));
                    break 'search;
                }
                if self.came_by[target as usize].is_none() {
                    self.came_by[target as usize] = Some(step);
                    reached.push(target);
                    queue.push_back(target);
                }
            }
        }
        for node in reached {
            self.came_by[node as usize] = None;
        }
        circle
    }

    fn way_back(&self, start: u32, last: (u32, u32)) -> Vec<(u32, u32)> {
        let mut steps = vec![last];
        let mut here = last.0;
        while here != start
            && let Some(step) = self.came_by[here as usize]
        {
            steps.push(step);
            here = step.0;
        }
        steps.reverse();
        steps
    }
}

/// Groups and steps that are printed.
const SHOWN: usize = 10;

impl fmt::Display for CycleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size: usize = self.groups.iter().map(|group| group.bytes).sum();
        let objects: usize = self.groups.iter().map(|group| group.object_count).sum();
        writeln!(
            f,
            "{} cycles, {objects} objects, {}; {} are garbage",
            self.cycle_count(),
            bytes(size),
            self.garbage_count(),
        )?;
        for group in self.groups.iter().take(SHOWN) {
            group.fmt(f)?;
        }
        match self.groups.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => writeln!(f, "and {more} more shapes"),
        }
    }
}

impl fmt::Display for CycleGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (self.is_garbage, self.is_saved) {
            (_, true) => "saved garbage",
            (true, false) => "garbage",
            (false, false) => "alive",
        };
        let (count, objects, size) = (self.count, self.object_count, bytes(self.bytes));
        writeln!(f, "{count} x {state}, {objects} objects, {size}:")?;
        for step in self.circle.iter().take(SHOWN) {
            writeln!(f, "  {} {}", step.type_name, step.id)?;
            if let Some(frame) = step.stack.first() {
                writeln!(f, "    made at {frame}")?;
            }
            writeln!(f, "    {}", step.link)?;
        }
        match (self.circle.len().saturating_sub(SHOWN), self.circle.first()) {
            (0, Some(first)) => writeln!(f, "  {} {} again", first.type_name, first.id),
            (more, _) => writeln!(f, "  and {more} more objects around"),
        }
    }
}
