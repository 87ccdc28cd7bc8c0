//! `Explorer`: a page to look at a graph with, in one file that needs nothing else.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::class_tracker::ClassSnapshot;
use super::collector_log::Pause;
use super::explorer_data::Data;
use super::graph::ObjectGraph;
use super::output::Output;

const PAGE: &str = include_str!("explorer/page.html");
const STYLE: &str = include_str!("explorer/style.css");
const SCRIPT: &str = concat!(
    include_str!("explorer/basics.js"),
    include_str!("explorer/treemap.js"),
    include_str!("explorer/objects.js"),
    include_str!("explorer/charts.js"),
    include_str!("explorer/main.js"),
);

/// Writes a page with the graph: what retains what, a treemap by type and by retained
/// size, the cycles, growth over time, and the collector's generations and pauses.
///
/// One file that any browser opens, without a network. Of more objects than the limit it
/// has those that retain most; the rest is summed up.
///
/// ```no_run
/// use cyclegc::objgraph::{self, ClassTracker, CollectorLog, Explorer};
///
/// let log = CollectorLog::start();
/// let mut tracker = ClassTracker::new();
/// tracker.create_snapshot("start");
/// // ...
/// tracker.create_snapshot("end");
/// let graph = objgraph::snapshot();
/// Explorer::new(&graph).growth(&tracker).collector(&log).save("heap.html")?;
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Explorer<'a> {
    pub(super) graph: &'a ObjectGraph,
    pub(super) title: String,
    pub(super) growth: Option<Vec<&'a ClassSnapshot>>,
    pub(super) collector: Option<Vec<Pause>>,
    pub(super) limit: usize,
}

impl<'a> Explorer<'a> {
    /// A page with this graph.
    #[must_use]
    pub fn new(graph: &'a ObjectGraph) -> Self {
        Explorer {
            graph,
            title: "Object graph".to_owned(),
            growth: None,
            collector: None,
            limit: 10_000,
        }
    }

    /// With a title.
    #[must_use]
    pub fn title(mut self, title: &str) -> Self {
        title.clone_into(&mut self.title);
        self
    }

    /// With what a tracker saw: a [`ClassTracker`](super::ClassTracker), or one of
    /// [`sync::objgraph`](crate::sync::objgraph::ClassTracker).
    #[must_use]
    pub fn growth(mut self, tracker: impl IntoIterator<Item = &'a ClassSnapshot>) -> Self {
        self.growth = Some(tracker.into_iter().collect());
        self
    }

    /// With what the collector did so far: a [`CollectorLog`](super::CollectorLog), or one
    /// of [`sync::objgraph`](crate::sync::objgraph::CollectorLog).
    #[must_use]
    pub fn collector(mut self, log: impl IntoIterator<Item = Pause>) -> Self {
        self.collector = Some(log.into_iter().collect());
        self
    }

    /// With about this many objects at most; 10,000 unless said otherwise. Each costs
    /// about 200 bytes.
    #[must_use]
    pub fn limit(mut self, object_count: usize) -> Self {
        self.limit = object_count;
        self
    }

    /// Writes the page.
    ///
    /// Costs the dominator tree, and a look at every link.
    ///
    /// # Errors
    ///
    /// What `out` reports.
    ///
    /// ```
    /// use cyclegc::{Gc, objgraph, objgraph::Explorer};
    ///
    /// let list = Gc::new(vec![Gc::new('x')]);
    /// let mut page = Vec::new();
    /// Explorer::new(&objgraph::snapshot()).write(&mut page)?;
    /// assert!(page.starts_with(b"<!doctype html>"));
    /// # drop(list);
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut out = Output::new(out);
        // Each mark of the page is replaced by what it names.
        let mut rest = PAGE;
        while let Some((before, (mark, after))) = rest
            .split_once("/*{")
            .and_then(|(b, a)| Some((b, a.split_once("}*/")?)))
        {
            out.text(before)?;
            match mark {
                "style" => out.text(STYLE)?,
                "script" => out.text(SCRIPT)?,
                "title" => out.text(&self.title.replace('&', "&amp;").replace('<', "&lt;"))?,
                _ => Data::of(self).write(&mut out)?,
            }
            rest = after;
        }
        out.text(rest)?;
        out.finish()
    }

    /// Writes the page to a file.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let mut out = BufWriter::new(File::create(path)?);
        self.write(&mut out)?;
        out.flush()
    }
}
