//! Sizes, against plain computations.

use cyclegc::objgraph::{self, GraphBuilder, NodeInfo, ObjectGraph};
use proptest::prelude::*;

use super::node;

/// A graph with these links and outside handles.
fn graph(count: usize, links: &[(usize, usize)], roots: &[usize]) -> ObjectGraph {
    let mut builder = GraphBuilder::new();
    for index in 0..count {
        let links_to = links.iter().filter(|(_, target)| *target == index).count();
        let held = roots.iter().filter(|root| **root == index).count();
        let handles = u32::try_from(links_to + held).expect("few");
        builder.node(NodeInfo::new("T", 1 + index * 7 % 5).ref_count(handles));
    }
    for index in 0..count {
        builder.links_of(index);
        for (_, target) in links.iter().filter(|(source, _)| *source == index) {
            builder.link(".x", *target);
        }
    }
    builder.finish()
}

/// The nodes that are reached from those that suit without going through `without`.
fn reached(
    graph: &ObjectGraph,
    suits: impl Fn(usize) -> bool,
    without: Option<usize>,
) -> Vec<bool> {
    let mut reached = vec![false; graph.len()];
    let mut waiting: Vec<usize> = (0..graph.len()).filter(|node| suits(*node)).collect();
    while let Some(index) = waiting.pop() {
        if Some(index) != without && !std::mem::replace(&mut reached[index], true) {
            waiting.extend(graph.node(index).links().map(|link| link.target().index()));
        }
    }
    reached
}

proptest! {
    #[test]
    fn retained_sizes_are_what_taking_the_object_away_frees(
        links in prop::collection::vec((0..12_usize, 0..12_usize), 0..40),
        roots in prop::collection::vec(0..12_usize, 0..4),
    ) {
        let graph = graph(12, &links, &roots);
        let dominators = graph.dominators();
        let all = reached(&graph, |node| graph.node(node).is_root(), None);
        for node in graph.nodes().filter(|node| all[node.index()]) {
            // Garbage holds what it refers to, until it is collected.
            let holds = |node: usize| graph.node(node).is_root() || !all[node];
            let left = reached(&graph, holds, Some(node.index()));
            let lost = graph.nodes().filter(|n| all[n.index()] && !left[n.index()]);
            let expected: usize = lost.map(|node| node.size()).sum();
            prop_assert_eq!(dominators.retained_size(node), expected);
        }
        let tops = dominators.top().into_iter();
        let total: usize = tops.map(|node| dominators.retained_size(node)).sum();
        prop_assert_eq!(total, graph.total_bytes());
        for node in graph.nodes() {
            for below in dominators.dominated(node) {
                prop_assert_eq!(dominators.immediate_dominator(below), Some(node));
            }
            prop_assert_eq!(dominators.dominated(node).len(), dominators.dominated_count(node));
        }
    }

    #[test]
    fn cycles_are_the_sets_that_reach_each_other(
        links in prop::collection::vec((0..9_usize, 0..9_usize), 0..20),
    ) {
        let graph = graph(9, &links, &[]);
        let mut reaches = vec![vec![false; 9]; 9];
        for (source, target) in &links {
            reaches[*source][*target] = true;
        }
        for middle in 0..9 {
            for source in 0..9 {
                for target in 0..9 {
                    reaches[source][target] |= reaches[source][middle] && reaches[middle][target];
                }
            }
        }
        let in_cycles = (0..9).filter(|node| reaches[*node][*node]).count();
        let report = graph.cycles();
        prop_assert_eq!(report.groups.iter().map(|g| g.object_count).sum::<usize>(), in_cycles);
        for group in &report.groups {
            let ids: Vec<usize> =
                group.circle.iter().map(|s| s.id.number() as usize - 1).collect();
            for (index, from) in ids.iter().enumerate() {
                let to = ids[(index + 1) % ids.len()];
                prop_assert!(links.contains(&(*from, to)));
            }
        }
    }
}

#[test]
fn asized_counts_each_object_once_and_stops_at_the_detail() {
    let top = node("top");
    let shared = super::chain(3);
    top.left.replace(Some(shared.clone()));
    top.children.borrow_mut().push(shared.clone());
    let deep = cyclegc::deep_size_of(&top);
    for detail in 0..5 {
        assert_eq!(objgraph::asized(&top, detail).size, deep);
    }
    assert!(objgraph::asized(&top, 0).refs.is_empty());
    let two = objgraph::asized(&top, 2);
    let sizes: Vec<_> = two
        .refs
        .iter()
        .map(|r| (r.link.as_str(), r.size > 0))
        .collect();
    assert_eq!(sizes, [(".left", true), (".children[0]", false)]);
    assert_eq!(two.refs[0].refs[0].refs, [], "two levels");
    let text = two.to_string();
    let indents: Vec<usize> = text
        .lines()
        .map(|l| l.len() - l.trim_start().len())
        .collect();
    assert_eq!(indents, [0, 4, 8, 4], "{text}");
}
