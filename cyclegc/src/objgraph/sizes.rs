//! Sizes of objects with all they reach.

use std::fmt;
use std::ops::Range;

use super::bytes::bytes;
use super::graph::ObjectGraph;
use super::handle::Handle;
use super::node::Node;
use super::snapshot::snapshot_for;

/// The sizes of an object and of what it refers to, `detail` levels deep (Pympler's
/// `asizeof.asized`).
///
/// What is reached twice counts where it is reached first. Weak references are not
/// followed. Costs a snapshot.
///
/// ```
/// use cyclegc::{Gc, objgraph};
///
/// let shared = Gc::new([0_u8; 1000]);
/// let pair = Gc::new((shared.clone(), shared));
/// let sizes = objgraph::asized(&pair, 1);
/// assert_eq!(sizes.size, sizes.flat + sizes.refs[0].size);
/// assert_eq!(sizes.refs[1].size, 0); // counted before
/// assert_eq!(sizes.size, cyclegc::deep_size_of(&pair));
/// ```
///
/// # Panics
///
/// As [`snapshot`](super::snapshot).
#[must_use]
pub fn asized(handle: &impl Handle, detail: usize) -> Asized {
    let (graph, node) = snapshot_for(handle);
    node.map(|node| graph.asized(graph.node(node), detail))
        .unwrap_or_default()
}

/// Sizes of an object and of what it refers to; prints as Pympler's `format`.
///
/// ```
/// use cyclegc::{Gc, objgraph};
///
/// let list = Gc::new(vec![Gc::new(1)]);
/// let text = objgraph::asized(&list, 1).to_string();
/// assert!(text.starts_with("Vec<Gc<i32>> #"));
/// assert!(text.contains("\n    [0]: i32 #"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asized {
    /// Where the handle is in the object above; empty at the top.
    pub link: String,
    /// Type and number of the object.
    pub name: String,
    /// The bytes of the object and of all it reaches that was not counted before.
    pub size: usize,
    /// The bytes of the object itself.
    pub flat: usize,
    /// What it refers to, largest first.
    pub refs: Vec<Asized>,
}

impl fmt::Display for Asized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Depth and object, next last.
        let mut waiting = vec![(0, self)];
        while let Some((depth, this)) = waiting.pop() {
            write!(f, "{:1$}", "", 4 * depth)?;
            if depth > 0 {
                write!(f, "{}: ", this.link)?;
            }
            writeln!(
                f,
                "{} size={} flat={}",
                this.name,
                bytes(this.size),
                bytes(this.flat)
            )?;
            waiting.extend(this.refs.iter().rev().map(|below| (depth + 1, below)));
        }
        Ok(())
    }
}

/// An object whose references are being looked at.
struct Open<'g> {
    node: Node<'g>,
    /// Those that were not looked at.
    links: Range<usize>,
    sizes: Asized,
}

impl ObjectGraph {
    /// The bytes of an object and of all it reaches, each once.
    ///
    /// Costs a look at all that is reached.
    ///
    /// ```
    /// use cyclegc::{Gc, objgraph};
    ///
    /// let list = Gc::new(vec![Gc::new(1)]);
    /// let graph = objgraph::snapshot();
    /// let size = graph.deep_size(graph.find(&list).unwrap());
    /// assert_eq!(size, cyclegc::deep_size_of(&list));
    /// ```
    #[must_use]
    pub fn deep_size(&self, node: Node<'_>) -> usize {
        self.unseen_size(node.index(), &mut vec![false; self.len()])
    }

    /// The bytes of what a node reaches and `seen` does not have yet.
    fn unseen_size(&self, node: usize, seen: &mut [bool]) -> usize {
        let mut size_bytes = 0;
        let mut waiting = Vec::new();
        if !std::mem::replace(&mut seen[node], true) {
            waiting.push(node);
        }
        while let Some(node) = waiting.pop() {
            size_bytes += self.nodes[node].size_bytes;
            for target in self.strong_targets(node) {
                let target = target as usize;
                if !std::mem::replace(&mut seen[target], true) {
                    waiting.push(target);
                }
            }
        }
        size_bytes
    }

    /// As [`asized`].
    ///
    /// ```
    /// use cyclegc::{Gc, objgraph};
    ///
    /// let list = Gc::new(vec![Gc::new(1)]);
    /// let graph = objgraph::snapshot();
    /// let sizes = graph.asized(graph.find(&list).unwrap(), 1);
    /// assert_eq!(sizes.refs[0].link, "[0]");
    /// ```
    #[must_use]
    pub fn asized(&self, node: Node<'_>, detail: usize) -> Asized {
        let mut seen = vec![false; self.len()];
        let mut path = vec![self.open(node.index(), String::new(), detail, &mut seen)];
        loop {
            let depth = path.len();
            let Some(open) = path.last_mut() else {
                return Asized::default();
            };
            let below = open.links.find(|link| !self.weak[*link]);
            if depth <= detail
                && let Some(link) = below
            {
                let link = self.link(open.node.index(), link);
                let target = link.target().index();
                // Deeper ones are counted as a whole.
                let left = detail - depth;
                let next = self.open(target, link.name(), left, &mut seen);
                path.push(next);
                continue;
            }
            let Some(mut done) = path.pop() else {
                return Asized::default();
            };
            done.sizes
                .refs
                .sort_by_key(|sizes| std::cmp::Reverse(sizes.size));
            match path.last_mut() {
                Some(above) => {
                    above.sizes.size += done.sizes.size;
                    above.sizes.refs.push(done.sizes);
                }
                None => return done.sizes,
            }
        }
    }

    /// Counts a node, with all it reaches if no level is left below it.
    fn open(&self, node: usize, link: String, levels: usize, seen: &mut [bool]) -> Open<'_> {
        let node = self.node(node);
        let is_counted = seen[node.index()];
        let flat = if is_counted { 0 } else { node.size() };
        let size = if levels == 0 {
            self.unseen_size(node.index(), seen)
        } else {
            seen[node.index()] = true;
            flat
        };
        Open {
            node,
            // What was counted before is not listed again.
            links: if is_counted || levels == 0 {
                0..0
            } else {
                self.links_of(node.index())
            },
            sizes: Asized {
                link,
                name: node.to_string(),
                size,
                flat,
                refs: Vec::new(),
            },
        }
    }
}
