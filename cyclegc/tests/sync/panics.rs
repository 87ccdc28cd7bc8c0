//! Panics in `trace`, finalizers, callbacks and destructors leave the collector usable, and
//! leak at most what they were in.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

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
