//! Handles to slices, strings and trait objects, of any alignment.

use std::any::Any;
use std::cell::RefCell;

use cyclegc::{AnyGc, Gc, Trace, collect, into_dyn, referents};

trait Base: Trace {
    fn number(&self) -> usize;
}

trait Sub: Base {}

#[derive(Trace)]
#[repr(align(64))]
struct Wide(Vec<Gc<u8>>, usize);

impl Base for Wide {
    fn number(&self) -> usize {
        self.0.len() + self.1
    }
}

impl Sub for Wide {}

#[test]
fn a_trait_object_becomes_one_of_a_supertrait() {
    let sub: Gc<dyn Sub> = into_dyn!(Gc::new(Wide(vec![Gc::new(1)], 7)) => dyn Sub);
    let base: Gc<dyn Base> = into_dyn!(sub.clone() => dyn Base);
    assert_eq!(base.number(), 8);
    assert_eq!(Gc::as_ptr(&base).addr() % 64, 0);
    let any = AnyGc::from(&base);
    drop((sub, base));
    assert_eq!(any.downcast::<Wide>().expect("its type").1, 7);
    drop(any);
    assert_eq!(cyclegc::tracked_count(), 0);
    let number: Gc<dyn Any> = into_dyn!(Gc::new(3_u8) => dyn Any);
    assert_eq!(number.downcast_ref::<u8>(), Some(&3));
}

#[test]
fn an_array_that_became_a_slice_ends_as_an_array() {
    let array = Gc::new([1, 2, 3].map(|n| Wide(vec![Gc::new(0)], n)));
    let slice: Gc<[Wide]> = into_dyn!(array.clone() => [Wide]);
    assert_eq!(slice[2].number(), 4);
    drop(array);
    let any = AnyGc::from(slice);
    assert_eq!(referents(&any).len(), 3);
    assert!(any.downcast::<[Wide; 3]>().is_some());
    drop(any);
    assert_eq!(cyclegc::tracked_count(), 0);
}

#[test]
fn slices_of_any_alignment_are_collected() {
    #[derive(Trace)]
    #[repr(align(4096))]
    struct Page(RefCell<Option<AnyGc>>);

    let pages: Gc<[Page]> = (0..3).map(|_| Page(RefCell::default())).collect();
    *pages[1].0.borrow_mut() = Some((&pages).into());
    assert_eq!(pages.as_ptr().addr() % 4096, 0);
    let weak = Gc::downgrade(&pages);
    drop(pages);
    assert_eq!(collect().collected, 1);
    assert!(!weak.is_alive());
}

#[test]
fn a_slice_of_nothing_may_be_as_long_as_it_gets() {
    let units: Gc<[()]> = vec![(); usize::MAX].into();
    assert_eq!(units.len(), usize::MAX);
    let any = AnyGc::from(units);
    assert_eq!(any.size(), 0);
    drop(any);
}
