//! `why_alive`: what keeps an object alive.

use std::fmt;

use super::chain::{Chain, Toward};
use super::graph::ObjectGraph;
use super::handle::Handle;
use super::node::Node;
use super::snapshot::snapshot_for;

/// What keeps an object alive: the shortest chain to it from an object that is held
/// from outside the graph, by a local variable, a static, an `Rc` or a borrowed cell.
///
/// The handle that asks does not count, unless it lies in an object of the graph itself.
/// Prints the answer as text. Costs a snapshot; [`ObjectGraph::why_alive`] asks one that
/// is there.
///
/// Built with `--cfg cyclegc_provenance`, it also says where the handles from outside
/// were made or cloned.
///
/// ```
/// use std::cell::RefCell;
/// use cyclegc::{Gc, Trace, objgraph};
///
/// #[derive(Trace)]
/// struct Cache {
///     entries: RefCell<Vec<Gc<Page>>>,
/// }
///
/// #[derive(Trace)]
/// struct Page {
///     #[trace(skip)]
///     bytes: Vec<u8>,
///     next: Option<Gc<Page>>,
/// }
///
/// let cache = Gc::new(Cache { entries: RefCell::default() });
/// let page = Gc::new(Page { bytes: vec![0; 4096], next: None });
/// cache.entries.borrow_mut().push(page.clone());
/// let why = objgraph::why_alive(&page);
/// assert_eq!(why.chain.steps[0].type_name, "Cache");
/// assert_eq!(why.chain.steps[0].link.as_deref(), Some(".entries[0]"));
/// assert_eq!(why.outside_count(), 1); // `cache`
/// println!("{why}");
/// ```
///
/// # Panics
///
/// As [`snapshot`](super::snapshot).
#[must_use]
pub fn why_alive(handle: &impl Handle) -> WhyAlive {
    let (graph, node) = snapshot_for(handle);
    let Some(node) = node else {
        return WhyAlive::default();
    };
    graph.why_alive(graph.node(node))
}

/// The answer of [`why_alive`].
///
/// ```
/// use cyclegc::{Gc, objgraph};
///
/// let list = Gc::new(vec![Gc::new(1)]);
/// let second = list.clone();
/// let why = objgraph::why_alive(&list);
/// assert_eq!((why.is_reachable, why.outside_count()), (true, 1));
/// # drop(second);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WhyAlive {
    /// From the object that is held from outside to the one in question; only the latter
    /// if nothing outside leads to it.
    pub chain: Chain,
    /// Whether a handle from outside leads to the object. If not, it is garbage that
    /// waits for the collector, or only the asking handle holds it.
    pub is_reachable: bool,
    /// Whether [`garbage`](crate::garbage) holds it, or what refers to it.
    pub is_saved: bool,
    /// Objects of the graph with cells that were borrowed when it was taken: handles in
    /// these seem to be outside.
    pub hiding_count: usize,
    /// Where handles from outside to the chain's first object were made or cloned;
    /// known only with `--cfg cyclegc_provenance`.
    pub origins: Vec<String>,
}

impl WhyAlive {
    /// The number of handles from outside that hold the chain's first object.
    #[must_use]
    pub fn outside_count(&self) -> usize {
        self.chain
            .steps
            .first()
            .map_or(0, |step| step.outside_count)
    }
}

impl ObjectGraph {
    /// What kept an object alive; see [`why_alive`].
    ///
    /// Handles of the asker count here, unless the graph was
    /// [`asked_with`](super::SnapshotOptions::asked_with) it.
    ///
    /// ```
    /// use cyclegc::{Gc, objgraph};
    ///
    /// let list = Gc::new(vec![Gc::new(1)]);
    /// let graph = objgraph::snapshot();
    /// let leaf = graph.nodes().find(|node| node.type_name() == "i32").unwrap();
    /// assert_eq!(graph.why_alive(leaf).chain.steps.len(), 2);
    /// # drop(list);
    /// ```
    #[must_use]
    pub fn why_alive(&self, node: Node<'_>) -> WhyAlive {
        let is_held = |suits: &dyn Fn(Node<'_>) -> bool| {
            let way = self.search(node, Toward::Backrefs, usize::MAX, suits);
            way.is_some()
        };
        let is_reachable = is_held(&|node| node.is_root());
        let chain = self.backref_chain(node, usize::MAX, |node| node.is_root());
        let holder = chain.steps.first().and_then(|step| self.by_id(step.id));
        WhyAlive {
            origins: holder
                .map(|holder| holder.origins().to_vec())
                .unwrap_or_default(),
            chain,
            is_reachable,
            is_saved: !is_reachable && is_held(&|node| node.is_saved()),
            hiding_count: self.nodes().filter(|node| node.hides_links()).count(),
        }
    }
}

impl fmt::Display for WhyAlive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(last) = self.chain.steps.last() else {
            return writeln!(f, "The object is not in the graph.");
        };
        let name = format!("{} {}", last.type_name, last.id);
        if !self.is_reachable {
            writeln!(f, "{name} is not held from outside.")?;
            return if self.is_saved {
                writeln!(
                    f,
                    "It is garbage that was saved: `take_garbage` lets it go."
                )
            } else {
                writeln!(f, "Besides the handle that asks, only garbage can hold it.")
            };
        }
        let count = match self.outside_count() {
            1 => "1 handle".to_owned(),
            count => format!("{count} handles"),
        };
        if self.chain.steps.len() == 1 {
            writeln!(f, "{name} is held from outside by {count}.")?;
        } else {
            writeln!(f, "{name} is alive because of this chain:")?;
            write!(f, "{}", self.chain)?;
        }
        if !self.origins.is_empty() {
            writeln!(f, "Handles from outside were made at:")?;
            for origin in &self.origins {
                writeln!(f, "  {origin}")?;
            }
        }
        match self.hiding_count {
            0 => Ok(()),
            1 => writeln!(f, "A cell was borrowed: what it holds seems to be outside."),
            count => writeln!(
                f,
                "In {count} objects a cell was borrowed: what they hold seems to be outside."
            ),
        }
    }
}
