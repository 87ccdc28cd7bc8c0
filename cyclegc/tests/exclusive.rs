//! A `&mut` from `get_mut` or `make_mut` is the only way to its value.

use std::cell::{Cell, RefCell};

use cyclegc::{AnyGc, Finalize, Gc, Trace, Weak, collect, objects};

#[derive(Trace, Clone)]
struct Shared {
    data: Vec<u64>,
    link: RefCell<Option<Gc<Shared>>>,
}

thread_local! {
    static LISTED: RefCell<Vec<Gc<Shared>>> = const { RefCell::new(Vec::new()) };
    static UNIQUE: Cell<Option<bool>> = const { Cell::new(None) };
}

fn list_all() {
    let all = objects(None);
    let listed = all.iter().filter_map(AnyGc::downcast::<Shared>);
    LISTED.with_borrow_mut(|stash| stash.extend(listed));
}

#[test]
fn make_mut_hides_the_copy_from_what_the_old_handle_runs() {
    let mut mine = Gc::new(Shared {
        data: vec![7; 100],
        link: RefCell::default(),
    });
    let weak = Weak::with_callback(&mine, list_all);
    let before = Gc::as_ptr(&mine);
    let value = Gc::make_mut(&mut mine);
    assert!(LISTED.with_borrow(Vec::is_empty));
    value.data.clear();
    assert_ne!(Gc::as_ptr(&mine), before);
    assert!(!weak.is_alive());
    assert_eq!(Gc::ref_count(&mine), 1);
    drop(mine.clone());
    list_all();
    assert_eq!(LISTED.take(), [mine]);
}

impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        self.data == other.data
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.data.fmt(f)
    }
}

/// Its finalizer wants to change its neighbour, of which it has the only
/// handle, and keep the `&mut`.
#[derive(Trace)]
struct Greedy {
    me: RefCell<Option<Gc<Greedy>>>,
    neighbour: RefCell<Option<Gc<Shared>>>,
}

impl Finalize for Greedy {
    fn finalize(&self) {
        let mut neighbour = self.neighbour.take().expect("intact");
        assert_eq!(Gc::ref_count(&neighbour), 1);
        UNIQUE.set(Some(Gc::get_mut(&mut neighbour).is_some()));
        let before = Gc::as_ptr(&neighbour);
        Gc::make_mut(&mut neighbour).data.push(2);
        assert_ne!(Gc::as_ptr(&neighbour), before, "a candidate was not copied");
        LISTED.with_borrow_mut(|stash| stash.push(neighbour));
    }
}

#[test]
fn a_finalizer_gets_no_mut_to_what_the_collection_looks_at() {
    let greedy = Gc::new(Greedy {
        me: RefCell::default(),
        neighbour: RefCell::new(Some(Gc::new(Shared {
            data: vec![1],
            link: RefCell::default(),
        }))),
    });
    *greedy.me.borrow_mut() = Some(greedy.clone());
    drop(greedy);
    // The neighbour's first object died by counting.
    assert_eq!(collect().collected, 1);
    assert_eq!(UNIQUE.get(), Some(false));
    let mut kept = LISTED.take().pop().expect("kept");
    assert_eq!(kept.data, [1, 2]);
    assert!(
        Gc::get_mut(&mut kept).is_some(),
        "the collection has let go"
    );
}

#[test]
fn a_resurrected_object_gives_a_mut_after_the_collection() {
    #[derive(Trace)]
    struct Phoenix {
        me: RefCell<Option<Gc<Phoenix>>>,
    }
    thread_local! {
        static NEST: RefCell<Option<Gc<Phoenix>>> = const { RefCell::new(None) };
    }
    impl Finalize for Phoenix {
        fn finalize(&self) {
            let mut me = self.me.take().expect("intact");
            assert!(Gc::get_mut(&mut me).is_none());
            NEST.set(Some(me));
        }
    }
    let phoenix = Gc::new(Phoenix {
        me: RefCell::default(),
    });
    *phoenix.me.borrow_mut() = Some(phoenix.clone());
    drop(phoenix);
    assert_eq!(collect().collected, 0);
    let mut phoenix = NEST.take().expect("resurrected");
    assert!(Gc::get_mut(&mut phoenix).is_some());
}

#[test]
fn a_weak_callback_gets_no_mut_to_what_the_collection_looks_at() {
    #[derive(Trace)]
    struct Link {
        next: RefCell<Option<Gc<Link>>>,
        value: RefCell<Option<Gc<Shared>>>,
    }
    thread_local! {
        static TAKEN: Cell<Option<bool>> = const { Cell::new(None) };
    }
    let link = Gc::new(Link {
        next: RefCell::default(),
        value: RefCell::new(Some(Gc::new(Shared {
            data: Vec::new(),
            link: RefCell::default(),
        }))),
    });
    *link.next.borrow_mut() = Some(link.clone());
    let weak = Weak::with_callback(&link, || {
        // `objects` lists what is about to die, as in CPython.
        for object in objects(None) {
            let Some(link) = object.downcast::<Link>() else {
                continue;
            };
            let mut value = link.value.take().expect("intact");
            TAKEN.set(Some(Gc::get_mut(&mut value).is_some()));
        }
    });
    drop(link);
    collect();
    assert_eq!(TAKEN.get(), Some(false));
    assert!(!weak.is_alive());
}
