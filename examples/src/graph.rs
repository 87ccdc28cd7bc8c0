//! The word graph: which words stand next to each other, and how often.
//!
//! Nodes are words, edges are undirected and carry a count. Every node owns its
//! name, and so does every end of every edge: simple, and many small strings.
//!
//! # Invariants
//! 1. `neighbours[a].counts[b] == neighbours[b].counts[a]`, and no word is its
//!    own neighbour.
//! 2. `neighbours[a].total` is the sum of `neighbours[a].counts`.
//! 3. `pair_count` is half the sum of all totals.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

/// Words and how often each stood next to each other.
#[derive(Debug, Default)]
pub struct Graph {
    neighbours: HashMap<String, Node>,
    pair_count: u64,
}

#[derive(Debug, Default)]
struct Node {
    counts: BTreeMap<String, u64>,
    total: u64,
}

impl Node {
    fn add(&mut self, word: &str, count: u64) {
        self.total += count;
        match self.counts.get_mut(word) {
            Some(sum) => *sum += count,
            None => {
                self.counts.insert(word.to_owned(), count);
            }
        }
    }
}

/// One edge, and how much it says.
#[derive(Clone, Debug, PartialEq)]
pub struct Association<'g> {
    /// The word that sorts first.
    pub first: &'g str,
    /// The other.
    pub second: &'g str,
    /// How often they stood together.
    pub count: u64,
    /// Dunning's log-likelihood ratio: how surprising `count` is.
    pub strength: f64,
}

impl Graph {
    /// Records that `a` and `b` stood together once.
    pub fn connect(&mut self, a: &str, b: &str) {
        if a == b {
            return;
        }
        self.node(a).add(b, 1);
        self.node(b).add(a, 1);
        self.pair_count += 1;
    }

    fn node(&mut self, word: &str) -> &mut Node {
        if !self.neighbours.contains_key(word) {
            self.neighbours.insert(word.to_owned(), Node::default());
        }
        self.neighbours.get_mut(word).expect("inserted above")
    }

    /// Takes over everything in `other`, whichever thread made it.
    pub fn merge(&mut self, other: Self) {
        self.pair_count += other.pair_count;
        for (word, node) in other.neighbours {
            match self.neighbours.entry(word) {
                Entry::Vacant(free) => {
                    free.insert(node);
                }
                Entry::Occupied(mut taken) => {
                    let ours = taken.get_mut();
                    ours.total += node.total;
                    for (neighbour, count) in node.counts {
                        *ours.counts.entry(neighbour).or_default() += count;
                    }
                }
            }
        }
    }

    /// How many words have a neighbour.
    #[must_use]
    pub fn word_count(&self) -> usize {
        self.neighbours.len()
    }

    /// How many pairs of words stand next to each other somewhere.
    #[must_use]
    pub fn edge_count(&self) -> usize {
        let ends: usize = self.neighbours.values().map(|node| node.counts.len()).sum();
        ends / 2
    }

    /// How often `a` and `b` stood together.
    #[must_use]
    pub fn count(&self, a: &str, b: &str) -> u64 {
        let node = self.neighbours.get(a);
        node.and_then(|node| node.counts.get(b))
            .copied()
            .unwrap_or(0)
    }

    /// How many different neighbours `word` has.
    #[must_use]
    pub fn degree(&self, word: &str) -> usize {
        self.neighbours
            .get(word)
            .map_or(0, |node| node.counts.len())
    }

    /// The neighbours of `word`, the most frequent first.
    #[must_use]
    pub fn strongest_neighbours(&self, word: &str) -> Vec<(&str, u64)> {
        let Some(node) = self.neighbours.get(word) else {
            return Vec::new();
        };
        let mut list: Vec<_> = node.counts.iter().map(|(w, &n)| (w.as_str(), n)).collect();
        list.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        list
    }

    /// All words by the number of their neighbours, the best connected first.
    #[must_use]
    pub fn most_connected(&self) -> Vec<(&str, usize)> {
        let nodes = self.neighbours.iter();
        let mut list: Vec<_> = nodes
            .map(|(w, node)| (w.as_str(), node.counts.len()))
            .collect();
        list.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        list
    }

    /// The pairs that stand together more often than chance would have it, the
    /// most surprising first; pairs seen fewer than `least_count` times are left out.
    #[must_use]
    pub fn associations(&self, least_count: u64) -> Vec<Association<'_>> {
        let mut list = Vec::new();
        for (first, node) in &self.neighbours {
            let seconds = node
                .counts
                .range::<str, _>((Bound::Excluded(first.as_str()), Bound::Unbounded));
            for (second, &count) in seconds.filter(|&(_, &count)| count >= least_count) {
                let other = self.neighbours[second].total;
                if let Some(strength) = surprise(count, node.total, other, self.pair_count) {
                    list.push(Association {
                        first,
                        second,
                        count,
                        strength,
                    });
                }
            }
        }
        list.sort_by(|a, b| {
            let by_strength = b.strength.total_cmp(&a.strength);
            by_strength.then_with(|| (a.first, a.second).cmp(&(b.first, b.second)))
        });
        list
    }

    /// A path with the fewest steps; of those, one along the most frequent pairs.
    ///
    /// `None` if a word has no neighbours or the two are not connected.
    #[must_use]
    pub fn shortest_path<'g>(&'g self, from: &str, to: &str) -> Option<Vec<&'g str>> {
        let reached = self.search(from, Some(to))?;
        let (mut word, _) = self.neighbours.get_key_value(to)?;
        let mut path = vec![word.as_str()];
        while word != from {
            let previous = reached.get(word.as_str())?.previous;
            (word, _) = self.neighbours.get_key_value(previous)?;
            path.push(word);
        }
        path.reverse();
        Some(path)
    }

    /// How many steps each word is away from `from`.
    #[must_use]
    pub fn distances(&self, from: &str) -> HashMap<&str, usize> {
        let reached = self.search(from, None).unwrap_or_default();
        reached
            .into_iter()
            .map(|(word, reach)| (word, reach.steps))
            .collect()
    }

    /// Breadth first from `from`, one ring of words after the other, until the
    /// ring with `to` is complete.
    fn search<'g>(&'g self, from: &str, to: Option<&str>) -> Option<HashMap<&'g str, Reach<'g>>> {
        let (from, _) = self.neighbours.get_key_value(from)?;
        let start = Reach {
            steps: 0,
            weight: 0,
            previous: from,
        };
        let mut reached = HashMap::from([(from.as_str(), start)]);
        let mut ring = vec![from.as_str()];
        let mut steps = 0;
        while !ring.is_empty() && to.is_none_or(|to| !reached.contains_key(to)) {
            steps += 1;
            let mut next_ring = Vec::new();
            for word in ring {
                let weight = reached[word].weight;
                for (neighbour, count) in &self.neighbours[word].counts {
                    let reach = Reach {
                        steps,
                        weight: weight + count,
                        previous: word,
                    };
                    match reached.get_mut(neighbour.as_str()) {
                        None => {
                            reached.insert(neighbour, reach);
                            next_ring.push(neighbour.as_str());
                        }
                        Some(known) if known.steps == steps && reach.beats(known) => *known = reach,
                        Some(_) => {}
                    }
                }
            }
            ring = next_ring;
        }
        Some(reached)
    }
}

/// How a search came to a word.
struct Reach<'g> {
    steps: usize,
    /// The counts along the way.
    weight: u64,
    previous: &'g str,
}

impl Reach<'_> {
    /// Of two ways with as many steps; the order of the search does not matter.
    fn beats(&self, other: &Self) -> bool {
        self.weight > other.weight
            || (self.weight == other.weight && self.previous < other.previous)
    }
}

/// Dunning's log-likelihood ratio of a pair seen `both` times among `all` pairs,
/// of which `first` and `second` hold one or the other word.
///
/// `None` if the pair is no more frequent than chance.
fn surprise(both: u64, first: u64, second: u64, all: u64) -> Option<f64> {
    // Exact: no text has 2^53 pairs.
    let float = |count: u64| count as f64;
    let (n, row, column) = (float(all), float(first), float(second));
    if float(both) * n <= row * column {
        return None;
    }
    let term = |seen: u64, row: f64, column: f64| {
        let expected = row * column / n;
        if seen == 0 {
            0.0
        } else {
            float(seen) * (float(seen) / expected).ln()
        }
    };
    let sum = term(both, row, column)
        + term(first - both, row, n - column)
        + term(second - both, n - row, column)
        + term(all + both - first - second, n - row, n - column);
    Some(2.0 * sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(pairs: &[(&str, &str)]) -> Graph {
        let mut graph = Graph::default();
        for (a, b) in pairs {
            graph.connect(a, b);
        }
        graph
    }

    /// Invariants 1 to 3 of the module.
    fn check(graph: &Graph) {
        let mut ends = 0;
        for (word, node) in &graph.neighbours {
            assert!(
                !node.counts.contains_key(word),
                "{word} is its own neighbour"
            );
            assert_eq!(node.total, node.counts.values().sum::<u64>());
            for (neighbour, &count) in &node.counts {
                assert_eq!(graph.count(neighbour, word), count);
            }
            ends += node.total;
        }
        assert_eq!(graph.pair_count * 2, ends);
    }

    #[test]
    fn edges_count_in_both_directions() {
        let graph = graph(&[("free", "list"), ("list", "free"), ("free", "free")]);
        assert_eq!(graph.count("free", "list"), 2);
        assert_eq!(graph.count("list", "free"), 2);
        assert_eq!(graph.count("free", "free"), 0);
        assert_eq!(graph.edge_count(), 1);
        check(&graph);
    }

    #[test]
    fn merging_parts_equals_building_at_once() {
        let pairs = [("a", "b"), ("b", "c"), ("a", "b"), ("c", "d"), ("a", "d")];
        let whole = graph(&pairs);
        let mut merged = graph(&pairs[..2]);
        merged.merge(graph(&pairs[2..4]));
        merged.merge(graph(&pairs[4..]));
        check(&merged);
        for word in ["a", "b", "c", "d"] {
            assert_eq!(
                whole.strongest_neighbours(word),
                merged.strongest_neighbours(word)
            );
        }
        assert_eq!(whole.associations(1), merged.associations(1));
    }

    #[test]
    fn neighbours_are_ranked_by_count_then_alphabet() {
        let graph = graph(&[("x", "b"), ("x", "a"), ("x", "c"), ("c", "x")]);
        assert_eq!(
            graph.strongest_neighbours("x"),
            [("c", 2), ("a", 1), ("b", 1)]
        );
        assert_eq!(graph.most_connected()[0], ("x", 3));
        assert!(graph.strongest_neighbours("unknown").is_empty());
    }

    #[test]
    fn the_shortest_path_prefers_frequent_pairs() {
        let graph = graph(&[
            ("a", "b"),
            ("b", "z"),
            ("a", "c"),
            ("c", "z"),
            ("c", "z"),
            ("z", "end"),
        ]);
        assert_eq!(
            graph.shortest_path("a", "end").unwrap(),
            ["a", "c", "z", "end"]
        );
        assert_eq!(graph.shortest_path("a", "a").unwrap(), ["a"]);
        assert_eq!(graph.distances("a")["end"], 3);
    }

    #[test]
    fn a_long_way_round_is_not_taken_however_frequent() {
        let mut graph = graph(&[("a", "z")]);
        for _ in 0..9 {
            graph.merge(self::graph(&[("a", "m"), ("m", "z")]));
        }
        assert_eq!(graph.shortest_path("a", "z").unwrap(), ["a", "z"]);
    }

    #[test]
    fn words_that_are_not_connected_have_no_path() {
        let graph = graph(&[("a", "b"), ("x", "y")]);
        assert_eq!(graph.shortest_path("a", "x"), None);
        assert_eq!(graph.shortest_path("a", "unknown"), None);
        assert_eq!(graph.shortest_path("unknown", "a"), None);
    }

    #[test]
    fn surprise_is_the_textbook_value() {
        // The 2x2 table 110, 2442, 111, 29114 of Dunning (1993), table 2, first row
        // group "the swiss": -2 log lambda = 270.72.
        let strength = surprise(110, 110 + 2442, 110 + 111, 110 + 2442 + 111 + 29114).unwrap();
        assert!((strength - 270.72).abs() < 0.01, "{strength}");
    }

    #[test]
    fn pairs_that_chance_explains_are_no_association() {
        assert_eq!(surprise(1, 10, 10, 100), None);
        assert!(surprise(2, 10, 10, 100).is_some());
    }
}
