//! Tables of weak handles that threads share: interners and maps; values written and read.

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;

use cyclegc::Trace;
use cyclegc::sync::intern::Interner;
use cyclegc::sync::{self, Gc, WeakValueMap};

use crate::support::{Locked as _, Node, alone, join, ring};

#[test]
fn threads_that_intern_equal_values_at_once_get_one_object() {
    let _alone = alone();
    const THREADS: usize = 3;
    let numbers = Interner::<u64>::new();
    let barrier = Barrier::new(THREADS);
    let all = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let run = || {
            scope.spawn(|| {
                let mut mine = Vec::new();
                for number in 0..300 {
                    if number % 10 == 0 {
                        barrier.wait();
                    }
                    mine.push(numbers.intern(number));
                }
                all.locked().push(mine);
            })
        };
        join(vec![run(), run(), run()]);
    });
    let all = all.locked();
    for others in &all[1..] {
        assert!(all[0].iter().zip(others).all(|(a, b)| Gc::ptr_eq(a, b)));
    }
    assert_eq!(numbers.len(), 300);
}

#[test]
fn an_entry_goes_with_its_last_user_in_any_thread() {
    let _alone = alone();
    let names = Interner::<str>::new();
    let (kept, sent) = (names.intern("kept"), names.intern("sent"));
    let other = names.clone();
    thread::spawn(move || {
        assert!(Gc::ptr_eq(&other.intern(String::from("sent")), &sent));
        drop(sent);
        assert!(other.get("sent").is_none());
    })
    .join()
    .unwrap();
    assert_eq!((names.len(), names.get("kept")), (1, Some(kept)));
    assert!(names.is_empty());
}

#[test]
fn threads_that_intern_and_drop_leave_nothing_behind() {
    let alone = alone();
    let numbers = Interner::<u64>::new();
    let rounds = if cfg!(debug_assertions) { 1000 } else { 20_000 };
    thread::scope(|scope| {
        let run = || {
            scope.spawn(|| {
                for round in 0..rounds {
                    let one = numbers.intern(round % 3);
                    let again = numbers.intern(round % 3);
                    assert!(Gc::ptr_eq(&one, &again) && *one == round % 3);
                    if let Some(other) = numbers.get(&((round + 1) % 3)) {
                        assert_eq!(*other, (round + 1) % 3);
                    }
                }
            })
        };
        join(vec![run(), run(), run()]);
    });
    assert!(numbers.is_empty());
    sync::collect();
    assert_eq!(alone.tracked_count(), 0);
}

/// Has one hash, and uses the interner when it is compared and when it ends.
#[derive(Trace)]
#[trace(leaf)]
struct Asks(u32);

fn asked() -> &'static Interner<Asks> {
    static ASKED: OnceLock<Interner<Asks>> = OnceLock::new();
    ASKED.get_or_init(Interner::new)
}

impl Hash for Asks {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl PartialEq for Asks {
    fn eq(&self, other: &Asks) -> bool {
        if self.0 < 100 && other.0 < 100 {
            drop(asked().intern(Asks(100 + self.0)));
        }
        self.0 == other.0
    }
}

impl Eq for Asks {}

impl Drop for Asks {
    fn drop(&mut self) {
        // Waits for the lock of the table.
        assert!(asked().len() < 100);
    }
}

#[test]
fn eq_and_drop_may_use_the_interner() {
    let _alone = alone();
    assert!(asked().is_empty());
    thread::scope(|scope| {
        let run = || {
            scope.spawn(|| {
                for round in 0..200 {
                    let one = asked().intern(Asks(round % 4));
                    let again = asked().intern(Asks(round % 4));
                    assert!(Gc::ptr_eq(&one, &again));
                }
            })
        };
        join(vec![run(), run()]);
    });
    assert!(asked().is_empty());
}

/// A term that others share, as a compiler has.
#[derive(Trace)]
struct Term {
    name: &'static str,
    parts: Mutex<Vec<Gc<Term>>>,
}

impl Hash for Term {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl PartialEq for Term {
    fn eq(&self, other: &Term) -> bool {
        self.name == other.name
    }
}

impl Eq for Term {}

#[test]
fn an_interned_value_in_a_dead_cycle_is_collected() {
    let alone = alone();
    let terms = Interner::<Term>::new();
    let term = |name| Term {
        name,
        parts: Mutex::default(),
    };
    let one = terms.intern(term("one"));
    let two = terms.intern(term("two"));
    one.parts.locked().push(two.clone());
    two.parts.locked().push(one.clone());
    drop((one, two));
    assert_eq!(terms.len(), 2);
    assert_eq!(sync::collect().collected, 2);
    assert!(terms.is_empty());
    assert_eq!(alone.tracked_count(), 0);
}

#[test]
fn small_integers_are_shared_by_all_threads() {
    for value in [-5, 0, 256] {
        let other = thread::spawn(move || Gc::small_int(value)).join().unwrap();
        assert!(Gc::ptr_eq(&Gc::small_int(value), &other));
    }
    for value in [i64::MIN, -6, 257, i64::MAX] {
        assert!(!Gc::ptr_eq(&Gc::small_int(value), &Gc::small_int(value)));
        assert_eq!(*Gc::small_int(value), value);
    }
}

#[test]
fn entries_of_a_map_vanish_with_their_values() {
    let _alone = alone();
    let alive: Arc<AtomicUsize> = Arc::default();
    let map = Arc::new(Mutex::new(WeakValueMap::new()));
    let (kept, dead) = (Node::new(&alive), ring(&alive, 2));
    assert!(map.locked().insert("kept", &kept).is_none());
    assert!(map.locked().insert("dead", &dead).is_none());
    let shared = map.clone();
    thread::spawn(move || {
        assert!(Gc::ptr_eq(&shared.locked().get("dead").unwrap(), &dead));
        drop(dead);
    })
    .join()
    .unwrap();
    assert_eq!((map.locked().len(), alive.load(SeqCst)), (2, 3));
    assert_eq!(sync::collect().collected, 2);
    let map = map.locked();
    assert_eq!((map.len(), alive.load(SeqCst)), (1, 1));
    let mut entries = map.iter();
    assert!(
        entries
            .next()
            .is_some_and(|(key, value)| *key == "kept" && Gc::ptr_eq(&value, &kept))
    );
    assert!(entries.next().is_none());
}

#[test]
fn a_map_in_a_cycle_does_not_keep_it() {
    #[derive(Trace, Default)]
    struct Registry {
        by_name: Mutex<WeakValueMap<String, Registry>>,
        next: Mutex<Option<Gc<Registry>>>,
    }

    let alone = alone();
    let registry = Gc::new(Registry::default());
    let me = registry.clone();
    registry.by_name.locked().insert("me".into(), &me);
    *registry.next.locked() = Some(me);
    assert!(
        sync::edges(&registry)
            .iter()
            .all(|edge| edge.name == ".next")
    );
    drop(registry);
    assert_eq!(sync::collect().collected, 1);
    assert_eq!(alone.tracked_count(), 0);
}

#[cfg(feature = "serde")]
#[test]
fn handles_are_serialized_as_their_values() {
    let _alone = alone();
    let value: Gc<Vec<Gc<str>>> = Gc::new(vec!["a".into(), "b".into()]);
    let text = serde_json::to_string(&value).unwrap();
    assert_eq!(text, r#"["a","b"]"#);
    let back: Gc<Vec<Gc<str>>> = serde_json::from_str(&text).unwrap();
    assert_eq!(back, value);
    let slice: Gc<[u8]> = serde_json::from_str("[1,2]").unwrap();
    assert_eq!(*slice, [1, 2]);
}
