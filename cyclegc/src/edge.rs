//! Names of edges, for visitors that ask: object graphs, referrers, sizes.

use std::fmt::Write;
use std::ptr::NonNull;

use crate::any::AnyGc;
use crate::gc::Gc;
use crate::header::{COUNT_MASK, DEAD, Header};
use crate::sync;
use crate::sync::header::Object;
use crate::sync::visit::Visit;
use crate::trace::{NESTING_LIMIT, Trace, Tracer};
use crate::weak::Weak;

/// A handle that an object owns, and where in the object it is.
///
/// What [`edges`](crate::edges) lists; those of objects that threads share are
/// [`sync::Edge`]s.
///
/// ```
/// use cyclegc::{Gc, Trace};
///
/// #[derive(Trace)]
/// struct Row {
///     cells: Vec<Gc<u32>>,
/// }
///
/// let row = Gc::new(Row { cells: vec![Gc::new(1), Gc::new(2)] });
/// let names: Vec<_> = cyclegc::edges(&row).into_iter().map(|e| e.name).collect();
/// assert_eq!(names, [".cells[0]", ".cells[1]"]);
/// ```
#[derive(Clone, Debug)]
pub struct Edge<A = AnyGc> {
    /// Path from the object to the handle: `.field`, `[index]`, `["key"]`.
    pub name: String,
    /// What the handle refers to.
    pub target: A,
}

/// Receives the edges of an object with their names.
///
/// [`Trace::trace_edges`] gets one; the derive writes the calls.
///
/// ```
/// use cyclegc::{EdgeTracer, Gc, Trace, Tracer};
///
/// struct Slot(Gc<str>);
///
/// // SAFETY: the one owned handle is reported once.
/// unsafe impl Trace for Slot {
///     fn trace(&self, tracer: &mut Tracer<'_>) {
///         self.0.trace(tracer);
///     }
///     fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
///         tracer.field("content", &self.0);
///     }
/// }
///
/// assert_eq!(cyclegc::edges(&Gc::new(Slot("x".into())))[0].name, ".content");
/// ```
pub struct EdgeTracer<'a> {
    path: String,
    sink: Sink<'a>,
    owned_bytes: usize,
    /// How many `step` run.
    depth: u32,
    /// As in [`Tracer`](crate::Tracer).
    pub(crate) cells: u32,
}

/// What an [`EdgeTracer`] comes upon; objects are this thread's, or shared ones.
pub(crate) enum Sighting<'a, T = NonNull<Header>> {
    /// A handle that keeps `target` alive. `handle` is its [`Gc::identity`], 0 if that is
    /// not known.
    Strong {
        name: &'a str,
        target: T,
        handle: usize,
    },
    /// A handle that does not. The target is alive, a shared one at some moment.
    Weak { name: &'a str, target: T },
    /// A cell that somebody is using: what it holds is not known.
    Hidden,
}

type OwnSink<'a> = &'a mut dyn FnMut(Sighting<'_>);
type SharedSink<'a> = &'a mut dyn FnMut(Sighting<'_, Object>);

/// Who listens, to handles of one kind.
enum Sink<'a> {
    Own(OwnSink<'a>),
    Shared(SharedSink<'a>),
}

impl std::fmt::Debug for EdgeTracer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EdgeTracer")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl<'a> EdgeTracer<'a> {
    pub(crate) fn new(sink: OwnSink<'a>) -> Self {
        Self::with_path(String::new(), sink)
    }

    /// As `new`, with a string to write names in, of which [`Self::into_path`] gives
    /// the memory back.
    pub(crate) fn with_path(path: String, sink: OwnSink<'a>) -> Self {
        Self::listening(path, Sink::Own(sink))
    }

    /// As `with_path`, for handles to shared objects. A target's memory stays until `sink`
    /// returns.
    ///
    /// # Safety
    ///
    /// The thread is pinned (`sync/epoch.rs`) while this is used.
    pub(crate) unsafe fn shared(path: String, sink: SharedSink<'a>) -> Self {
        Self::listening(path, Sink::Shared(sink))
    }

    fn listening(mut path: String, sink: Sink<'a>) -> Self {
        path.clear();
        EdgeTracer {
            path,
            sink,
            owned_bytes: 0,
            depth: 0,
            cells: 0,
        }
    }

    /// Reports the edges of a field.
    ///
    /// ```
    /// use cyclegc::{EdgeTracer, Gc, Trace, Tracer};
    ///
    /// struct Class {
    ///     methods: Vec<Gc<str>>,
    /// }
    ///
    /// // SAFETY: what is owned is asked once.
    /// unsafe impl Trace for Class {
    ///     fn trace(&self, tracer: &mut Tracer<'_>) {
    ///         tracer.value(&self.methods);
    ///     }
    ///     fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
    ///         tracer.field("methods", &self.methods);
    ///     }
    /// }
    ///
    /// let class = Gc::new(Class { methods: vec!["call".into()] });
    /// assert_eq!(cyclegc::edges(&class)[0].name, ".methods[0]");
    /// ```
    pub fn field<T: Trace + ?Sized>(&mut self, name: &str, value: &T) {
        self.step(|path| write!(path, ".{name}"), value);
    }

    /// Reports the edges of an element.
    ///
    /// ```
    /// use cyclegc::{EdgeTracer, Gc, Trace, Tracer};
    ///
    /// struct Pair([Gc<str>; 2]);
    ///
    /// // SAFETY: both handles are owned, and each is reported once.
    /// unsafe impl Trace for Pair {
    ///     fn trace(&self, tracer: &mut Tracer<'_>) {
    ///         tracer.value(&self.0);
    ///     }
    ///     fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
    ///         for (index, handle) in self.0.iter().enumerate() {
    ///             tracer.index(index, handle);
    ///         }
    ///     }
    /// }
    ///
    /// let pair = Gc::new(Pair(["a".into(), "b".into()]));
    /// assert_eq!(cyclegc::edges(&pair)[1].name, "[1]");
    /// ```
    pub fn index<T: Trace + ?Sized>(&mut self, index: usize, value: &T) {
        self.step(|path| write!(path, "[{index}]"), value);
    }

    /// Reports the edges of the value that a map holds for `key`.
    ///
    /// `index` names the entry if the key has no text of its own, as
    /// [`Trace::edge_key`] gives.
    ///
    /// ```
    /// use cyclegc::{EdgeTracer, Gc, Trace, Tracer};
    ///
    /// struct Scope(Vec<(String, Gc<u32>)>);
    ///
    /// // SAFETY: what is owned is asked once; the names hold no handles.
    /// unsafe impl Trace for Scope {
    ///     fn trace(&self, tracer: &mut Tracer<'_>) {
    ///         tracer.value(&self.0);
    ///     }
    ///     fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
    ///         for (index, (name, value)) in self.0.iter().enumerate() {
    ///             tracer.key(index, name, value);
    ///         }
    ///     }
    /// }
    ///
    /// let scope = Gc::new(Scope(vec![("x".into(), Gc::new(1))]));
    /// assert_eq!(cyclegc::edges(&scope)[0].name, r#"["x"]"#);
    /// ```
    pub fn key<K: Trace + ?Sized, T: Trace + ?Sized>(&mut self, index: usize, key: &K, value: &T) {
        let text = if self.cells == 0 || key.key_never_panics() {
            key.edge_key()
        } else {
            None
        };
        match text {
            Some(key) => self.step(|path| write!(path, "[{key}]"), value),
            None => self.index(index, value),
        }
    }

    /// Reports the edges of a value that has no name of its own, such as what a
    /// pointer or a cell owns.
    ///
    /// ```
    /// use cyclegc::{EdgeTracer, Gc, Trace, Tracer};
    ///
    /// struct Wrapper(Vec<Gc<str>>);
    ///
    /// // SAFETY: what is owned is asked once.
    /// unsafe impl Trace for Wrapper {
    ///     fn trace(&self, tracer: &mut Tracer<'_>) {
    ///         tracer.value(&self.0);
    ///     }
    ///     fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
    ///         tracer.value(&self.0);
    ///     }
    /// }
    ///
    /// assert_eq!(cyclegc::edges(&Gc::new(Wrapper(vec!["x".into()])))[0].name, "[0]");
    /// ```
    pub fn value<T: Trace + ?Sized>(&mut self, value: &T) {
        if self.cells == 0 || value.never_panics() {
            value.trace_edges(self);
        } else {
            self.hidden();
        }
    }

    /// Runs `trace` for what a `Cell` holds.
    pub(crate) fn in_cell(&mut self, trace: impl FnOnce(&mut Self)) {
        self.cells += 1;
        trace(self);
        self.cells -= 1;
    }

    /// Counts memory that the object owns besides its own bytes, such as a
    /// vector's buffer; [`deep_size_of`](crate::deep_size_of) adds it.
    ///
    /// ```
    /// use cyclegc::{EdgeTracer, Gc, Trace, Tracer};
    ///
    /// struct Image(Box<[u8]>);
    ///
    /// // SAFETY: it holds no handles.
    /// unsafe impl Trace for Image {
    ///     fn trace(&self, _: &mut Tracer<'_>) {}
    ///     fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
    ///         tracer.owned(self.0.len());
    ///     }
    /// }
    ///
    /// assert!(cyclegc::deep_size_of(Gc::new(Image([0; 4096].into()))) > 4096);
    /// ```
    pub fn owned(&mut self, size_bytes: usize) {
        self.owned_bytes = self.owned_bytes.saturating_add(size_bytes);
    }

    /// Reports one handle, under the name of the field or element that is
    /// being asked.
    ///
    /// ```
    /// use cyclegc::{EdgeTracer, Gc, Trace, Tracer};
    ///
    /// struct Slot(Gc<str>);
    ///
    /// // SAFETY: the one owned handle is reported once.
    /// unsafe impl Trace for Slot {
    ///     fn trace(&self, tracer: &mut Tracer<'_>) {
    ///         tracer.visit(&self.0);
    ///     }
    ///     fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
    ///         tracer.visit(&self.0);
    ///     }
    /// }
    ///
    /// assert_eq!(cyclegc::edges(&Gc::new(vec![Slot("x".into())]))[0].name, "[0]");
    /// ```
    pub fn visit<T: ?Sized>(&mut self, gc: &Gc<T>) {
        self.strong(gc.header(), gc.identity());
    }

    /// Reports one type-erased handle, as [`visit`](Self::visit) does.
    ///
    /// ```
    /// use cyclegc::{AnyGc, EdgeTracer, Gc, Trace, Tracer};
    ///
    /// struct Slot(AnyGc);
    ///
    /// // SAFETY: the one owned handle is reported once.
    /// unsafe impl Trace for Slot {
    ///     fn trace(&self, tracer: &mut Tracer<'_>) {
    ///         tracer.visit_any(&self.0);
    ///     }
    ///     fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
    ///         tracer.visit_any(&self.0);
    ///     }
    /// }
    ///
    /// let slots = Gc::new(vec![Slot(Gc::new(1).into())]);
    /// assert_eq!(cyclegc::edges(&slots)[0].name, "[0]");
    /// ```
    pub fn visit_any(&mut self, any: &AnyGc) {
        self.strong(any.header(), any.identity());
    }

    /// Reports a handle that does not keep its object alive: object graphs draw
    /// it, [`edges`](crate::edges) leaves it out. Nothing if the object is dead.
    ///
    /// ```
    /// use cyclegc::{EdgeTracer, Gc, Trace, Tracer, Weak};
    ///
    /// struct Slot(Weak<str>);
    ///
    /// // SAFETY: what is owned is asked once.
    /// unsafe impl Trace for Slot {
    ///     fn trace(&self, tracer: &mut Tracer<'_>) {
    ///         tracer.value(&self.0);
    ///     }
    ///     fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
    ///         tracer.visit_weak(&self.0);
    ///     }
    /// }
    ///
    /// let text: Gc<str> = "x".into();
    /// let slot = Gc::new(Slot(Gc::downgrade(&text)));
    /// assert!(cyclegc::edges(&slot).is_empty());
    /// let graph = cyclegc::objgraph::snapshot();
    /// let links: Vec<_> = graph.find(&slot).unwrap().links().collect();
    /// assert!(links[0].is_weak());
    /// ```
    pub fn visit_weak<T: ?Sized>(&mut self, weak: &Weak<T>) {
        if let (Sink::Own(sink), Some(target)) = (&mut self.sink, weak.target()) {
            let name = &self.path;
            sink(Sighting::Weak { name, target });
        }
    }

    /// Reports one handle to an object that threads share, as [`visit`](Self::visit) does.
    ///
    /// [`sync::edges`] hears of these, and [`edges`](crate::edges) of `visit`'s.
    ///
    /// ```
    /// use cyclegc::{EdgeTracer, Trace, Tracer, sync::{self, Gc}};
    ///
    /// struct Slot(Gc<str>);
    ///
    /// // SAFETY: the one owned handle is reported once.
    /// unsafe impl Trace for Slot {
    ///     fn trace(&self, tracer: &mut Tracer<'_>) {
    ///         tracer.visit_shared(&self.0);
    ///     }
    ///     fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
    ///         tracer.visit_shared(&self.0);
    ///     }
    /// }
    ///
    /// assert_eq!(sync::edges(&Gc::new(vec![Slot("x".into())]))[0].name, "[0]");
    /// ```
    pub fn visit_shared<T: ?Sized>(&mut self, gc: &sync::Gc<T>) {
        self.strong_shared(gc.object(), gc.identity());
    }

    /// Reports one type-erased handle to an object that threads share.
    ///
    /// ```
    /// use cyclegc::{EdgeTracer, Trace, Tracer, sync::{self, AnyGc, Gc}};
    ///
    /// struct Slot(AnyGc);
    ///
    /// // SAFETY: the one owned handle is reported once.
    /// unsafe impl Trace for Slot {
    ///     fn trace(&self, tracer: &mut Tracer<'_>) {
    ///         tracer.visit_any_shared(&self.0);
    ///     }
    ///     fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
    ///         tracer.visit_any_shared(&self.0);
    ///     }
    /// }
    ///
    /// let slots = Gc::new(vec![Slot(Gc::new(1).into())]);
    /// assert_eq!(sync::edges(&slots)[0].name, "[0]");
    /// ```
    pub fn visit_any_shared(&mut self, any: &sync::AnyGc) {
        self.strong_shared(any.object(), any.identity());
    }

    /// Reports a handle that does not keep its shared object alive, as
    /// [`visit_weak`](Self::visit_weak) does.
    ///
    /// ```
    /// use cyclegc::{EdgeTracer, Trace, Tracer, sync::{self, Gc, Weak}};
    ///
    /// struct Slot(Weak<str>);
    ///
    /// // SAFETY: what is owned is asked once.
    /// unsafe impl Trace for Slot {
    ///     fn trace(&self, tracer: &mut Tracer<'_>) {
    ///         tracer.value(&self.0);
    ///     }
    ///     fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
    ///         tracer.visit_weak_shared(&self.0);
    ///     }
    /// }
    ///
    /// let text: Gc<str> = "x".into();
    /// let slot = Gc::new(Slot(Gc::downgrade(&text)));
    /// let graph = sync::objgraph::SnapshotOptions::new().root(&slot).snapshot();
    /// assert!(graph.node(0).links().next().unwrap().is_weak());
    /// ```
    pub fn visit_weak_shared<T: ?Sized>(&mut self, weak: &sync::Weak<T>) {
        if let (Sink::Shared(sink), Some(target)) = (&mut self.sink, weak.target()) {
            let name = &self.path;
            sink(Sighting::Weak { name, target });
        }
    }

    /// Says that the object holds something that cannot be looked at now, such
    /// as what a borrowed cell holds: handles there seem to come from outside.
    ///
    /// ```
    /// use std::cell::RefCell;
    /// use cyclegc::Gc;
    ///
    /// let cell = Gc::new(RefCell::new(vec![Gc::new(1)]));
    /// let borrowed = cell.borrow_mut(); // `RefCell` calls `hidden` while it is
    /// let graph = cyclegc::objgraph::snapshot();
    /// assert!(graph.find(&cell).unwrap().hides_links());
    /// # drop(borrowed);
    /// ```
    pub fn hidden(&mut self) {
        match &mut self.sink {
            Sink::Own(sink) => sink(Sighting::Hidden),
            Sink::Shared(sink) => sink(Sighting::Hidden),
        }
    }

    /// Reports the edges that a value's `trace` finds, each by its number.
    pub(crate) fn by_number<T: Trace + ?Sized>(&mut self, value: &T) {
        let mut found = Vec::new();
        if !self.is_shared() {
            value.trace(&mut Tracer::new(&mut found).in_cells(self.cells));
            for (number, target) in found.into_iter().enumerate() {
                self.numbered(number, |this| this.strong(target, 0));
            }
            return;
        }
        // Its guards are dropped when the targets were reported.
        let mut visit = Visit::new();
        value.trace(&mut Tracer::shared(&mut visit, &mut found).in_cells(self.cells));
        for (number, target) in visit.found.iter().enumerate() {
            self.numbered(number, |this| this.strong_shared(*target, 0));
        }
    }

    fn numbered(&mut self, number: usize, report: impl FnOnce(&mut Self)) {
        let before = self.path.len();
        // Writing to a `String` does not fail.
        let _ = write!(self.path, "<{number}>");
        report(self);
        self.path.truncate(before);
    }

    /// Whether handles to shared objects are asked for.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.sink, Sink::Shared(_))
    }

    fn strong(&mut self, target: NonNull<Header>, handle: usize) {
        if let Sink::Own(sink) = &mut self.sink {
            let name = &self.path;
            sink(Sighting::Strong {
                name,
                target,
                handle,
            });
        }
    }

    /// Reports a handle to an object whose memory stays meanwhile.
    pub(crate) fn strong_shared(&mut self, target: Object, handle: usize) {
        if let Sink::Shared(sink) = &mut self.sink {
            let name = &self.path;
            sink(Sighting::Strong {
                name,
                target,
                handle,
            });
        }
    }

    pub(crate) fn into_path(self) -> String {
        self.path
    }

    pub(crate) fn owned_bytes(&self) -> usize {
        self.owned_bytes
    }

    fn step<T: Trace + ?Sized>(
        &mut self,
        name: impl FnOnce(&mut String) -> std::fmt::Result,
        value: &T,
    ) {
        if self.depth >= NESTING_LIMIT {
            self.hidden();
            return;
        }
        self.depth += 1;
        let before = self.path.len();
        // Writing to a `String` does not fail.
        let _ = name(&mut self.path);
        self.value(value);
        self.path.truncate(before);
        self.depth -= 1;
    }
}

/// The named edges of a live object and the bytes it owns elsewhere.
///
/// # Safety
///
/// `object`'s value is alive and no `&mut` to it exists.
pub(crate) unsafe fn edges_of(object: NonNull<Header>) -> (Vec<Edge>, usize) {
    let mut edges = Vec::new();
    let mut sink = |sighting: Sighting<'_>| {
        let Sighting::Strong { name, target, .. } = sighting else {
            return;
        };
        // SAFETY: an edge is a handle, so its target is allocated.
        let header = unsafe { target.as_ref() };
        if header.raw_count() & COUNT_MASK != 0 && !header.has(DEAD) {
            edges.push(Edge {
                name: name.to_owned(),
                // SAFETY: as above, and the value is alive.
                target: unsafe { AnyGc::share(target) },
            });
        }
    };
    let mut tracer = EdgeTracer::new(&mut sink);
    // SAFETY: the caller's object is allocated.
    let vtable = unsafe { object.as_ref() }.vtable();
    // SAFETY: the caller's.
    unsafe { (vtable.trace_edges)(object, &mut tracer) };
    let owned_bytes = tracer.owned_bytes();
    (edges, owned_bytes)
}
