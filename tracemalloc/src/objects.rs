//! Where objects of `cyclegc` were made, for its object graphs.

use std::cell::RefCell;
use std::collections::HashMap;

use cyclegc::objgraph::Frame;

use crate::snapshot::Traceback;
use crate::symbols::crate_of;
use crate::{NotTracing, take_snapshot, untraced};

/// Where blocks were allocated, for the `stacks` of an object graph: of
/// [`cyclegc::sync::objgraph`], and of [`cyclegc::objgraph`].
///
/// What it returns is asked for the address of an object's memory, and says the calls,
/// innermost first, without those inside `cyclegc`; none if that block is not recorded. Each
/// shared object has a block. Those of one thread lie in pools, unless they are larger than
/// 3584 bytes, or the program is built with `--cfg cyclegc_alone`: the one at a pool's start
/// gets the stack that made the pool, the others none.
///
/// Takes a snapshot now. What is made later has no stack; where it lies in a block's place that
/// was freed since, it has that one's: so take the stacks right before the graph. Costs about 90
/// bytes a block while it is kept, and once the names of the snapshot.
///
/// # Errors
///
/// [`NotTracing`] where tracing is off.
///
/// # Examples
///
/// ```
/// # use std::alloc::System;
/// # #[global_allocator]
/// # static GLOBAL: tracemalloc::Traced<System> = tracemalloc::Traced(System);
/// use cyclegc::sync::{Gc, objgraph::SnapshotOptions};
///
/// tracemalloc::start(25)?;
/// let list = Gc::new(vec![Gc::new(1)]);
/// let stacks = tracemalloc::object_stacks()?;
/// let graph = SnapshotOptions::new().root(&list).stacks(&stacks).snapshot();
/// assert!(!graph.find(&list).unwrap().stack().is_empty());
/// let mut for_devtools = Vec::new();
/// graph.write_heap_snapshot(&mut for_devtools)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn object_stacks() -> Result<impl Fn(usize) -> Vec<Frame>, NotTracing> {
    let snapshot = take_snapshot()?;
    let blocks = snapshot.raw_traces().iter();
    let own = blocks.filter(|block| block.domain == 0);
    let stacks: HashMap<usize, u32> =
        untraced(|| own.map(|block| (block.address, block.stack)).collect());
    let known: RefCell<HashMap<u32, Vec<Frame>>> = RefCell::default();
    Ok(move |address: usize| {
        let Some(stack) = stacks.get(&address) else {
            return Vec::new();
        };
        let mut known = known.borrow_mut();
        let frames = known.entry(*stack);
        frames
            .or_insert_with(|| frames_of(&snapshot.traceback_of(*stack)))
            .clone()
    })
}

/// The frames from the call that made an object on, which comes first.
fn frames_of(traceback: &Traceback) -> Vec<Frame> {
    let innermost_first = traceback.iter().rev();
    let made_by = innermost_first.skip_while(|frame| crate_of(frame) == "cyclegc");
    let frame = |frame: &crate::Frame| {
        Frame::at(frame.filename(), frame.lineno()).function(frame.function())
    };
    made_by.map(frame).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_that_made_an_object_comes_first() {
        let frames = [
            crate::Frame::new("src/main.rs", 3, "app::main"),
            crate::Frame::new("src/session.rs", 7, "app::open"),
            crate::Frame::new("src/sync/gc.rs", 93, "cyclegc::sync::gc::Gc<app::T>::new"),
            crate::Frame::new("src/sync/gc_box.rs", 42, "cyclegc::sync::gc_box::allocate"),
        ];
        let frames = frames_of(&Traceback::new(frames, None));
        let text: Vec<String> = frames.iter().map(ToString::to_string).collect();
        assert_eq!(
            text,
            ["app::open (src/session.rs:7)", "app::main (src/main.rs:3)"]
        );
    }
}
