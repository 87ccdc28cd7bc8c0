//! What can be asked about objects, and what is printed about them.

use std::cell::RefCell;
use std::collections::BTreeMap;

use cyclegc::{
    AnyGc, DebugFlags, Finalize, Gc, Generation, Trace, Weak, collect, collect_generation,
};

use crate::{Instance, List, collected};

#[test]
fn test_get_referents() {
    let (one, two) = (Gc::new(1), Gc::new(2));
    let any = |gc: &Gc<i32>| AnyGc::from(gc);
    let list = List::new();
    list.append(&one);
    list.append(&two);
    assert_eq!(cyclegc::referents(&list), [any(&one), any(&two)]);

    let tuple = Gc::new((two.clone(), one.clone()));
    assert_eq!(cyclegc::referents(&tuple), [any(&two), any(&one)]);

    let dict = Gc::new(BTreeMap::from([(5, one.clone())]));
    assert_eq!(cyclegc::referents(&dict), [any(&one)]);
    assert_eq!(cyclegc::referents(&one), []);
}

#[test]
fn test_is_tracked() {
    // Atomic built-in types are not tracked, containers are.
    assert!(!Gc::is_tracked(&Gc::new(1)));
    assert!(!Gc::is_tracked(&Gc::new(1.0)));
    assert!(!Gc::is_tracked(&Gc::new(true)));
    assert!(!Gc::is_tracked(&Gc::<str>::from("a")));
    assert!(!Gc::is_tracked(&Gc::new((1, "x"))));
    assert!(Gc::is_tracked(&List::new()));
    assert!(Gc::is_tracked(&Instance::new()));
    assert!(Gc::is_tracked(&Gc::<[AnyGc]>::from(vec![AnyGc::from(
        Gc::new(1)
    )])));
}

#[test]
fn test_is_finalized() {
    thread_local! {
        static STORAGE: RefCell<Vec<Gc<Lazarus>>> = const { RefCell::new(Vec::new()) };
    }
    #[derive(Trace)]
    struct Lazarus(Weak<Lazarus>);
    impl Finalize for Lazarus {
        fn finalize(&self) {
            let me = self.0.upgrade().expect("alive while it is finalized");
            STORAGE.with_borrow_mut(|storage| storage.push(me));
        }
    }
    assert!(!Gc::is_finalized(&Gc::new(3)));
    let lazarus = Gc::new_cyclic(|me| Lazarus(me.clone()));
    assert!(!Gc::is_finalized(&lazarus));
    drop(lazarus);
    let lazarus = STORAGE.with_borrow_mut(Vec::pop).expect("resurrected");
    assert!(Gc::is_finalized(&lazarus));
    // Its finalizer does not run again.
    drop(lazarus);
    assert!(STORAGE.with_borrow(Vec::is_empty));
}

#[test]
fn test_freeze() {
    let list = List::new();
    list.append(&list);
    cyclegc::freeze();
    assert_eq!(cyclegc::frozen_count(), 1);
    assert_eq!(cyclegc::count(), (0, 0, 0));
    drop(list);
    assert_eq!(collected(), 0);
    cyclegc::unfreeze();
    assert_eq!(cyclegc::frozen_count(), 0);
    assert_eq!(collected(), 1);
}

#[test]
fn test_get_objects() {
    collect();
    let list = List::new();
    list.append(&list);
    let me = AnyGc::from(&list);
    let listed = |generation| cyclegc::objects(Some(generation)).contains(&me);
    let where_is = || Generation::ALL.map(listed);
    assert_eq!(where_is(), [true, false, false]);
    collect_generation(Generation::Young);
    assert_eq!(where_is(), [false, true, false]);
    collect_generation(Generation::Middle);
    assert_eq!(where_is(), [false, false, true]);
    collect_generation(Generation::Old);
    assert_eq!(where_is(), [false, false, true]);
    assert!(cyclegc::objects(None).contains(&me));
    drop((list, me));
    collect();
}

#[test]
fn test_get_objects_arguments() {
    collect();
    let kept: Vec<Gc<List>> = (0..5).map(|_| List::new()).collect();
    let all = cyclegc::objects(None).len();
    let each: usize = Generation::ALL
        .iter()
        .map(|generation| cyclegc::objects(Some(*generation)).len())
        .sum();
    assert_eq!((all, each), (5, 5));
    assert!(Generation::try_from(1000).is_err());
    drop(kept);
}

#[test]
fn test_saveall() {
    collect();
    assert!(cyclegc::garbage().is_empty());
    let list = List::new();
    list.append(&list);
    let id = AnyGc::from(&list).address();
    cyclegc::set_debug(DebugFlags::SAVEALL);
    drop(list);
    assert_eq!(collected(), 1);
    cyclegc::set_debug(DebugFlags::empty());
    let garbage = cyclegc::take_garbage();
    assert_eq!(garbage.len(), 1);
    assert_eq!(garbage[0].address(), id);
    drop(garbage);
    assert_eq!(collected(), 1);
}

#[test]
fn test_gc_debug_leak_is_38() {
    assert_eq!(DebugFlags::LEAK, DebugFlags::from_bits_retain(38));
}

#[test]
fn debug_flags_print_what_cpython_prints() {
    if std::env::var_os("PRINT").is_some() {
        let list = List::new();
        list.append(&list);
        drop(list);
        cyclegc::set_debug(DebugFlags::STATS | DebugFlags::COLLECTABLE);
        collect();
        // The collection when the thread ends is not asked about.
        cyclegc::set_debug(DebugFlags::empty());
        return;
    }
    let this = std::env::current_exe().expect("a path");
    let output = std::process::Command::new(this)
        .args([
            "--exact",
            "inspect::debug_flags_print_what_cpython_prints",
            "--nocapture",
        ])
        .env("PRINT", "1")
        .output()
        .expect("it starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = errors.lines().filter(|l| l.starts_with("gc: ")).collect();
    assert_eq!(lines.len(), 5, "{errors}");
    assert_eq!(lines[0], "gc: collecting generation 2...");
    assert_eq!(lines[1], "gc: objects in each generation: 1 0 0");
    assert_eq!(lines[2], "gc: objects in permanent generation: 0");
    assert!(lines[3].starts_with("gc: collectable <test_gc::List at 0x"));
    assert!(lines[4].starts_with("gc: done, 1 unreachable, 0 uncollectable, "));
}
