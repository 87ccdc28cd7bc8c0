//! gc-arena, whose handles live only inside its arena: the workloads that it
//! can run, written its way.

use std::time::Instant;

use gc_arena::{Arena, Collect, Gc, Rootable, lock::RefLock};

#[derive(Collect)]
#[collect(no_drop)]
struct Node<'gc> {
    v: u64,
    next: RefLock<Vec<Gc<'gc, Node<'gc>>>>,
}

type Root = Rootable![RefLock<Vec<Gc<'_, Node<'_>>>>];

fn arena() -> Arena<Root> {
    Arena::new(|_| RefLock::new(Vec::new()))
}

/// ns a node of a tree with parent links, built, dropped and collected.
pub fn parent_tree(depth: u32) -> f64 {
    fn build<'gc>(
        mc: &gc_arena::Mutation<'gc>,
        depth: u32,
        parent: Option<Gc<'gc, Node<'gc>>>,
    ) -> Gc<'gc, Node<'gc>> {
        let next = RefLock::new(Vec::new());
        let node = Gc::new(mc, Node { v: 1, next });
        let mut links = Gc::write(mc, node);
        let _ = &mut links;
        if let Some(parent) = parent {
            gc_arena::barrier::field!(links, Node, next)
                .unlock()
                .borrow_mut()
                .push(parent);
        }
        if depth > 0 {
            for _ in 0..2 {
                let child = build(mc, depth - 1, Some(node));
                gc_arena::barrier::field!(Gc::write(mc, node), Node, next)
                    .unlock()
                    .borrow_mut()
                    .push(child);
            }
        }
        node
    }
    let mut arena = arena();
    let started = Instant::now();
    arena.mutate(|mc, _| {
        std::hint::black_box(build(mc, depth, None).v);
    });
    arena.finish_cycle();
    started.elapsed().as_nanos() as f64 / ((2u64 << depth) - 1) as f64
}
