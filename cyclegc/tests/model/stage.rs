//! Objects whose finalizers resurrect, breed, cut, watch and panic, and a play of them:
//! whatever they do, nothing that can be walked to is freed, and at the end all is.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use cyclegc::{AnyGc, Finalize, Gc, Generation, Trace, Weak};

use super::tag::Tag;

/// Who is on the stage, and when it is swept.
#[derive(Clone, Debug)]
pub(crate) struct Play {
    /// An object each.
    pub(crate) acts: Vec<Act>,
    /// From one to another, by number modulo the number of objects.
    pub(crate) links: Vec<(usize, usize)>,
    /// Weak references from one to another, with a callback or without.
    pub(crate) weaks: Vec<(usize, usize, bool)>,
    /// Which handles stay on the stack; the others are dropped.
    pub(crate) kept: Vec<bool>,
    /// The collections that run meanwhile.
    pub(crate) generations: Vec<Generation>,
}

impl Play {
    /// Plays it, and drops everything.
    pub(crate) fn run(self) {
        keep_expected_panics_quiet();
        cyclegc::set_threshold(3, 2, 2);
        let stage = Rc::new(Stage::default());
        {
            let mut actors: Vec<Gc<Actor>> =
                self.acts.iter().map(|act| actor(&stage, *act)).collect();
            let n = actors.len();
            for (a, b) in self.links {
                actors[a % n].links.borrow_mut().push(actors[b % n].clone());
            }
            for (a, b, callback) in self.weaks {
                let weak = if callback {
                    Weak::with_callback(&actors[b % n], || ())
                } else {
                    Gc::downgrade(&actors[b % n])
                };
                actors[a % n].weaks.borrow_mut().push(weak);
            }
            let mut kept = self.kept.into_iter();
            actors.retain(|_| kept.next().unwrap_or(false));
            for generation in self.generations {
                cyclegc::collect_generation(generation);
                walk(&actors, &stage.freed);
                walk(&stage.saved.borrow(), &stage.freed);
                let any: Vec<AnyGc> = cyclegc::objects(None);
                assert!(any.iter().all(|any| any.ref_count() >= 1));
            }
        }
        // Nothing is held any more: after some rounds all must be gone.
        for _ in 0..8 {
            drop(stage.saved.take());
            cyclegc::collect();
        }
        drop(stage.watched.take());
        cyclegc::collect();
        assert_eq!(stage.freed.borrow().len(), stage.made.get());
        assert_eq!(cyclegc::tracked_count(), 0);
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
pub(crate) enum Act {
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
