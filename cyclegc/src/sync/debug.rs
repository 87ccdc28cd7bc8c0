//! What collections print (`DebugFlags`).

use crate::debug::print;
use crate::generation::{Generation, PERMANENT};
use crate::sync::collect::locked;
use crate::sync::domain::domain;
use crate::sync::header::Object;

pub(crate) fn print_start(generation: Generation) {
    let [young, middle, old, permanent] = locked(|collector| {
        collector.take_shards();
        collector.lists.each_ref().map(Vec::len)
    });
    debug_assert_eq!(PERMANENT, 3);
    let (index, alive) = (generation.index(), domain().census.alive());
    print(format_args!("gc: collecting generation {index}..."));
    print(format_args!(
        "gc: suspects in each generation: {young} {middle} {old}"
    ));
    print(format_args!(
        "gc: suspects in permanent generation: {permanent}"
    ));
    print(format_args!("gc: tracked objects: {alive}"));
}

/// Prints garbage, which has holds.
pub(crate) fn print_objects(what: &str, objects: &[Object]) {
    for object in objects {
        // SAFETY: a hold keeps the memory.
        let vtable = unsafe { object.head() }.vtable;
        let (type_name, address) = ((vtable.type_name)(), object.address());
        print(format_args!("gc: {what} <{type_name} at {address:#x}>"));
    }
}
