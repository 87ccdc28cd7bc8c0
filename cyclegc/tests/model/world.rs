//! A program of handles, links, weak references and collections, and a plain model of
//! it: who is reachable, and who has references left.
//!
//! Nothing here knows where a program comes from.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use cyclegc::{Gc, Generation, Trace, Weak};

use super::tag::Tag;

#[derive(Trace)]
struct Object {
    tag: Tag,
    links: RefCell<Vec<Gc<Object>>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    New,
    /// Clone a handle on the stack.
    Clone(usize),
    /// Drop a handle on the stack.
    Drop(usize),
    /// Store a clone of one in another.
    Link(usize, usize),
    /// Move one into another.
    Move(usize, usize),
    /// Drop a link.
    Unlink(usize, usize),
    /// Move a link to the stack.
    Take(usize, usize),
    /// Clone a link to the stack.
    Follow(usize, usize),
    Downgrade(usize),
    Upgrade(usize),
    /// Make a weak reference with a callback.
    Watch(usize),
    /// Drop one.
    Unwatch(usize),
    /// Exchange all links of two objects.
    Swap(usize, usize),
    /// Clear an object's links through `get_mut`.
    GetMut(usize),
    /// Take the value of an only handle out and put it into a new object.
    Rebox(usize),
    Collect(Generation),
    /// Collect while an object's cell is borrowed.
    CollectBorrowed(usize),
    /// List all objects and drop the list.
    Objects,
    FreezeAndUnfreeze,
}

/// A weak reference with a callback.
struct Watch {
    id: usize,
    weak: Weak<Object>,
    calls: Rc<Cell<usize>>,
}

impl Watch {
    fn of(gc: &Gc<Object>) -> Self {
        let calls: Rc<Cell<usize>> = Rc::default();
        let called = calls.clone();
        Watch {
            id: gc.tag.id,
            weak: Weak::with_callback(gc, move || called.set(called.get() + 1)),
            calls,
        }
    }

    /// The callback ran once if the object is dead, and else never.
    fn check(&self, is_dead: bool) {
        assert_eq!(self.calls.get(), usize::from(is_dead), "object {}", self.id);
        assert_eq!(self.weak.is_alive(), !is_dead, "object {}", self.id);
    }
}

/// The program and the model of it.
#[derive(Default)]
pub(crate) struct World {
    stack: Vec<Gc<Object>>,
    weaks: Vec<(usize, Weak<Object>)>,
    watches: Vec<Watch>,
    freed: Rc<RefCell<BTreeSet<usize>>>,
    /// `links[id]`, of every object that was ever made.
    links: Vec<Vec<usize>>,
    /// The stack in the model.
    roots: Vec<usize>,
    /// Freed in the model.
    dead: BTreeSet<usize>,
}

impl World {
    /// Runs a program in an empty world, and drops all that is left of it.
    pub(crate) fn run_all(ops: &[Op]) {
        cyclegc::disable();
        cyclegc::collect();
        let mut world = World::default();
        for op in ops {
            world.run(*op);
        }
        world.stack.clear();
        world.roots.clear();
        world.count_deaths();
        cyclegc::collect();
        world.collected(true);
        world.check();
        world.watches.clear();
        assert_eq!(cyclegc::tracked_count(), 0);
        assert_eq!(world.freed.borrow().len(), world.links.len());
    }

    fn id(&self, at: usize) -> usize {
        self.roots[at]
    }

    fn pick(&self, n: usize) -> Option<usize> {
        (!self.stack.is_empty()).then(|| n % self.stack.len())
    }

    fn push(&mut self, gc: Gc<Object>) {
        self.roots.push(gc.tag.id);
        self.stack.push(gc);
    }

    fn remove(&mut self, at: usize) -> Gc<Object> {
        self.roots.swap_remove(at);
        self.stack.swap_remove(at)
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::New => {
                let id = self.links.len();
                self.links.push(Vec::new());
                let tag = Tag {
                    id,
                    freed: self.freed.clone(),
                };
                self.push(Gc::new(Object {
                    tag,
                    links: RefCell::default(),
                }));
            }
            Op::Collect(generation) => {
                cyclegc::collect_generation(generation);
                self.collected(generation == Generation::Old);
            }
            Op::Objects => {
                let listed = cyclegc::objects(None).len();
                let live = self.links.len() - self.freed.borrow().len();
                assert!(listed <= live + self.watches.len());
            }
            Op::FreezeAndUnfreeze => {
                cyclegc::freeze();
                assert_eq!(cyclegc::collect().collected, 0);
                cyclegc::unfreeze();
            }
            Op::Upgrade(n) if !self.weaks.is_empty() => {
                let (id, weak) = &self.weaks[n % self.weaks.len()];
                let gc = weak.upgrade();
                assert_eq!(gc.is_none(), self.freed.borrow().contains(id));
                if let Some(gc) = gc {
                    assert_eq!(gc.tag.id, *id);
                    self.push(gc);
                }
            }
            Op::Upgrade(_) => {}
            Op::Unwatch(n) => {
                if let Some(at) = n.checked_rem(self.watches.len()) {
                    drop(self.watches.swap_remove(at));
                }
            }
            Op::Clone(n)
            | Op::Drop(n)
            | Op::Downgrade(n)
            | Op::Watch(n)
            | Op::GetMut(n)
            | Op::Rebox(n)
            | Op::CollectBorrowed(n) => {
                if let Some(at) = self.pick(n) {
                    self.run_on_one(op, at);
                }
            }
            Op::Link(n, m)
            | Op::Move(n, m)
            | Op::Unlink(n, m)
            | Op::Take(n, m)
            | Op::Follow(n, m)
            | Op::Swap(n, m) => {
                if let Some(at) = self.pick(n) {
                    self.run_on_two(op, at, m);
                }
            }
        }
        self.count_deaths();
        self.check();
    }

    fn run_on_one(&mut self, op: Op, at: usize) {
        match op {
            Op::Clone(_) => self.push(self.stack[at].clone()),
            Op::Drop(_) => drop(self.remove(at)),
            Op::Downgrade(_) => {
                let weak = Gc::downgrade(&self.stack[at]);
                self.weaks.push((self.id(at), weak));
            }
            Op::Watch(_) => self.watches.push(Watch::of(&self.stack[at])),
            Op::GetMut(_) => {
                let id = self.id(at);
                if let Some(object) = Gc::get_mut(&mut self.stack[at]) {
                    // Collections must stay away from the borrowed object.
                    cyclegc::collect_generation(Generation::Young);
                    let most = self.links.len() + self.watches.len();
                    assert!(cyclegc::objects(None).len() < most);
                    object.links.get_mut().clear();
                    self.links[id].clear();
                    self.collected(false);
                }
            }
            Op::Rebox(_) => {
                let gc = self.remove(at);
                let id = gc.tag.id;
                let gc = match Gc::try_unwrap(gc) {
                    Ok(object) => {
                        self.weaks.retain(|(of, weak)| {
                            assert!(*of != id || !weak.is_alive());
                            *of != id
                        });
                        // The object is gone, its value is not.
                        self.watches.retain(|watch| {
                            let is_its = watch.id == id;
                            watch.check(is_its || self.dead.contains(&watch.id));
                            !is_its
                        });
                        Gc::new(object)
                    }
                    Err(gc) => gc,
                };
                self.push(gc);
            }
            _ => {
                let object = self.stack[at].clone();
                let borrowed = object.links.borrow_mut();
                cyclegc::collect();
                drop(borrowed);
                drop(object);
                // What the borrowed cell reaches is reachable anyway.
                self.collected(true);
            }
        }
    }

    fn run_on_two(&mut self, op: Op, at: usize, m: usize) {
        let object = self.stack[at].clone();
        let id = self.id(at);
        let other = m % self.stack.len();
        let link = (!self.links[id].is_empty()).then(|| m % self.links[id].len());
        match (op, link) {
            (Op::Link(..), _) => {
                object.links.borrow_mut().push(self.stack[other].clone());
                let target = self.id(other);
                self.links[id].push(target);
            }
            (Op::Move(..), _) => {
                let moved = self.remove(other);
                self.links[id].push(moved.tag.id);
                object.links.borrow_mut().push(moved);
            }
            (Op::Swap(..), _) if self.id(other) != id => {
                object.links.swap(&self.stack[other].links);
                let with = self.id(other);
                self.links.swap(id, with);
            }
            (Op::Unlink(..), Some(link)) => {
                let removed = object.links.borrow_mut().swap_remove(link);
                self.links[id].swap_remove(link);
                drop(removed);
            }
            (Op::Take(..), Some(link)) => {
                let removed = object.links.borrow_mut().swap_remove(link);
                self.links[id].swap_remove(link);
                self.push(removed);
            }
            (Op::Follow(..), Some(link)) => {
                let found = object.links.borrow()[link].clone();
                self.push(found);
            }
            _ => {}
        }
    }

    /// Frees in the model what has no reference.
    fn count_deaths(&mut self) {
        loop {
            let mut counts = vec![0; self.links.len()];
            for root in &self.roots {
                counts[*root] += 1;
            }
            for (id, links) in self.links.iter().enumerate() {
                if !self.dead.contains(&id) {
                    links.iter().for_each(|to| counts[*to] += 1);
                }
            }
            let before = self.dead.len();
            let unreferenced = (0..counts.len()).filter(|id| counts[*id] == 0);
            self.dead.extend(unreferenced);
            if self.dead.len() == before {
                return;
            }
        }
    }

    fn reachable(&self) -> BTreeSet<usize> {
        let mut seen = BTreeSet::new();
        let mut waiting = self.roots.clone();
        while let Some(id) = waiting.pop() {
            if seen.insert(id) {
                waiting.extend(&self.links[id]);
            }
        }
        seen
    }

    /// A collection ran: it freed only what is unreachable, and all of that if
    /// it was a full one.
    fn collected(&mut self, full: bool) {
        let reachable = self.reachable();
        let unreachable: BTreeSet<usize> = (0..self.links.len())
            .filter(|id| !reachable.contains(id))
            .collect();
        let freed = self.freed.borrow().clone();
        assert!(freed.is_subset(&unreachable), "something live was freed");
        if full {
            assert_eq!(freed, unreachable, "garbage is left");
        }
        self.dead = freed;
    }

    /// Counting is exact at all times.
    fn check(&self) {
        assert_eq!(*self.freed.borrow(), self.dead);
        for (gc, id) in self.stack.iter().zip(&self.roots) {
            assert_eq!(gc.tag.id, *id);
            let links: Vec<usize> = gc.links.borrow().iter().map(|link| link.tag.id).collect();
            assert_eq!(links, self.links[*id]);
        }
        for watch in &self.watches {
            watch.check(self.dead.contains(&watch.id));
        }
        // A weak reference with a callback is an object, too.
        let live = self.links.len() - self.dead.len();
        assert_eq!(cyclegc::tracked_count(), live + self.watches.len());
    }
}
