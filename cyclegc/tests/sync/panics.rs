//! Panics in `trace`, finalizers, callbacks and destructors leave the collector usable, and
//! leak at most what they were in.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, TryLockError};

use cyclegc::sync::{self, AnyGc, Gc, Weak};
use cyclegc::{Finalize, Trace, Tracer, UnraisablePlace};

use crate::support::{alone, ring};

static CAUGHT: Mutex<Vec<UnraisablePlace>> = Mutex::new(Vec::new());

/// What the hook heard while `run` ran, and that collections still work.
fn caught_by(run: impl FnOnce()) -> Vec<UnraisablePlace> {
    let before = sync::set_unraisable_hook(Some(|caught| {
        CAUGHT.lock().unwrap().push(caught.place);
    }));
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    run();
    std::panic::set_hook(hook);
    sync::set_unraisable_hook(before);
    let alive: Arc<AtomicUsize> = Arc::default();
    drop(ring(&alive, 3));
    assert!(sync::collect().collected >= 3);
    assert_eq!(alive.load(SeqCst), 0);
    std::mem::take(&mut *CAUGHT.lock().unwrap())
}

#[test]
fn in_trace() {
    struct Bad(Mutex<Option<AnyGc>>);
    // SAFETY: too few edges are reported.
    unsafe impl Trace for Bad {
        fn trace(&self, tracer: &mut Tracer<'_>) {
            tracer.value(&self.0);
            panic!("trace");
        }
    }

    let _alone = alone();
    let mut uncollectable = 0;
    let weak = std::cell::OnceCell::new();
    let caught = caught_by(|| {
        let bad = Gc::new(Bad(Mutex::default()));
        *bad.0.lock().unwrap() = Some((&bad).into());
        weak.set(Gc::downgrade(&bad)).unwrap();
        drop(bad);
        uncollectable = sync::collect().uncollectable;
    });
    assert_eq!((uncollectable, caught), (1, vec![UnraisablePlace::Trace]));
    // It is alive, and its mutex is not locked.
    let bad = weak.get().unwrap().upgrade().unwrap();
    let taken = bad.0.try_lock().unwrap().take();
    drop(taken);
}

/// A lock that lies behind another is let go of before that one, also if a `trace` panics
/// that had taken both: who gets the outer one may drop the inner one.
#[test]
fn in_trace_behind_two_locks() {
    static OUTER: Mutex<Option<Gc<Outer>>> = Mutex::new(None);
    /// Of each look, if the outer lock was free: whether the inner one was kept.
    static SEEN: Mutex<Vec<Option<bool>>> = Mutex::new(Vec::new());

    type Inner = (Mutex<Option<AnyGc>>, Bad);
    #[derive(Trace)]
    struct Outer(Mutex<Vec<Inner>>);
    struct Bad;
    // SAFETY: too few edges are reported.
    unsafe impl Trace for Bad {
        fn trace(&self, _: &mut Tracer<'_>) {
            panic!("trace");
        }
    }
    /// Looks at the locks when it is traced itself, behind the other in the same breath.
    struct Looks(Mutex<Option<AnyGc>>);
    // SAFETY: the handle is reported once, its lock is kept.
    unsafe impl Trace for Looks {
        fn trace(&self, tracer: &mut Tracer<'_>) {
            if let Some(outer) = &*OUTER.lock().unwrap() {
                let outer = match outer.0.try_lock() {
                    Ok(guard) => Some(guard),
                    Err(TryLockError::Poisoned(guard)) => Some(guard.into_inner()),
                    Err(TryLockError::WouldBlock) => None,
                };
                let is_inner_kept = outer.map(|guard| guard[0].0.try_lock().is_err());
                SEEN.lock().unwrap().push(is_inner_kept);
            }
            tracer.value(&self.0);
        }
    }

    let _alone = alone();
    let caught = caught_by(|| {
        let outer = Gc::new(Outer(Mutex::new(vec![(Mutex::default(), Bad)])));
        // Suspects, in this order.
        drop(outer.clone());
        let looks = Gc::new(Looks(Mutex::default()));
        outer.0.lock().unwrap()[0].0 = Mutex::new(Some((&looks).into()));
        *looks.0.lock().unwrap() = Some((&outer).into());
        drop(looks);
        *OUTER.lock().unwrap() = Some(outer);
        sync::collect();
    });
    let outer = OUTER.lock().unwrap().take().unwrap();
    assert_eq!(caught, [UnraisablePlace::Trace]);
    let seen = std::mem::take(&mut *SEEN.lock().unwrap());
    assert!(!seen.is_empty());
    assert!(!seen.contains(&Some(true)), "{seen:?}");
    // All are let go of by now, and none is poisoned.
    let inner = std::mem::take(&mut *outer.0.try_lock().unwrap());
    let looks = inner[0].0.try_lock().unwrap().take();
    drop((outer, looks));
    drop(inner);
    sync::collect();
}

#[test]
fn in_a_finalizer() {
    #[derive(Trace)]
    struct Bad(Mutex<Option<AnyGc>>);
    impl Finalize for Bad {
        fn finalize(&self) {
            panic!("finalize");
        }
    }

    let _alone = alone();
    let caught = caught_by(|| {
        let bad = Gc::new(Bad(Mutex::default()));
        *bad.0.lock().unwrap() = Some((&bad).into());
        drop(bad);
        assert_eq!(sync::collect().collected, 1);
        drop(Gc::new(Bad(Mutex::default())));
    });
    assert_eq!(caught, [UnraisablePlace::Finalize; 2]);
}

#[test]
fn in_a_callback() {
    let _alone = alone();
    let caught = caught_by(|| {
        let target = Gc::new(Mutex::new(None::<AnyGc>));
        *target.lock().unwrap() = Some((&target).into());
        let weak = Weak::with_callback(&target, || panic!("callback"));
        drop(target);
        assert_eq!(sync::collect().collected, 1);
        drop(weak);
    });
    assert_eq!(caught, [UnraisablePlace::Callback]);
}

/// Panics when it is dropped.
#[derive(Trace)]
#[trace(leaf)]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("drop");
        }
    }
}

#[derive(Trace)]
struct Armed {
    _bomb: Bomb,
    links: Mutex<Vec<Gc<Armed>>>,
}

fn armed() -> Gc<Armed> {
    Gc::new(Armed {
        _bomb: Bomb,
        links: Mutex::default(),
    })
}

#[test]
fn in_the_destructor_of_garbage() {
    let alone = alone();
    let caught = caught_by(|| {
        let (a, b) = (armed(), armed());
        a.links.lock().unwrap().push(b.clone());
        b.links.lock().unwrap().push(a.clone());
        drop((a, b));
        assert_eq!(sync::collect().collected, 2);
    });
    assert_eq!(caught, [UnraisablePlace::Drop; 2]);
    assert_eq!(alone.tracked_count(), 0);
}

#[test]
fn in_the_destructor_of_a_last_handle_it_goes_to_who_dropped_that() {
    let alone = alone();
    let caught = caught_by(|| {
        let (outer, inner) = (armed(), armed());
        outer.links.lock().unwrap().push(inner);
        let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(outer)));
        assert!(dropped.is_err());
    });
    assert_eq!(caught, []);
    assert_eq!(alone.tracked_count(), 0);
}
