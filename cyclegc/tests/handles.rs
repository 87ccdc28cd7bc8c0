//! What `Gc`, `AnyGc` and `Weak` promise, and how bad input ends.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashSet};
use std::rc::Rc;
use std::sync::{Mutex, RwLock};

use cyclegc::{AnyGc, Finalize, Gc, Generation, Trace, Weak, collect, into_dyn};

#[derive(Trace, Default)]
struct Node {
    links: RefCell<Vec<AnyGc>>,
}

fn cycle() -> Weak<Node> {
    let node = Gc::new(Node::default());
    node.links.borrow_mut().push((&node).into());
    Gc::downgrade(&node)
}

#[test]
fn handles_are_one_word() {
    assert_eq!(size_of::<Option<Gc<Node>>>(), size_of::<usize>());
    assert_eq!(size_of::<Option<AnyGc>>(), size_of::<usize>());
    assert_eq!(size_of::<Option<Gc<str>>>(), 2 * size_of::<usize>());
}

#[test]
fn headers_take_16_and_24_bytes() {
    let untracked = AnyGc::from(Gc::new(1_u64));
    let tracked = AnyGc::from(Gc::new([Gc::new(1_u8)]));
    assert_eq!(untracked.allocation_size() - untracked.size(), 16);
    assert_eq!(tracked.allocation_size() - tracked.size(), 24);
}

#[test]
fn values_are_aligned() {
    #[derive(Trace)]
    #[repr(align(64))]
    struct Wide(u8, Option<Gc<u8>>);
    #[derive(Trace)]
    #[repr(align(32))]
    struct Leaf(u8);
    let wide: Vec<Gc<Wide>> = (0..10).map(|n| Gc::new(Wide(n, None))).collect();
    assert!(
        wide.iter()
            .all(|w| Gc::as_ptr(w).addr() % 64 == 0 && w.1.is_none())
    );
    let slice: Gc<[Wide]> = (0..3).map(|n| Wide(n, Some(Gc::new(n)))).collect();
    assert!(slice.as_ptr().addr().is_multiple_of(64));
    assert_eq!(slice.iter().map(|w| w.0).collect::<Vec<_>>(), [0, 1, 2]);
    let leaves: Gc<[Leaf]> = vec![Leaf(1), Leaf(2)].into();
    assert!(leaves.as_ptr().addr().is_multiple_of(32));
    assert_eq!(leaves[1].0, 2);
    drop(AnyGc::from(slice));
    drop(AnyGc::from(leaves));
}

#[test]
fn slices_and_strings_live_in_one_object() {
    let text: Gc<str> = Gc::from("häßlich");
    assert_eq!(
        (&*text, text.to_string()),
        ("häßlich", "häßlich".to_owned())
    );
    assert_eq!(Gc::<str>::default().len(), 0);
    assert_eq!(AnyGc::from(&text).type_name(), "str");
    assert_eq!(AnyGc::from(&text).size(), text.len());

    let numbers: Gc<[u16]> = [1, 2, 3].into();
    assert!(!Gc::is_tracked(&numbers));
    assert_eq!(*numbers, [1, 2, 3]);
    let empty: Gc<[Gc<u8>]> = Vec::new().into();
    assert!(empty.is_empty() && Gc::is_tracked(&empty));

    // A slice that is part of a cycle.
    let node = Gc::new(Node::default());
    let slice: Gc<[Gc<Node>]> = vec![node.clone(), node.clone()].into();
    node.links.borrow_mut().push((&slice).into());
    let weak = Gc::downgrade(&slice);
    drop((node, slice));
    assert_eq!(collect().collected, 2);
    assert!(weak.upgrade().is_none());
}

#[test]
fn handles_behave_as_their_values() {
    let (one, two) = (Gc::new(1), Gc::new(2));
    assert!(one < two && one == Gc::new(1) && one != two);
    assert_eq!(format!("{one} {two:?}"), "1 2");
    assert_eq!(format!("{one:p}"), format!("{:p}", Gc::as_ptr(&one)));
    let set: HashSet<Gc<str>> = ["a".into(), "b".into()].into();
    assert!(set.contains("a") && !set.contains("c"));
    let ordered: BTreeSet<Gc<i32>> = [two, one].into();
    assert_eq!(ordered.first().map(|first| **first), Some(1));
    assert_eq!(*Gc::<u8>::default(), 0);
    let unboxed: Gc<u8> = Box::new(3).into();
    assert_eq!(*unboxed, 3);
    assert_eq!(AsRef::<i32>::as_ref(&Gc::new(4)), &4);
}

#[test]
fn make_mut_copies_shared_values_only() {
    let mut mine = Gc::new(vec![1]);
    let address = Gc::as_ptr(&mine);
    Gc::make_mut(&mut mine).push(2);
    assert_eq!(Gc::as_ptr(&mine), address);
    let theirs = mine.clone();
    Gc::make_mut(&mut mine).push(3);
    assert_eq!((mine.len(), theirs.len()), (3, 2));
    let weak = Gc::downgrade(&mine);
    Gc::make_mut(&mut mine).push(4);
    assert!(weak.upgrade().is_none());
    assert_eq!(mine.len(), 4);
}

#[test]
fn get_mut_keeps_the_collector_and_objects_away() {
    let mut node = Gc::new(Node::default());
    // A suspect first.
    drop(node.clone());
    assert_eq!(cyclegc::suspect_count(), 1);
    let value = Gc::get_mut(&mut node).expect("the only handle");
    assert_eq!(cyclegc::suspect_count(), 0);
    let other = cycle();
    assert_eq!(collect().collected, 1);
    assert!(cyclegc::objects(None).is_empty());
    value.links.get_mut().push(Gc::new(1).into());
    assert!(other.upgrade().is_none());
    // It can be seen again when it was shared.
    drop(node.clone());
    assert_eq!(cyclegc::objects(None), [AnyGc::from(&node)]);
    let weak = Gc::downgrade(&node);
    assert!(Gc::get_mut(&mut node).is_none());
    drop(weak);
}

#[test]
fn try_unwrap_gives_the_value_and_ends_the_object() {
    let runs = Rc::new(Cell::new(0));
    #[derive(Trace)]
    struct Counted(Rc<Cell<usize>>, RefCell<Vec<Gc<Node>>>);
    impl Finalize for Counted {
        fn finalize(&self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let told = Rc::new(Cell::new(false));
    let gc = Gc::new(Counted(runs.clone(), RefCell::default()));
    let tell = told.clone();
    let weak = Weak::with_callback(&gc, move || tell.set(true));
    let shared = gc.clone();
    let gc = Gc::try_unwrap(gc).err().expect("there is another handle");
    drop(shared);
    let value = Gc::try_unwrap(gc).ok().expect("the only handle");
    assert!(weak.upgrade().is_none());
    assert!(told.get());
    // The value is not an object any more: no finalizer.
    drop(value);
    assert_eq!(runs.get(), 0);
    drop(weak);
    assert_eq!(cyclegc::tracked_count(), 0);
}

#[test]
fn new_cyclic_makes_objects_that_know_themselves() {
    #[derive(Trace)]
    struct Me(Weak<Me>, u8);
    let me = Gc::new_cyclic(|me| {
        assert!(me.upgrade().is_none());
        // A collection meanwhile finds nothing to look at.
        drop(cycle());
        assert_eq!(collect().collected, 1);
        Me(me.clone(), 7)
    });
    assert_eq!(me.0.upgrade().map(|me| me.1), Some(7));
    assert_eq!((Gc::ref_count(&me), Gc::weak_count(&me)), (1, 1));
    drop(me);
    assert_eq!(cyclegc::tracked_count(), 0);
}

#[test]
fn unsized_handles_share_counts_with_the_sized() {
    trait Speak: Trace {
        fn speak(&self) -> String;
    }
    impl Speak for u8 {
        fn speak(&self) -> String {
            format!("u8 {self}")
        }
    }
    let byte = Gc::new(3_u8);
    let speaks: Gc<dyn Speak> = into_dyn!(byte.clone() => dyn Speak);
    assert_eq!((speaks.speak(), Gc::ref_count(&byte)), ("u8 3".into(), 2));
    let weak = Gc::downgrade(&speaks);
    drop(byte);
    drop(speaks);
    assert!(weak.upgrade().is_none());
    let array: Gc<[u8]> = into_dyn!(Gc::new([1_u8, 2]) => [u8]);
    assert_eq!(*array, [1, 2]);
    assert_eq!(AnyGc::from(array).type_name(), "[u8; 2]");
}

#[test]
fn any_handles_know_their_types() {
    let any = AnyGc::from(Gc::new(5_u8));
    assert!(any.downcast::<i8>().is_none());
    assert_eq!(any.downcast::<u8>().map(|five| *five), Some(5));
    assert_eq!((any.ref_count(), any.generation()), (1, None));
    assert!(!any.is_tracked() && !any.is_finalized());
    assert!(format!("{any:?}").starts_with("<u8 at 0x"));
    let again = any.clone();
    assert!(any == again && any.address() == again.address());
}

#[test]
fn borrowed_and_locked_values_are_kept_alive_without_a_panic() {
    type Cell4 = (
        RefCell<Option<AnyGc>>,
        Mutex<Option<AnyGc>>,
        RwLock<Option<AnyGc>>,
    );
    let gc: Gc<Cell4> = Gc::default();
    let (cell, mutex, lock) = (cycle_in(&gc), cycle_in(&gc), cycle_in(&gc));
    fn cycle_in(_: &Gc<Cell4>) -> Gc<Node> {
        Gc::new(Node::default())
    }
    let weaks = [&cell, &mutex, &lock].map(Gc::downgrade);
    *gc.0.borrow_mut() = Some(cell.into());
    *gc.1.lock().unwrap() = Some(mutex.into());
    *gc.2.write().unwrap() = Some(lock.into());
    drop(gc.clone());
    {
        let _cell = gc.0.borrow_mut();
        let _mutex = gc.1.lock().unwrap();
        let _lock = gc.2.write().unwrap();
        assert_eq!(collect().collected, 0);
    }
    assert!(weaks.iter().all(Weak::is_alive));
    drop(gc);
    assert!(!weaks.iter().any(Weak::is_alive));
}

#[test]
fn handles_behind_a_shared_pointer_count_as_outside() {
    #[derive(Trace)]
    struct Shares(RefCell<Option<Rc<Gc<Shares>>>>);
    let a = Gc::new(Shares(RefCell::default()));
    let shared = Rc::new(a.clone());
    a.0.replace(Some(shared.clone()));
    let b = Gc::new(Shares(RefCell::new(Some(shared.clone()))));
    let weak = Gc::downgrade(&a);
    drop((a, b));
    collect();
    // Two objects refer to the one handle in the `Rc`: it is not counted
    // twice, so what it refers to lives.
    assert!(weak.is_alive());
    assert_eq!(Gc::ref_count(&shared), 1);
    drop(shared.0.take());
}

#[test]
fn handles_may_be_made_and_cloned_in_a_finalizer() {
    #[derive(Trace)]
    struct Busy {
        me: RefCell<Option<Gc<Busy>>>,
        kept: Rc<RefCell<Vec<AnyGc>>>,
    }
    impl Finalize for Busy {
        fn finalize(&self) {
            let new: Vec<AnyGc> = (0..1000).map(|_| Gc::new(Node::default()).into()).collect();
            self.kept.borrow_mut().extend(new);
            drop(self.me.borrow().clone());
            drop(cyclegc::objects(None));
        }
    }
    let kept: Rc<RefCell<Vec<AnyGc>>> = Rc::default();
    let busy = Gc::new(Busy {
        me: RefCell::default(),
        kept: kept.clone(),
    });
    busy.me.replace(Some(busy.clone()));
    drop(busy);
    assert_eq!(collect().collected, 1);
    assert_eq!(kept.borrow().len(), 1000);
    assert_eq!(cyclegc::tracked_count(), 1000);
}

#[test]
fn live_cycles_are_collected_when_their_thread_ends() {
    thread_local! {
        static LATE: RefCell<Vec<Gc<Late>>> = const { RefCell::new(Vec::new()) };
    }
    #[derive(Trace)]
    #[trace(leaf)]
    struct Flag(std::sync::Arc<std::sync::atomic::AtomicUsize>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
    #[derive(Trace)]
    struct Late {
        me: RefCell<Option<Gc<Late>>>,
        flag: Flag,
    }
    let drops = std::sync::Arc::default();
    let seen = std::sync::Arc::clone(&drops);
    std::thread::spawn(move || {
        let new = |cyclic: bool| {
            let late = Gc::new(Late {
                me: RefCell::default(),
                flag: Flag(std::sync::Arc::clone(&drops)),
            });
            if cyclic {
                late.me.replace(Some(late.clone()));
            }
            late
        };
        // In a thread-local that may die before or after the collector's.
        LATE.with_borrow_mut(|late| late.extend([new(false), new(false)]));
        drop(new(true));
        let captured = new(true);
        cyclegc::add_callback(move |_, _| assert!(captured.me.borrow().is_some()));
        let held = new(false);
        assert_eq!(held.flag.0.load(std::sync::atomic::Ordering::Relaxed), 0);
    })
    .join()
    .expect("no panic");
    assert_eq!(seen.load(std::sync::atomic::Ordering::Relaxed), 5);
}

#[test]
fn young_collections_do_not_enter_older_generations() {
    let old = Gc::new(Node::default());
    let old_cycle = cycle();
    let kept = old_cycle.upgrade();
    for _ in 0..100 {
        let child = Gc::new(Node::default());
        old.links.borrow_mut().push((&child).into());
    }
    cyclegc::collect_generation(Generation::Middle);
    drop(kept);
    // All suspects are old now; a new object refers to them.
    let new = Gc::new(Node::default());
    new.links.borrow_mut().push((&old).into());
    drop(new.clone());
    let stats = cyclegc::collect_generation(Generation::Young);
    assert_eq!((stats.candidates, stats.collected), (1, 0));
    assert!(old_cycle.is_alive());
    assert_eq!(collect().collected, 1);
    assert!(!old_cycle.is_alive());
}

#[test]
fn a_suspect_that_survives_stays_one_for_the_next_generation() {
    let old = Gc::new(Node::default());
    cyclegc::collect_generation(Generation::Young);
    let new = Gc::new(Node::default());
    old.links.borrow_mut().push((&new).into());
    // Moved, not dropped: `old` is no suspect.
    new.links.borrow_mut().push(old.into());
    drop(new);
    assert_eq!(cyclegc::suspect_count(), 1);
    // An older object refers to it: alive, as far as a young collection sees.
    assert_eq!(cyclegc::collect_generation(Generation::Young).collected, 0);
    assert_eq!(cyclegc::suspect_count(), 1);
    assert_eq!(cyclegc::collect_generation(Generation::Middle).collected, 2);
    assert_eq!(cyclegc::suspect_count(), 0);
}

#[test]
fn acyclic_programs_are_never_traced() {
    let mut stack = vec![];
    for _ in 0..10_000 {
        let child = Gc::new(Node::default());
        let parent = Gc::new(Node::default());
        parent.links.borrow_mut().push(child.into());
        stack.push(parent);
    }
    let collections: usize = cyclegc::stats().iter().map(|s| s.collections).sum();
    assert!(collections > 20);
    assert_eq!(collect().candidates, 0);
}

#[test]
fn too_many_handles_abort_with_a_message() {
    // The count cannot be reached by making handles: a process that pretends.
    if std::env::var_os("OVERFLOW").is_some() {
        let gc = Gc::new(1);
        let raw = Gc::as_ptr(&gc).cast::<u32>();
        // SAFETY: the count lies 16 bytes before the value of an untracked
        // object.
        let count = unsafe { raw.sub(4) }.cast_mut();
        // SAFETY: nothing else uses it now.
        unsafe { count.write(i32::MAX.cast_unsigned()) };
        drop(gc.clone());
        return;
    }
    let this = std::env::current_exe().expect("a path");
    let output = std::process::Command::new(this)
        .args([
            "--exact",
            "too_many_handles_abort_with_a_message",
            "--nocapture",
        ])
        .env("OVERFLOW", "1")
        .output()
        .expect("it starts");
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains("cyclegc: more than 2147483647 handles"),
        "{errors}"
    );
}

#[cfg(feature = "serde")]
#[test]
fn handles_are_serialized_as_their_values() {
    let value: Gc<Vec<Gc<str>>> = Gc::new(vec!["a".into(), "b".into()]);
    let text = serde_json::to_string(&value).expect("json");
    assert_eq!(text, r#"["a","b"]"#);
    let back: Gc<Vec<Gc<str>>> = serde_json::from_str(&text).expect("json");
    assert_eq!(back, value);
    let slice: Gc<[u8]> = serde_json::from_str("[1,2]").expect("json");
    assert_eq!(*slice, [1, 2]);
}

#[cfg(feature = "indexmap")]
#[test]
fn index_maps_are_traced() {
    use indexmap::IndexMap;
    let map: Gc<RefCell<IndexMap<String, AnyGc>>> = Gc::default();
    map.borrow_mut().insert("me".into(), (&map).into());
    assert_eq!(cyclegc::edges(&map)[0].name, r#"["me"]"#);
    drop(map);
    assert_eq!(collect().collected, 1);
}

#[cfg(feature = "hashbrown")]
#[test]
fn hashbrown_maps_are_traced() {
    let map: Gc<RefCell<hashbrown::HashMap<u8, AnyGc>>> = Gc::default();
    map.borrow_mut().insert(1, (&map).into());
    drop(map);
    assert_eq!(collect().collected, 1);
}

#[cfg(feature = "smallvec")]
#[test]
fn small_vectors_are_traced() {
    let list: Gc<RefCell<smallvec::SmallVec<[AnyGc; 1]>>> = Gc::default();
    for _ in 0..3 {
        list.borrow_mut().push((&list).into());
    }
    assert_eq!(cyclegc::referents(&list).len(), 3);
    drop(list);
    assert_eq!(collect().collected, 1);
}

/// Says something else about its type each time.
#[derive(Clone)]
struct Fickle(u64);

// SAFETY: no edge is reported.
unsafe impl Trace for Fickle {
    fn trace(&self, _: &mut cyclegc::Tracer<'_>) {}
    fn may_hold_gc(_: cyclegc::TypeDepth) -> bool {
        thread_local! {
            static ANSWER: Cell<bool> = const { Cell::new(false) };
        }
        ANSWER.replace(!ANSWER.get())
    }
}

#[test]
fn an_object_is_tracked_or_not_whatever_its_type_says_later() {
    let _ = <Fickle as Trace>::may_hold_gc(cyclegc::TypeDepth::START);
    for round in 0..4 {
        let slice: Gc<[Fickle]> = vec![Fickle(round); 3].into();
        let any = AnyGc::from(&slice);
        assert_eq!(any.size(), 24);
        assert_eq!(any.is_tracked(), any.generation().is_some());
        let prefix = if any.is_tracked() { 16 } else { 8 };
        assert_eq!(any.allocation_size(), prefix + 16 + 24);
        drop(slice);
        drop(any);
        let one = Gc::new(Fickle(round));
        let other = Gc::new_cyclic(|_| Fickle(round));
        assert_eq!((one.0, other.0), (round, round));
        drop((one, other));
        assert_eq!(cyclegc::tracked_count(), 0);
    }
}
