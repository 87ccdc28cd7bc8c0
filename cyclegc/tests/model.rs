//! Random programs against a plain model of reachability and counts.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use cyclegc::{AnyGc, Finalize, Gc, Generation, Trace, Weak};
use proptest::prelude::*;

/// What every object is known by; records its death.
#[derive(Trace)]
#[trace(leaf)]
struct Tag {
    id: usize,
    freed: Rc<RefCell<BTreeSet<usize>>>,
}

impl Drop for Tag {
    fn drop(&mut self) {
        let new = self.freed.borrow_mut().insert(self.id);
        assert!(new, "object {} was dropped twice", self.id);
    }
}

#[derive(Trace)]
struct Object {
    tag: Tag,
    links: RefCell<Vec<Gc<Object>>>,
}

#[derive(Clone, Copy, Debug)]
enum Op {
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

fn op() -> impl Strategy<Value = Op> {
    let n = 0..64_usize;
    prop_oneof![
        6 => Just(Op::New),
        4 => n.clone().prop_map(Op::Clone),
        8 => n.clone().prop_map(Op::Drop),
        12 => (n.clone(), n.clone()).prop_map(|(a, b)| Op::Link(a, b)),
        4 => (n.clone(), n.clone()).prop_map(|(a, b)| Op::Move(a, b)),
        3 => (n.clone(), n.clone()).prop_map(|(a, b)| Op::Unlink(a, b)),
        3 => (n.clone(), n.clone()).prop_map(|(a, b)| Op::Take(a, b)),
        3 => (n.clone(), n.clone()).prop_map(|(a, b)| Op::Follow(a, b)),
        2 => n.clone().prop_map(Op::Downgrade),
        2 => n.clone().prop_map(Op::Upgrade),
        2 => (n.clone(), n.clone()).prop_map(|(a, b)| Op::Swap(a, b)),
        1 => n.clone().prop_map(Op::GetMut),
        1 => n.clone().prop_map(Op::Rebox),
        3 => Just(Op::Collect(Generation::Young)),
        2 => Just(Op::Collect(Generation::Middle)),
        2 => Just(Op::Collect(Generation::Old)),
        1 => n.prop_map(Op::CollectBorrowed),
        1 => Just(Op::Objects),
        1 => Just(Op::FreezeAndUnfreeze),
    ]
}

/// The program and the model of it.
#[derive(Default)]
struct World {
    stack: Vec<Gc<Object>>,
    weaks: Vec<(usize, Weak<Object>)>,
    freed: Rc<RefCell<BTreeSet<usize>>>,
    /// `links[id]`, of every object that was ever made.
    links: Vec<Vec<usize>>,
    /// The stack in the model.
    roots: Vec<usize>,
    /// Freed in the model.
    dead: BTreeSet<usize>,
}

impl World {
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
                assert!(listed <= live);
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
            Op::Clone(n)
            | Op::Drop(n)
            | Op::Downgrade(n)
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
            Op::GetMut(_) => {
                let id = self.id(at);
                if let Some(object) = Gc::get_mut(&mut self.stack[at]) {
                    // Collections must stay away from the borrowed object.
                    cyclegc::collect_generation(Generation::Young);
                    assert!(cyclegc::objects(None).len() < self.links.len());
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
        assert_eq!(cyclegc::tracked_count(), self.links.len() - self.dead.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn nothing_live_is_freed_and_everything_dead_is(ops in prop::collection::vec(op(), 1..150)) {
        cyclegc::disable();
        cyclegc::collect();
        let mut world = World::default();
        for op in ops {
            world.run(op);
        }
        world.stack.clear();
        world.roots.clear();
        world.count_deaths();
        cyclegc::collect();
        world.collected(true);
        prop_assert_eq!(cyclegc::tracked_count(), 0);
        prop_assert_eq!(world.freed.borrow().len(), world.links.len());
    }
}

/// An object whose finalizer does as told.
#[derive(Trace)]
struct Actor {
    tag: Tag,
    links: RefCell<Vec<Gc<Actor>>>,
    weaks: RefCell<Vec<Weak<Actor>>>,
    act: Act,
    #[trace(skip)]
    stage: Rc<Stage>,
}

#[derive(Clone, Copy, Debug, Trace)]
enum Act {
    Nothing,
    /// Resurrect what the links refer to.
    Resurrect,
    /// Break all cycles through this object.
    Cut,
    /// Make new objects that refer to what the links refer to.
    Breed,
    /// Link a target of a link back to another.
    Tie,
    /// Make weak references, some with callbacks, and use the old ones.
    Watch,
    Panic,
}

#[derive(Default)]
struct Stage {
    saved: RefCell<Vec<Gc<Actor>>>,
    watched: RefCell<Vec<Weak<Actor>>>,
    freed: Rc<RefCell<BTreeSet<usize>>>,
    made: Cell<usize>,
}

fn actor(stage: &Rc<Stage>, act: Act) -> Gc<Actor> {
    let id = stage.made.replace(stage.made.get() + 1);
    Gc::new(Actor {
        tag: Tag {
            id,
            freed: stage.freed.clone(),
        },
        links: RefCell::default(),
        weaks: RefCell::default(),
        act,
        stage: stage.clone(),
    })
}

impl Finalize for Actor {
    fn finalize(&self) {
        let links = self.links.borrow().clone();
        // Everything is still intact.
        let freed = self.stage.freed.borrow();
        assert!(links.iter().all(|link| !freed.contains(&link.tag.id)));
        drop(freed);
        match self.act {
            Act::Nothing => {}
            Act::Resurrect => self.stage.saved.borrow_mut().extend(links),
            Act::Cut => drop(self.links.take()),
            Act::Breed => {
                for link in links {
                    let child = actor(&self.stage, Act::Nothing);
                    child.links.borrow_mut().push(child.clone());
                    child.links.borrow_mut().push(link);
                }
            }
            Act::Tie => {
                for pair in links.windows(2) {
                    pair[0].links.borrow_mut().push(pair[1].clone());
                }
            }
            Act::Watch => {
                for weak in self.weaks.borrow().iter() {
                    drop(weak.upgrade());
                }
                for link in links {
                    self.stage.watched.borrow_mut().push(Gc::downgrade(&link));
                    let saved = Rc::downgrade(&self.stage);
                    let weak = Weak::with_callback(&link, move || {
                        for weak in saved.upgrade().iter().flat_map(|s| s.watched.take()) {
                            drop(weak.upgrade());
                        }
                    });
                    self.weaks.borrow_mut().push(weak);
                }
            }
            Act::Panic => panic!("told to"),
        }
    }
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => Just(Act::Nothing),
        2 => Just(Act::Resurrect),
        2 => Just(Act::Cut),
        1 => Just(Act::Breed),
        1 => Just(Act::Tie),
        2 => Just(Act::Watch),
        1 => Just(Act::Panic),
    ]
}

fn keep_expected_panics_quiet() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload_as_str() != Some("told to") {
                print(info);
            }
        }));
    });
}

/// All that can be reached by walking the real handles is alive.
fn walk(from: &[Gc<Actor>], freed: &RefCell<BTreeSet<usize>>) {
    let mut seen = BTreeSet::new();
    let mut waiting = from.to_vec();
    while let Some(gc) = waiting.pop() {
        assert!(
            !freed.borrow().contains(&gc.tag.id),
            "something live was freed"
        );
        if seen.insert(gc.tag.id) {
            waiting.extend(gc.links.borrow().iter().cloned());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn finalizers_may_do_anything(
        acts in prop::collection::vec(act(), 1..12),
        links in prop::collection::vec((0..12_usize, 0..12_usize), 0..40),
        weaks in prop::collection::vec((0..12_usize, 0..12_usize, any::<bool>()), 0..12),
        kept in prop::collection::vec(any::<bool>(), 12),
        generations in prop::collection::vec(0..3_usize, 0..6),
    ) {
        keep_expected_panics_quiet();
        cyclegc::set_threshold(3, 2, 2);
        let stage = Rc::new(Stage::default());
        {
            let mut actors: Vec<Gc<Actor>> = acts.iter().map(|act| actor(&stage, *act)).collect();
            let n = actors.len();
            for (a, b) in links {
                actors[a % n].links.borrow_mut().push(actors[b % n].clone());
            }
            for (a, b, callback) in weaks {
                let weak = if callback {
                    Weak::with_callback(&actors[b % n], || ())
                } else {
                    Gc::downgrade(&actors[b % n])
                };
                actors[a % n].weaks.borrow_mut().push(weak);
            }
            let mut kept = kept.into_iter();
            actors.retain(|_| kept.next().unwrap_or(false));
            for generation in generations {
                cyclegc::collect_generation(Generation::ALL[generation]);
                walk(&actors, &stage.freed);
                walk(&stage.saved.borrow(), &stage.freed);
                let any: Vec<AnyGc> = cyclegc::objects(None);
                prop_assert!(any.iter().all(|any| any.ref_count() >= 1));
            }
        }
        // Nothing is held any more: after some rounds all must be gone.
        for _ in 0..8 {
            drop(stage.saved.take());
            cyclegc::collect();
        }
        drop(stage.watched.take());
        cyclegc::collect();
        prop_assert_eq!(stage.freed.borrow().len(), stage.made.get());
        prop_assert_eq!(cyclegc::tracked_count(), 0);
    }
}
