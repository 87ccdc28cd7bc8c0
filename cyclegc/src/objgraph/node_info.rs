//! `NodeInfo`: what is said of an object when it is added to a graph.

use super::graph::{NodeFlags, ObjectId};
use super::stacks::Frame;
use crate::generation::Generation;

/// What [`GraphBuilder::node`](super::GraphBuilder::node) is told of an object.
///
/// ```
/// use cyclegc::objgraph::NodeInfo;
///
/// let info = NodeInfo::new("app::Window", 64).ref_count(2).address(0x1000);
/// # let _ = info;
/// ```
#[derive(Clone, Debug)]
pub struct NodeInfo<'a> {
    pub(super) type_name: &'a str,
    pub(super) size_bytes: usize,
    pub(super) id: Option<ObjectId>,
    pub(super) address: usize,
    pub(super) ref_count: u32,
    pub(super) has_finalizer: bool,
    pub(crate) flags: NodeFlags,
    pub(super) stack: Vec<Frame>,
}

impl<'a> NodeInfo<'a> {
    /// An object of a type and a size: untracked, without handles, its number its place.
    ///
    /// ```
    /// # use cyclegc::objgraph::NodeInfo;
    /// let info = NodeInfo::new("app::Window", 64);
    /// # let _ = info;
    /// ```
    #[must_use]
    pub fn new(type_name: &'a str, size_bytes: usize) -> Self {
        NodeInfo {
            type_name,
            size_bytes,
            id: None,
            address: 0,
            ref_count: 0,
            has_finalizer: false,
            flags: NodeFlags::empty(),
            stack: Vec::new(),
        }
    }

    /// With this many handles.
    ///
    /// ```
    /// # use cyclegc::objgraph::NodeInfo;
    /// let info = NodeInfo::new("app::Window", 64).ref_count(2);
    /// # let _ = info;
    /// ```
    #[must_use]
    pub fn ref_count(mut self, count: u32) -> Self {
        self.ref_count = count;
        self
    }

    /// At this address.
    ///
    /// ```
    /// # use cyclegc::objgraph::NodeInfo;
    /// let info = NodeInfo::new("app::Window", 64).address(0x1000);
    /// # let _ = info;
    /// ```
    #[must_use]
    pub fn address(mut self, address: usize) -> Self {
        self.address = address;
        self
    }

    /// Of a type with a finalizer.
    ///
    /// ```
    /// # use cyclegc::objgraph::NodeInfo;
    /// let info = NodeInfo::new("app::Window", 64).has_finalizer(true);
    /// # let _ = info;
    /// ```
    #[must_use]
    pub fn has_finalizer(mut self, yes: bool) -> Self {
        self.has_finalizer = yes;
        self
    }

    /// Tracked, in this generation.
    ///
    /// ```
    /// # use cyclegc::{Generation, objgraph::NodeInfo};
    /// let info = NodeInfo::new("app::Window", 64).generation(Generation::Old);
    /// # let _ = info;
    /// ```
    #[must_use]
    pub fn generation(self, generation: Generation) -> Self {
        self.generation_index(generation.index())
    }

    pub(crate) fn generation_index(mut self, index: usize) -> Self {
        self.flags.remove(NodeFlags::GENERATION);
        let index = u8::try_from(index).unwrap_or(3);
        self.flags |= NodeFlags::TRACKED | NodeFlags::from_bits_truncate(index & 3);
        self
    }

    /// Made there, innermost call first.
    ///
    /// ```
    /// # use cyclegc::objgraph::{Frame, NodeInfo};
    /// let info = NodeInfo::new("app::Window", 64).stack(vec![Frame::at("src/main.rs", 3)]);
    /// # let _ = info;
    /// ```
    #[must_use]
    pub fn stack(mut self, stack: Vec<Frame>) -> Self {
        self.stack = stack;
        self
    }

    pub(crate) fn id(mut self, id: ObjectId) -> Self {
        self.id = Some(id);
        self
    }
}
