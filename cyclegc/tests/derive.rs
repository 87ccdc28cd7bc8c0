//! `#[derive(Trace)]`: what it traces, names, refuses, and leaves alone.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;
use std::rc::Rc;

use cyclegc::{AnyGc, Finalize, Gc, Trace, TypeDepth, Weak, collect, edges};

fn names(of: impl Into<AnyGc>) -> Vec<String> {
    edges(of).into_iter().map(|edge| edge.name).collect()
}

fn tracked<T: Trace>() -> bool {
    T::may_hold_gc(TypeDepth::START)
}

#[derive(Trace)]
struct Unit;

#[derive(Trace)]
struct Tuple(u8, Gc<str>, #[trace(skip)] Gc<str>);

#[derive(Trace)]
enum Shape {
    Empty,
    One(Gc<u8>),
    Two { left: Gc<u8>, r#type: Vec<Gc<u8>> },
}

#[derive(Trace)]
enum Never {}

#[derive(Trace)]
struct Everything {
    by_name: BTreeMap<String, Gc<u8>>,
    by_number: HashMap<u32, Gc<u8>>,
    pair: (Gc<u8>, Option<Gc<u8>>),
    cell: Cell<Option<Gc<u8>>>,
    nested: RefCell<Vec<[Gc<u8>; 2]>>,
    boxed: Box<Gc<u8>>,
    shared: Rc<Gc<u8>>,
    nothing: PhantomData<Gc<u8>>,
    shape: Shape,
}

#[test]
fn edges_are_named_by_field_index_and_key() {
    let n = || Gc::new(0_u8);
    let all = Gc::new(Everything {
        by_name: BTreeMap::from([("a b".into(), n())]),
        by_number: HashMap::from([(7, n())]),
        pair: (n(), Some(n())),
        cell: Cell::new(Some(n())),
        nested: RefCell::new(vec![[n(), n()]]),
        boxed: Box::new(n()),
        shared: Rc::new(n()),
        nothing: PhantomData,
        shape: Shape::Two {
            left: n(),
            r#type: vec![n()],
        },
    });
    let expected = [
        r#".by_name["a b"]"#,
        ".by_number[7]",
        ".pair.0",
        ".pair.1",
        ".cell",
        ".nested[0][0]",
        ".nested[0][1]",
        ".boxed",
        ".shape.left",
        ".shape.type[0]",
    ];
    assert_eq!(names(&all), expected);
    // The trace of a collection finds the same; not what the `Rc` shares.
    assert_eq!(cyclegc::referents(&all).len(), expected.len());
}

#[test]
fn skipped_fields_are_not_edges_and_keep_their_targets() {
    let text: Gc<str> = "x".into();
    let tuple = Gc::new(Tuple(1, text.clone(), text.clone()));
    assert_eq!(names(&tuple), [".1"]);
    assert_eq!((tuple.0, &*tuple.2), (1, "x"));

    #[derive(Trace)]
    struct Skips {
        #[trace(skip)]
        me: RefCell<Option<Gc<Skips>>>,
        seen: RefCell<Option<Gc<Skips>>>,
    }
    let new = || {
        Gc::new(Skips {
            me: RefCell::default(),
            seen: RefCell::default(),
        })
    };
    let (leaks, dies) = (new(), new());
    leaks.me.replace(Some(leaks.clone()));
    dies.seen.replace(Some(dies.clone()));
    let weak = Gc::downgrade(&leaks);
    drop((leaks, dies));
    assert_eq!(collect().collected, 1);
    // Too few edges only leak.
    let leaked = weak.upgrade().expect("kept by the skipped field");
    drop(leaked.me.take());
}

#[test]
fn types_without_handles_are_untracked() {
    #[derive(Trace)]
    struct Plain {
        a: u8,
        b: Vec<String>,
        c: Option<(f32, Rc<Gc<u8>>)>,
    }
    #[derive(Trace)]
    struct Holder<T>(Vec<T>);
    #[derive(Trace)]
    struct Recursive(Vec<Recursive>);
    #[derive(Trace)]
    struct Ping(Option<Box<Pong>>);
    #[derive(Trace)]
    struct Pong(Vec<Ping>);
    #[derive(Trace)]
    #[trace(tracked)]
    struct Forced(u8);
    #[derive(Trace)]
    #[trace(leaf)]
    struct Leaf(Option<Gc<u8>>);

    assert!(!tracked::<Unit>() && !tracked::<Plain>() && !tracked::<Never>());
    assert!(!tracked::<Holder<u8>>() && tracked::<Holder<Gc<u8>>>());
    // Types that contain themselves or each other count as tracked.
    assert!(tracked::<Recursive>() && tracked::<Ping>() && tracked::<Pong>());
    assert!(tracked::<Forced>() && !tracked::<Leaf>());
    assert!(tracked::<Weak<u8>>() && tracked::<AnyGc>());
    let plain = Gc::new(Plain {
        a: 1,
        b: vec![],
        c: None,
    });
    assert!(!Gc::is_tracked(&plain) && plain.a == 1 && plain.b.is_empty() && plain.c.is_none());
    assert!(Gc::is_tracked(&Gc::new(Forced(1))) && Forced(2).0 == 2);
    assert!(Leaf(None).0.is_none() && Recursive(vec![]).0.is_empty());
    assert!(
        Ping(Some(Box::new(Pong(vec![]))))
            .0
            .is_some_and(|p| p.0.is_empty())
    );
}

#[test]
fn a_leaf_type_may_implement_drop() {
    #[derive(Trace)]
    #[trace(leaf)]
    struct File(Rc<Cell<bool>>);
    impl Drop for File {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let closed = Rc::new(Cell::new(false));
    drop(Gc::new(File(closed.clone())));
    assert!(closed.get());
}

#[test]
fn the_derive_finds_finalizers_and_only_them() {
    #[derive(Trace)]
    struct Generic<T: Copy> {
        value: T,
        log: Rc<RefCell<Vec<u8>>>,
    }
    impl<T: Trace + Copy + Into<u8>> Finalize for Generic<T> {
        fn finalize(&self) {
            self.log.borrow_mut().push(self.value.into());
        }
    }
    #[derive(Trace)]
    #[trace(finalize)]
    struct Insists<T>(T)
    where
        T: Trace;
    impl<T: Trace> Finalize for Insists<T> {
        fn finalize(&self) {}
    }
    assert!(Unit::finalizer().is_none());
    assert!(Insists::<u8>::finalizer().is_some() && Insists(1).0 == 1);
    // `Generic`'s finalizer needs a bound that the derive does not have: it
    // is found where the derive can prove it, which a generic impl cannot.
    assert!(Generic::<u8>::finalizer().is_none());

    #[derive(Trace)]
    struct Concrete(Rc<Cell<u8>>);
    impl Finalize for Concrete {
        fn finalize(&self) {
            self.0.set(self.0.get() + 1);
        }
    }
    #[derive(Trace)]
    struct Same<T>(T, Rc<Cell<u8>>);
    impl<T: Trace> Finalize for Same<T> {
        fn finalize(&self) {
            self.1.set(self.1.get() + 1);
        }
    }
    let runs = Rc::new(Cell::new(0));
    drop(Gc::new(Concrete(runs.clone())));
    drop(Gc::new(Same("x", runs.clone())));
    assert_eq!(runs.get(), 2);
    let log = Rc::default();
    drop(Gc::new(Generic { value: 1_u8, log }));
    assert_eq!(Same(3, runs).0, 3);
}

#[test]
fn fields_can_be_moved_out() {
    // The derive writes no `Drop`, so this compiles.
    let tuple = Tuple(1, "a".into(), "b".into());
    let Tuple(number, a, b) = tuple;
    assert_eq!((number, &*a, &*b), (1, "a", "b"));
}

#[test]
fn dynamic_values_are_traced_through_their_traits() {
    trait Behave: Trace {
        fn peer(&self) -> &RefCell<Option<Gc<dyn Behave>>>;
    }
    #[derive(Trace, Default)]
    struct Dog {
        peer: RefCell<Option<Gc<dyn Behave>>>,
        toys: Vec<Box<dyn Behave>>,
    }
    impl Behave for Dog {
        fn peer(&self) -> &RefCell<Option<Gc<dyn Behave>>> {
            &self.peer
        }
    }
    let a = cyclegc::into_dyn!(Gc::new(Dog::default()) => dyn Behave);
    let b = cyclegc::into_dyn!(Gc::new(Dog::default()) => dyn Behave);
    a.peer().replace(Some(b.clone()));
    b.peer().replace(Some(a.clone()));
    assert_eq!(names(&a), [".peer"]);
    assert_eq!(AnyGc::from(&a).size(), size_of::<Dog>());
    drop((a, b));
    assert_eq!(collect().collected, 2);
    let dog = Dog {
        toys: vec![Box::new(Dog::default())],
        ..Dog::default()
    };
    dog.toys[0].peer().replace(Some(
        cyclegc::into_dyn!(Gc::new(Dog::default()) => dyn Behave),
    ));
    assert_eq!(names(Gc::new(dog)), [".toys[0].peer"]);
}

#[test]
fn shapes_are_matched() {
    assert_eq!(names(Gc::new(Shape::Empty)), [""; 0]);
    assert_eq!(names(Gc::new(Shape::One(Gc::new(1)))), [".0"]);
}
