//! What the explorer's page is given: a part of the graph, as JSON.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};

use super::class_tracker::type_names;
use super::dominators::Dominators;
use super::explorer::Explorer;
use super::graph::{NodeFlags, ObjectGraph};
use super::hash::FastHash;
use super::json::quoted;
use super::names::short_type_name;
use super::node::{Link, Node};
use super::output::Output;

/// Links of one object that the page has.
const LINKS: usize = 200;
/// Types, and shapes of cycles.
const ROWS: usize = 300;
/// Types whose growth is drawn.
const CURVES: usize = 40;

/// The part of a graph that a page shows, and what was computed for it.
pub(super) struct Data<'a> {
    explorer: &'a Explorer<'a>,
    graph: &'a ObjectGraph,
    dominators: Dominators<'a>,
    reached: Vec<bool>,
    first_links: Vec<Option<Link<'a>>>,
    /// Nodes of the page, with all that dominate them.
    chosen: Vec<usize>,
    places: HashMap<usize, usize, FastHash>,
}

impl<'a> Data<'a> {
    pub(super) fn of(explorer: &'a Explorer<'a>) -> Self {
        let graph = explorer.graph;
        let mut data = Data {
            explorer,
            graph,
            dominators: graph.dominators(),
            reached: graph.reached_from_outside(),
            first_links: graph.first_links(),
            chosen: Vec::new(),
            places: HashMap::default(),
        };
        data.choose(explorer.limit);
        data
    }

    /// The nodes that retain most; those on the way to them from outside; and all that
    /// dominate these.
    fn choose(&mut self, limit: usize) {
        let retained = |node: &usize| self.dominators.retained_size(self.graph.node(*node));
        let mut order: Vec<usize> = (0..self.graph.len()).collect();
        if order.len() > limit {
            order.select_nth_unstable_by_key(limit, |node| std::cmp::Reverse(retained(node)));
            order.truncate(limit);
        }
        let mut known: HashSet<usize, FastHash> = HashSet::default();
        let mut waiting = order.clone();
        while let Some(node) = waiting.pop() {
            // A chain of a million is not followed to its end.
            if known.len() > 2 * limit || !known.insert(node) {
                continue;
            }
            let dominator = self.dominators.immediate_dominator(self.graph.node(node));
            waiting.extend(dominator.map(Node::index));
            waiting.extend(self.first_links[node].map(|link| link.source().index()));
        }
        let mut chosen: Vec<usize> = known.into_iter().collect();
        chosen.sort_by_key(|node| (std::cmp::Reverse(retained(node)), *node));
        self.places = chosen
            .iter()
            .enumerate()
            .map(|(place, node)| (*node, place))
            .collect();
        self.chosen = chosen;
    }

    /// The place on the page, -1 if it is not there.
    fn place(&self, node: Option<Node<'_>>) -> i64 {
        let place = node.and_then(|node| self.places.get(&node.index()));
        place.map_or(-1, |place| i64::try_from(*place).unwrap_or(-1))
    }

    pub(super) fn write(&self, out: &mut Output<'_, impl Write>) -> io::Result<()> {
        out.format(format_args!("{{\"title\":{}", quoted(&self.explorer.title)))?;
        self.write_totals(out)?;
        self.write_types(out)?;
        self.write_nodes(out)?;
        self.write_links(out)?;
        self.write_cycles(out)?;
        self.write_growth(out)?;
        self.write_pauses(out)?;
        out.text("}")
    }

    fn write_totals(&self, out: &mut Output<'_, impl Write>) -> io::Result<()> {
        let mut generations = [(0_usize, 0_usize); 5];
        let mut garbage = (0_usize, 0_usize);
        let mut hiding_count = 0;
        let mut root_count = 0;
        for node in self.graph.nodes() {
            let sum = &mut generations[age(node)];
            sum.0 += 1;
            sum.1 += node.size();
            if !self.reached[node.index()] {
                garbage.0 += 1;
                garbage.1 += node.size();
            }
            hiding_count += usize::from(node.hides_links());
            root_count += usize::from(node.is_root());
        }
        out.format(format_args!(
            ",\n\"objects\":{},\"linkCount\":{},\"bytes\":{},\"roots\":{root_count},\
             \"garbage\":[{},{}],\"hiding\":{hiding_count},\"generations\":[",
            self.graph.len(),
            self.graph.link_count(),
            self.graph.total_bytes(),
            garbage.0,
            garbage.1,
        ))?;
        for (index, (count, bytes)) in generations.into_iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            out.format(format_args!("{comma}[{count},{bytes}]"))?;
        }
        out.text("]")
    }

    /// Short name, name, objects, bytes.
    fn write_types(&self, out: &mut Output<'_, impl Write>) -> io::Result<()> {
        let stats = self.graph.typestats();
        out.text(",\n\"types\":[")?;
        for (index, entry) in self.graph.types.iter().enumerate() {
            let comma = if index == 0 { "" } else { ",\n" };
            let (count, bytes) = stats.sums.get(&*entry.name).copied().unwrap_or((0, 0));
            let short = short_type_name(&entry.name);
            out.format(format_args!(
                "{comma}[{},{},{count},{bytes}]",
                quoted(&short),
                quoted(&entry.name)
            ))?;
        }
        out.text("]")
    }

    /// Type, number, bytes, retained bytes, handles, handles from outside, flags, place
    /// of the dominator, number of objects it dominates directly, place of the object
    /// that leads to it and the link's name, links, referrers, stack.
    fn write_nodes(&self, out: &mut Output<'_, impl Write>) -> io::Result<()> {
        out.text(",\n\"nodes\":[")?;
        for (place, index) in self.chosen.iter().enumerate() {
            let node = self.graph.node(*index);
            let comma = if place == 0 { "" } else { ",\n" };
            let first = self.first_links[*index];
            let way = first.map(|link| link.to_string()).unwrap_or_default();
            let stack: Vec<String> = node.stack().iter().map(ToString::to_string).collect();
            let stack: Vec<String> = stack.iter().map(|f| quoted(f).to_string()).collect();
            out.format(format_args!(
                "{comma}[{},{},{},{},{},{},{},{},{},{},{},{},{},[{}]]",
                node.entry().type_number,
                node.id().number(),
                node.size(),
                self.dominators.retained_size(node),
                node.ref_count(),
                node.outside_count(),
                self.flags(node),
                self.place(self.dominators.immediate_dominator(node)),
                self.dominators.dominated_count(node),
                self.place(first.map(Link::source)),
                quoted(&way),
                node.links().len(),
                node.referrers().len(),
                stack.join(",")
            ))?;
        }
        out.text("]")
    }

    fn flags(&self, node: Node<'_>) -> usize {
        let flags = node.entry().flags;
        age(node)
            | usize::from(node.has_finalizer()) << 3
            | usize::from(flags.contains(NodeFlags::HIDES_LINKS)) << 4
            | usize::from(flags.contains(NodeFlags::SAVED)) << 5
            | usize::from(!self.reached[node.index()]) << 6
    }

    /// Source, target, name, whether weak.
    fn write_links(&self, out: &mut Output<'_, impl Write>) -> io::Result<()> {
        out.text(",\n\"links\":[")?;
        let mut comma = "";
        for (place, index) in self.chosen.iter().enumerate() {
            for link in self.graph.node(*index).links().take(LINKS) {
                let target = self.place(Some(link.target()));
                if target >= 0 {
                    let weak = u8::from(link.is_weak());
                    let name = link.to_string();
                    out.format(format_args!(
                        "{comma}[{place},{target},{},{weak}]",
                        quoted(&name)
                    ))?;
                    comma = ",\n";
                }
            }
        }
        out.text("]")
    }

    fn write_cycles(&self, out: &mut Output<'_, impl Write>) -> io::Result<()> {
        let report = self.graph.cycles();
        out.text(",\n\"cycles\":[")?;
        for (index, group) in report.groups.iter().take(ROWS).enumerate() {
            let comma = if index == 0 { "" } else { ",\n" };
            out.format(format_args!(
                "{comma}{{\"count\":{},\"objects\":{},\"bytes\":{},\"garbage\":{},\"saved\":{},\"steps\":[",
                group.count, group.object_count, group.bytes, group.is_garbage, group.is_saved
            ))?;
            for (index, step) in group.circle.iter().take(LINKS).enumerate() {
                let comma = if index == 0 { "" } else { "," };
                out.format(format_args!(
                    "{comma}[{},{},{}]",
                    quoted(&step.type_name),
                    step.id.number(),
                    quoted(&step.link)
                ))?;
            }
            out.text("]}")?;
        }
        out.text("]")
    }

    /// For each snapshot label, milliseconds, objects, bytes, and objects and bytes of
    /// each type that `growthTypes` names.
    fn write_growth(&self, out: &mut Output<'_, impl Write>) -> io::Result<()> {
        let Some(snapshots) = &self.explorer.growth else {
            return Ok(());
        };
        let mut names = type_names(snapshots.iter().copied());
        names.truncate(CURVES);
        out.text(",\n\"growthTypes\":[")?;
        for (index, name) in names.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            out.format(format_args!("{comma}{}", quoted(&short_type_name(name))))?;
        }
        out.text("],\n\"growth\":[")?;
        for (index, snapshot) in snapshots.iter().enumerate() {
            let comma = if index == 0 { "" } else { ",\n" };
            out.format(format_args!(
                "{comma}[{},{:.3},{},{},[",
                quoted(&snapshot.label),
                snapshot.at.as_secs_f64() * 1e3,
                snapshot.object_count,
                snapshot.total_bytes
            ))?;
            for (index, name) in names.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                let (count, bytes) = snapshot.types.get(*name).copied().unwrap_or((0, 0));
                out.format(format_args!("{comma}{count},{bytes}"))?;
            }
            out.text("]]")?;
        }
        out.text("]")
    }

    /// Milliseconds, generation, microseconds, candidates, collected.
    fn write_pauses(&self, out: &mut Output<'_, impl Write>) -> io::Result<()> {
        let Some(pauses) = &self.explorer.collector else {
            return Ok(());
        };
        out.text(",\n\"pauses\":[")?;
        for (index, pause) in pauses.iter().enumerate() {
            let comma = if index == 0 { "" } else { ",\n" };
            out.format(format_args!(
                "{comma}[{:.3},{},{:.1},{},{}]",
                pause.at.as_secs_f64() * 1e3,
                pause.generation as u8,
                pause.stats.duration.as_secs_f64() * 1e6,
                pause.stats.candidates,
                pause.stats.collected
            ))?;
        }
        out.text("]")
    }
}

/// Young, middle, old, frozen, untracked.
fn age(node: Node<'_>) -> usize {
    match (node.is_tracked(), node.generation()) {
        (false, _) => 4,
        (true, Some(generation)) => generation as usize,
        (true, None) => 3,
    }
}
