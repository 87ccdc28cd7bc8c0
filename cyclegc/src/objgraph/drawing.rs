//! Drawings of parts of a graph: what an object refers to, and what refers to it.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::{fmt, fs, io};

use super::chain::{Chain, Toward};
use super::graph::ObjectGraph;
use super::handle::Handle;
use super::node::Node;
use super::snapshot::snapshot_for;
use super::{dot, svg};

type NodeTest<'a> = &'a dyn Fn(Node<'_>) -> bool;
type NodeText<'a> = &'a dyn Fn(Node<'_>) -> Option<String>;

/// How much is drawn, and how: the keyword arguments of objgraph's `show_refs`.
///
/// ```
/// use cyclegc::{Gc, objgraph, objgraph::DrawOptions};
///
/// let list = Gc::new(vec![Gc::new('x'), Gc::new('y')]);
/// let graph = objgraph::snapshot();
/// let options = DrawOptions { max_depth: 1, too_many: 1, ..DrawOptions::default() };
/// let drawing = graph.draw_refs(&[graph.find(&list).unwrap()], &options);
/// assert!(drawing.dot().contains("1 more reference"));
/// ```
#[derive(Clone, Copy)]
pub struct DrawOptions<'a> {
    /// How far from the objects.
    pub max_depth: usize,
    /// Of more links of one object, the rest is one box.
    pub too_many: usize,
    /// Writes the number of handles beside the type.
    pub refcounts: bool,
    /// Leaves modules out of types.
    pub shortnames: bool,
    /// Draws only objects that suit.
    pub filter: Option<NodeTest<'a>>,
    /// Draws these objects as roots are drawn.
    pub highlight: Option<NodeTest<'a>>,
    /// Writes this below the type.
    pub extra_info: Option<NodeText<'a>>,
}

impl Default for DrawOptions<'_> {
    /// objgraph's: 3 deep, 10 links, short names.
    fn default() -> Self {
        DrawOptions {
            max_depth: 3,
            too_many: 10,
            refcounts: false,
            shortnames: true,
            filter: None,
            highlight: None,
            extra_info: None,
        }
    }
}

impl fmt::Debug for DrawOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DrawOptions")
            .field("max_depth", &self.max_depth)
            .field("too_many", &self.too_many)
            .finish_non_exhaustive()
    }
}

/// Boxes and arrows, as DOT or SVG.
///
/// ```
/// use cyclegc::{Gc, objgraph};
///
/// let list = Gc::new(vec![Gc::new('x')]);
/// let drawing = objgraph::show_refs(&list);
/// assert!(drawing.dot().starts_with("digraph ObjectGraph {"));
/// assert!(drawing.svg().starts_with("<svg "));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Drawing {
    pub(super) boxes: Vec<Shape>,
    pub(super) arrows: Vec<Arrow>,
    /// Distance of the farthest box.
    pub(super) max_depth: usize,
    /// Whether arrows lead to the objects that were asked about.
    pub(super) is_backward: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// What DOT calls it.
    pub(super) name: String,
    pub(super) title: String,
    pub(super) detail: String,
    /// Distance from the objects that were asked about.
    pub(super) depth: usize,
    pub(super) role: Role,
    pub(super) has_finalizer: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Was asked about.
    Start,
    /// Is held from outside.
    Root,
    Plain,
    /// Stands for what is not drawn.
    More,
}

#[derive(Clone, Debug)]
pub(super) struct Arrow {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) label: String,
    pub(super) is_weak: bool,
}

/// What an object refers to, drawn (objgraph's `show_refs`).
///
/// Costs a snapshot; [`ObjectGraph::draw_refs`] takes options.
///
/// ```no_run
/// use cyclegc::{Gc, objgraph};
///
/// let list = Gc::new(vec![Gc::new('x')]);
/// objgraph::show_refs(&list).save("refs.svg")?;
/// # Ok::<_, std::io::Error>(())
/// ```
///
/// # Panics
///
/// As [`snapshot`](super::snapshot).
#[must_use]
pub fn show_refs(handle: &impl Handle) -> Drawing {
    let (graph, node) = snapshot_for(handle);
    let draw = |node| graph.draw_refs(&[graph.node(node)], &DrawOptions::default());
    node.map(draw).unwrap_or_default()
}

/// What refers to an object, drawn (objgraph's `show_backrefs`).
///
/// The handle that asks does not count. As [`show_refs`] otherwise.
///
/// ```
/// use cyclegc::{Gc, objgraph};
///
/// let list = Gc::new(vec![Gc::new('x')]);
/// let drawing = objgraph::show_backrefs(&list[0]);
/// assert!(drawing.dot().contains("Vec<Gc<char>>"));
/// ```
///
/// # Panics
///
/// As [`snapshot`](super::snapshot).
#[must_use]
pub fn show_backrefs(handle: &impl Handle) -> Drawing {
    let (graph, node) = snapshot_for(handle);
    let draw = |node| graph.draw_backrefs(&[graph.node(node)], &DrawOptions::default());
    node.map(draw).unwrap_or_default()
}

/// A chain, drawn (objgraph's `show_chain`).
///
/// ```
/// use cyclegc::{Gc, objgraph};
///
/// let list = Gc::new(vec![Gc::new('x')]);
/// let chain = objgraph::find_ref_chain(&list, |node| node.type_name() == "char");
/// assert!(objgraph::show_chain(&chain).dot().contains("[0]"));
/// ```
#[must_use]
pub fn show_chain(chain: &Chain) -> Drawing {
    let mut drawing = Drawing {
        is_backward: true,
        max_depth: chain.steps.len().saturating_sub(1),
        ..Drawing::default()
    };
    for (index, step) in chain.steps.iter().enumerate() {
        let depth = drawing.max_depth - index;
        let role = match step.outside_count {
            _ if depth == 0 => Role::Start,
            0 => Role::Plain,
            _ => Role::Root,
        };
        drawing.boxes.push(Shape {
            name: format!("o{}", step.id.number()),
            title: step.type_name.clone(),
            detail: detail(step.id.to_string(), step.outside_count),
            depth,
            role,
            has_finalizer: step.has_finalizer,
        });
        if let Some(link) = &step.link {
            drawing.arrows.push(Arrow {
                from: index,
                to: index + 1,
                label: link.clone(),
                is_weak: false,
            });
        }
    }
    drawing
}

/// The line below the type.
fn detail(id: String, outside_count: usize) -> String {
    match outside_count {
        0 => id,
        1 => format!("{id}, 1 handle outside"),
        count => format!("{id}, {count} handles outside"),
    }
}

impl Drawing {
    /// The number of boxes.
    ///
    /// ```
    /// use cyclegc::{Gc, objgraph};
    ///
    /// let list = Gc::new(vec![Gc::new('x')]);
    /// assert_eq!(objgraph::show_refs(&list).box_count(), 2);
    /// ```
    #[must_use]
    pub fn box_count(&self) -> usize {
        self.boxes.len()
    }

    /// As text for Graphviz, in the shape that objgraph writes.
    ///
    /// ```
    /// use cyclegc::{Gc, objgraph};
    ///
    /// let list = Gc::new(vec![Gc::new('x')]);
    /// assert!(objgraph::show_refs(&list).dot().contains("fontcolor=red"));
    /// ```
    #[must_use]
    pub fn dot(&self) -> String {
        dot::write(self)
    }

    /// As a picture, for which nothing else is needed.
    ///
    /// Made for what fits a screen: with thousands of boxes it takes seconds.
    ///
    /// ```
    /// use cyclegc::{Gc, objgraph};
    ///
    /// let list = Gc::new(vec![Gc::new('x')]);
    /// assert!(objgraph::show_refs(&list).svg().ends_with("</svg>\n"));
    /// ```
    #[must_use]
    pub fn svg(&self) -> String {
        svg::write(self)
    }

    /// Writes a file: SVG if its name ends with `.svg`, DOT if with `.dot`.
    ///
    /// # Errors
    ///
    /// If the name ends in another way, or the file cannot be written.
    ///
    /// ```
    /// let drawing = cyclegc::objgraph::Drawing::default();
    /// let error = drawing.save("graph.png").unwrap_err();
    /// assert!(error.to_string().contains("`.svg` or `.dot`"));
    /// ```
    pub fn save(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("svg") => fs::write(path, self.svg()),
            Some("dot") => fs::write(path, self.dot()),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "{} is written as `.svg` or `.dot`; `dot -Tpng` makes others of the latter",
                    path.display()
                ),
            )),
        }
    }
}

impl ObjectGraph {
    /// As [`show_refs`], for several objects and with options.
    ///
    /// ```
    /// use cyclegc::{Gc, objgraph, objgraph::DrawOptions};
    ///
    /// let list = Gc::new(vec![Gc::new('x')]);
    /// let graph = objgraph::snapshot();
    /// let start = graph.find(&list).unwrap();
    /// let options = DrawOptions { refcounts: true, ..DrawOptions::default() };
    /// assert!(graph.draw_refs(&[start], &options).dot().contains("Vec<Gc<char>> [1]"));
    /// ```
    #[must_use]
    pub fn draw_refs(&self, nodes: &[Node<'_>], options: &DrawOptions<'_>) -> Drawing {
        self.draw(nodes, options, Toward::Refs)
    }

    /// As [`show_backrefs`], for several objects and with options.
    ///
    /// ```
    /// use cyclegc::{Gc, objgraph, objgraph::DrawOptions};
    ///
    /// let list = Gc::new(vec![Gc::new('x')]);
    /// let graph = objgraph::snapshot();
    /// let start = graph.find(&list[0]).unwrap();
    /// let drawing = graph.draw_backrefs(&[start], &DrawOptions::default());
    /// assert_eq!(drawing.box_count(), 2);
    /// ```
    #[must_use]
    pub fn draw_backrefs(&self, nodes: &[Node<'_>], options: &DrawOptions<'_>) -> Drawing {
        self.draw(nodes, options, Toward::Backrefs)
    }

    fn draw(&self, nodes: &[Node<'_>], options: &DrawOptions<'_>, toward: Toward) -> Drawing {
        let mut drawing = Drawing {
            is_backward: toward == Toward::Backrefs,
            ..Drawing::default()
        };
        let mut places = HashMap::new();
        let mut queue = VecDeque::new();
        for start in nodes {
            if let Entry::Vacant(place) = places.entry(start.index()) {
                place.insert(drawing.boxes.len());
                queue.push_back(start.index());
                drawing.boxes.push(shape(*start, options, 0, true));
            }
        }
        while let Some(index) = queue.pop_front() {
            let here = places[&index];
            let depth = drawing.boxes[here].depth;
            let ends = toward == Toward::Backrefs && depth > 0 && self.node(index).is_root();
            if depth >= options.max_depth || ends {
                continue;
            }
            let mut drawn_count = 0;
            let mut skipped_count = 0;
            for (next, link) in self.neighbours(index, toward) {
                if options.filter.is_some_and(|suits| !suits(self.node(next))) {
                    continue;
                }
                if drawn_count >= options.too_many {
                    skipped_count += 1;
                    continue;
                }
                drawn_count += 1;
                let there = *places.entry(next).or_insert_with(|| {
                    let shape = shape(self.node(next), options, depth + 1, false);
                    drawing.boxes.push(shape);
                    queue.push_back(next);
                    drawing.boxes.len() - 1
                });
                drawing.arrow(here, there, link.name(), link.is_weak());
            }
            if skipped_count > 0 {
                drawing.more(here, skipped_count);
            }
        }
        let depths = drawing.boxes.iter().map(|shape| shape.depth);
        drawing.max_depth = depths.max().unwrap_or(0);
        drawing
    }
}

impl Drawing {
    /// An arrow between a box and one farther away.
    fn arrow(&mut self, near: usize, far: usize, label: String, is_weak: bool) {
        let (from, to) = if self.is_backward {
            (far, near)
        } else {
            (near, far)
        };
        self.arrows.push(Arrow {
            from,
            to,
            label,
            is_weak,
        });
    }

    /// A box for what is not drawn.
    fn more(&mut self, near: usize, count: usize) {
        let what = if self.is_backward {
            "backreference"
        } else {
            "reference"
        };
        let plural = if count == 1 { "" } else { "s" };
        self.boxes.push(Shape {
            name: format!("more_{}", self.boxes[near].name),
            title: format!("{count} more {what}{plural}"),
            detail: String::new(),
            depth: self.boxes[near].depth + 1,
            role: Role::More,
            has_finalizer: false,
        });
        self.arrow(near, self.boxes.len() - 1, String::new(), false);
    }
}

/// The box of an object.
fn shape(node: Node<'_>, options: &DrawOptions<'_>, depth: usize, is_start: bool) -> Shape {
    let mut title = if options.shortnames {
        node.short_type_name()
    } else {
        node.type_name().to_owned()
    };
    if options.refcounts {
        title.push_str(&format!(" [{}]", node.ref_count()));
    }
    let extra = options.extra_info.and_then(|info| info(node));
    let is_root = match options.highlight {
        Some(suits) => suits(node),
        None => node.is_root(),
    };
    Shape {
        name: format!("o{}", node.id().number()),
        title,
        detail: extra.unwrap_or_else(|| detail(node.id().to_string(), node.outside_count())),
        depth,
        role: match (is_start, is_root) {
            (true, _) => Role::Start,
            (false, true) => Role::Root,
            (false, false) => Role::Plain,
        },
        has_finalizer: node.has_finalizer(),
    }
}
