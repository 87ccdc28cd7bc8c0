//! The live large blocks by address: a treap, so that an address anywhere in a block
//! finds it in logarithmic time, without a look at the block's memory.
//!
//! Each node's priority is a hash of its address. Nothing here recurses.
//!
//! # Invariants
//! 1. In address order, left to right; no two blocks overlap.
//! 2. A node's priority is not below its children's.
//!
//! Source: C. Aragon, R. Seidel, "Randomized search trees", 1989.

use core::cell::Cell;

use crate::slab::Slab;

type Link = Cell<Option<&'static Node>>;

/// A large block.
#[derive(Debug)]
pub(crate) struct Node {
    addr: Cell<usize>,
    size: Cell<usize>,
    left: Link,
    right: Link,
}

impl Node {
    /// Where the block starts.
    pub(crate) fn addr(&self) -> usize {
        self.addr.get()
    }

    /// Bytes of the block.
    pub(crate) fn size(&self) -> usize {
        self.size.get()
    }

    /// Makes the block longer or shorter: it ends before the next one starts.
    pub(crate) fn set_size(&self, size: usize) {
        self.size.set(size);
    }

    fn priority(&self) -> u64 {
        // The steps of SplitMix64: blocks of one size lie at equal distances, which a
        // hash that is linear in the address would turn into long chains.
        let mut hash = self.addr.get() as u64;
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^ (hash >> 31)
    }
}

/// The treap, its idle nodes, and the mappings that could not be given back.
#[derive(Debug)]
pub(crate) struct LargeMap {
    root: Link,
    idle: Link,
    stuck: Link,
    slab: Slab<Node>,
}

impl LargeMap {
    /// No blocks.
    pub(crate) const fn new() -> Self {
        Self {
            root: Cell::new(None),
            idle: Cell::new(None),
            stuck: Cell::new(None),
            slab: Slab::new(),
        }
    }

    /// A node that is in no map; `None` if memory has run out.
    pub(crate) fn node(&mut self) -> Option<&'static Node> {
        if let Some(node) = self.idle.get() {
            self.idle.set(node.right.get());
            return Some(node);
        }
        self.slab.add(Node {
            addr: Cell::new(0),
            size: Cell::new(0),
            left: Cell::new(None),
            right: Cell::new(None),
        })
    }

    /// Takes back a node that is in no map.
    pub(crate) fn put_idle(&self, node: &'static Node) {
        node.right.set(self.idle.get());
        self.idle.set(Some(node));
    }

    /// Keeps a mapping that is no block, by a node that is in no map.
    pub(crate) fn put_stuck(&self, node: &'static Node, addr: usize, size: usize) {
        node.addr.set(addr);
        node.size.set(size);
        node.right.set(self.stuck.replace(Some(node)));
    }

    /// Address and size of the mapping kept last.
    pub(crate) fn last_stuck(&self) -> Option<(usize, usize)> {
        let node = self.stuck.get()?;
        Some((node.addr.get(), node.size.get()))
    }

    /// Forgets the mapping kept last.
    pub(crate) fn drop_stuck(&self) {
        if let Some(node) = self.stuck.get() {
            self.stuck.set(node.right.get());
            self.put_idle(node);
        }
    }

    /// Enters a block, by a node that is in no map.
    pub(crate) fn insert(&self, node: &'static Node, addr: usize, size: usize) {
        node.addr.set(addr);
        node.size.set(size);
        let mut link: &Link = &self.root;
        while let Some(above) = link.get() {
            if above.priority() < node.priority() {
                break;
            }
            link = above.child_towards(addr);
        }
        // What hangs here is split: smaller addresses to the left of the new node.
        let mut rest = link.replace(Some(node));
        let (mut left, mut right) = (&node.left, &node.right);
        while let Some(part) = rest {
            if part.addr.get() < addr {
                left.set(Some(part));
                left = &part.right;
                rest = left.get();
            } else {
                right.set(Some(part));
                right = &part.left;
                rest = right.get();
            }
        }
        left.set(None);
        right.set(None);
    }

    /// Takes the block that starts at `addr` out; its node is in no map then.
    pub(crate) fn remove(&self, addr: usize) -> Option<&'static Node> {
        let mut link: &Link = &self.root;
        let node = loop {
            let node = link.get()?;
            if node.addr.get() == addr {
                break node;
            }
            link = node.child_towards(addr);
        };
        // Its two sides are merged where it hung.
        let (mut left, mut right) = (node.left.get(), node.right.get());
        loop {
            match (left, right) {
                (Some(low), Some(high)) if low.priority() >= high.priority() => {
                    link.set(left);
                    link = &low.right;
                    left = link.get();
                }
                (Some(_), Some(high)) => {
                    link.set(right);
                    link = &high.left;
                    right = link.get();
                }
                (side, None) | (None, side) => {
                    link.set(side);
                    return Some(node);
                }
            }
        }
    }

    /// The block that `addr` lies in.
    pub(crate) fn find(&self, addr: usize) -> Option<&'static Node> {
        let mut next = self.root.get();
        while let Some(node) = next {
            let start = node.addr.get();
            if addr >= start && addr - start < node.size.get() {
                return Some(node);
            }
            next = node.child_towards(addr).get();
        }
        None
    }

    /// The first block that starts at `addr` or above: address and size.
    pub(crate) fn first_from(&self, addr: usize) -> Option<(usize, usize)> {
        let (mut next, mut best) = (self.root.get(), None);
        while let Some(node) = next {
            if node.addr.get() >= addr {
                best = Some((node.addr.get(), node.size.get()));
                next = node.left.get();
            } else {
                next = node.right.get();
            }
        }
        best
    }

    /// The slab of the nodes, for statistics.
    pub(crate) fn slab(&self) -> &Slab<Node> {
        &self.slab
    }
}

impl Node {
    fn child_towards(&self, addr: usize) -> &Link {
        if addr < self.addr.get() {
            &self.left
        } else {
            &self.right
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// The number of nodes, after a look at both invariants.
    fn check(map: &LargeMap) -> usize {
        let (mut count, mut end) = (0, 0);
        let mut above = Vec::new();
        let mut next = map.root.get();
        loop {
            while let Some(node) = next {
                for child in [node.left.get(), node.right.get()].into_iter().flatten() {
                    assert!(child.priority() <= node.priority());
                }
                above.push(node);
                next = node.left.get();
            }
            let Some(node) = above.pop() else {
                return count;
            };
            assert!(node.addr.get() >= end);
            end = node.addr.get() + node.size.get();
            count += 1;
            next = node.right.get();
        }
    }

    proptest! {
        #[test]
        fn it_finds_what_a_btree_finds(ops in prop::collection::vec((0_usize..40, any::<bool>()), 1..200)) {
            let mut map = LargeMap::new();
            let mut model = BTreeMap::new();
            for (slot, insert) in ops {
                let addr = 0x10_0000 + slot * 0x1_0000;
                if insert && !model.contains_key(&addr) {
                    let size = 0x1000 * (1 + slot % 16);
                    let node = map.node().unwrap();
                    map.insert(node, addr, size);
                    model.insert(addr, size);
                } else {
                    let removed = map.remove(addr);
                    prop_assert_eq!(removed.map(Node::size), model.remove(&addr));
                    if let Some(node) = removed {
                        map.put_idle(node);
                    }
                }
                prop_assert_eq!(check(&map), model.len());
                for (addr, size) in &model {
                    prop_assert_eq!(map.find(addr + size - 1).map(Node::size), Some(*size));
                    prop_assert_eq!(map.find(addr + size).map(Node::size), model.get(&(addr + size)).copied());
                }
            }
        }
    }
}
