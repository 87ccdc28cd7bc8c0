//! Models of the whole allocator: every interleaving, up to a number of preemptions, of
//! two or three threads that free each other's blocks, exit, and adopt.
//!
//! Each model ends with every block freed and every thread gone, and asks that every
//! pool is back in its arena: a lost block, or a pool that nobody finds again, fails it.
//! loom itself reports any access that is not ordered after the one before it.
//!
//! `cargo run -p loom-tests --bin mutations` shows that each model can fail.

use loom::thread;
use pymalloc_loom::model::{Block, Thread, World};

/// Explores with this many preemptions of a running thread; bugs of two mutators
/// show up at two, of three parties at three.
fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    builder.check(model);
}

/// A thread that has `n` blocks out.
fn thread_with_blocks(world: &World, n: usize) -> (Thread, Vec<Block>) {
    let thread = world.thread();
    let blocks = (0..n).map(|_| thread.alloc()).collect();
    (thread, blocks)
}

/// Frees a block in a thread of its own, as a guest does: straight to its pool.
fn free_elsewhere(world: &World, block: Block) -> thread::JoinHandle<()> {
    let world = world.clone();
    thread::spawn(move || world.guest().free(block))
}

/// Two blocks of a pool come back from two threads while the owner looks for blocks.
#[test]
fn remote_free_against_owner_drain() {
    explore(5, || {
        let world = World::new();
        let (owner, mut blocks) = thread_with_blocks(&world, 2);
        let first = free_elsewhere(&world, blocks.remove(0));
        let second = free_elsewhere(&world, blocks.remove(0));
        // The front is empty: the owner collects one or both, or finds the pool full
        // and takes another, where one or both come by mail.
        let again = [owner.alloc(), owner.alloc()];
        assert_ne!(again[0].addr(), again[1].addr());
        again.iter().for_each(Block::touch);
        again.into_iter().for_each(|block| owner.free(block));
        first.join().unwrap();
        second.join().unwrap();
        owner.flush();
        world.assert_all_returned();
        owner.exit();
    });
}

/// The pool becomes full, and is on no list, while two threads free its blocks: the
/// owner must find it again.
#[test]
fn first_remote_free_of_a_full_pool() {
    explore(5, || {
        let world = World::new();
        let (owner, mut blocks) = thread_with_blocks(&world, 2);
        let first = free_elsewhere(&world, blocks.remove(0));
        let third = owner.alloc();
        let second = free_elsewhere(&world, blocks.remove(0));
        owner.free(third);
        owner.flush();
        first.join().unwrap();
        second.join().unwrap();
        owner.flush();
        // Before any thread exits: the owner itself got both blocks back.
        world.assert_all_returned();
        owner.exit();
    });
}

/// The owner frees a block of its full pool while another thread frees the other.
#[test]
fn owners_free_of_a_full_pool_against_a_remote_one() {
    explore(5, || {
        let world = World::new();
        let (owner, mut blocks) = thread_with_blocks(&world, 3);
        let remote = free_elsewhere(&world, blocks.remove(0));
        owner.free(blocks.remove(0));
        owner.free(blocks.remove(0));
        owner.flush();
        remote.join().unwrap();
        owner.flush();
        world.assert_all_returned();
        owner.exit();
    });
}

/// The owner exits while blocks of a full and of a used pool come back.
#[test]
fn thread_exit_against_remote_free() {
    explore(5, || {
        let world = World::new();
        let (owner, mut blocks) = thread_with_blocks(&world, 3);
        let used = blocks.pop().unwrap();
        let full = free_elsewhere(&world, blocks.remove(0));
        let other = {
            let world = world.clone();
            thread::spawn(move || world.guest().free(used))
        };
        owner.exit();
        full.join().unwrap();
        other.join().unwrap();
        world.guest().free(blocks.remove(0));
        world.assert_all_returned();
    });
}

/// The owner frees a block of its full pool while another thread brings the pool to
/// its mailbox, and exits; the mailbox goes to a new thread. The pool ends in the
/// commons, or is adopted by the new thread.
#[test]
fn mailbox_of_an_exited_thread_is_used_again() {
    explore(5, || {
        let world = World::new();
        let (owner, mut blocks) = thread_with_blocks(&world, 3);
        let late = free_elsewhere(&world, blocks.remove(0));
        owner.free(blocks.remove(0));
        owner.exit();
        let heir = world.thread();
        heir.free(blocks.remove(0));
        heir.flush();
        late.join().unwrap();
        heir.flush();
        heir.exit();
        world.assert_all_returned();
    });
}

/// A pool without an owner is adopted by one of two threads, while its last block
/// in use is freed.
#[test]
fn adoption_by_two_threads() {
    explore(4, || {
        let world = World::new();
        let (exited, mut blocks) = thread_with_blocks(&world, 1);
        exited.exit();
        let adopt = |world: &World| {
            let world = world.clone();
            thread::spawn(move || {
                let thread = world.thread();
                let block = thread.alloc();
                block.touch();
                thread.free(block);
                thread.exit();
            })
        };
        let (first, second) = (adopt(&world), adopt(&world));
        world.guest().free(blocks.remove(0));
        first.join().unwrap();
        second.join().unwrap();
        world.assert_all_returned();
    });
}

/// The last two blocks of an arena's pools are freed by two threads; one of them
/// gives the arena back, while a third takes a pool from it.
#[test]
fn arena_release_against_last_free() {
    explore(5, || {
        let world = World::new();
        let guest = world.guest();
        let (first, second) = (guest.alloc(), guest.alloc());
        let freeing = free_elsewhere(&world, first);
        let taking = {
            let world = world.clone();
            thread::spawn(move || {
                let thread = world.guest();
                let block = thread.alloc();
                block.touch();
                thread.free(block);
            })
        };
        guest.free(second);
        freeing.join().unwrap();
        taking.join().unwrap();
        world.assert_all_returned();
    });
}

/// Two threads release both pools of an arena: the guest, which is the caller's, and another.
fn release_both_pools(world: &World) -> (Thread, thread::JoinHandle<()>) {
    let guest = world.guest();
    let mut blocks: Vec<_> = (0..3).map(|_| guest.alloc()).collect();
    let other_pool = free_elsewhere(world, blocks.remove(2));
    guest.free(blocks.remove(0));
    guest.free(blocks.remove(0));
    (guest, other_pool)
}

/// Both pools of an arena are released at once: while one is out to be given back, the
/// other makes the arena empty, and a pool is taken.
#[test]
fn both_pools_of_an_arena_released_at_once() {
    explore(4, || {
        let world = World::new();
        let (guest, other_pool) = release_both_pools(&world);
        guest.free(guest.alloc());
        other_pool.join().unwrap();
        world.assert_all_returned();
    });
}

/// The same, where the two pools are one page, of which no half goes back to the system alone.
#[test]
fn both_halves_of_a_page_given_back_at_once() {
    explore(4, || {
        let world = World::with_arenas_of_a_page();
        let (_guest, other_pool) = release_both_pools(&world);
        other_pool.join().unwrap();
        world.assert_all_returned();
        world.assert_given_back();
    });
}

/// The owner empties a pool, and it goes back to its arena and out again, while the
/// thread that freed its last block elsewhere is still on its way out of the push.
#[test]
fn pool_released_by_its_owner_against_the_last_push() {
    explore(5, || {
        let world = World::new();
        let (owner, mut blocks) = thread_with_blocks(&world, 2);
        let remote = free_elsewhere(&world, blocks.remove(0));
        owner.free(blocks.remove(0));
        owner.flush();
        let again = owner.alloc();
        again.touch();
        owner.free(again);
        remote.join().unwrap();
        owner.exit();
        world.assert_all_returned();
    });
}

/// A pool that its owner gave back is taken by the commons; the owner that was frees a
/// block of it, and a guest another.
#[test]
fn released_pool_is_borrowed() {
    explore(5, || {
        let world = World::new();
        let (owner, mut blocks) = thread_with_blocks(&world, 1);
        owner.free(blocks.remove(0));
        owner.flush();
        let guest = world.guest();
        let (first, second) = (guest.alloc(), guest.alloc());
        let other = free_elsewhere(&world, first);
        owner.free(second);
        owner.flush();
        other.join().unwrap();
        owner.exit();
        world.assert_all_returned();
    });
}

/// A common pool is adopted and becomes full, and its blocks come back from two threads.
#[test]
fn adopted_pool_becomes_full() {
    explore(5, || {
        let world = World::new();
        let (exited, mut blocks) = thread_with_blocks(&world, 1);
        exited.exit();
        let (heir, mut own) = thread_with_blocks(&world, 2);
        let first = free_elsewhere(&world, blocks.remove(0));
        let second = free_elsewhere(&world, own.remove(0));
        heir.free(own.remove(0));
        heir.flush();
        first.join().unwrap();
        second.join().unwrap();
        heir.flush();
        world.assert_all_returned();
        heir.exit();
    });
}

/// A pool is on its way to a mailbox while its owner exits; the heir of the mailbox fills
/// pools, and a block of one comes back too.
#[test]
fn heir_fills_pools_while_one_is_on_its_way() {
    explore(4, || {
        let world = World::new();
        let (owner, mut blocks) = thread_with_blocks(&world, 3);
        let late = free_elsewhere(&world, blocks.remove(0));
        owner.exit();
        let (heir, mut own) = thread_with_blocks(&world, 2);
        let again = free_elsewhere(&world, own.remove(0));
        heir.free(own.remove(0));
        heir.flush();
        late.join().unwrap();
        again.join().unwrap();
        heir.exit();
        let guest = world.guest();
        blocks.into_iter().for_each(|block| guest.free(block));
        world.assert_all_returned();
    });
}

/// Two full pools of one owner come back at once.
#[test]
fn two_pools_posted_at_once() {
    explore(4, || {
        let world = World::new();
        let (owner, mut blocks) = thread_with_blocks(&world, 5);
        let first = free_elsewhere(&world, blocks.remove(2));
        let second = free_elsewhere(&world, blocks.remove(0));
        first.join().unwrap();
        second.join().unwrap();
        blocks.into_iter().for_each(|block| owner.free(block));
        owner.flush();
        world.assert_all_returned();
        owner.exit();
    });
}

/// A live thread's lists go home as they spill over, while a block of theirs comes back
/// from elsewhere.
#[test]
fn spill_against_remote_free() {
    explore(4, || {
        let world = World::new();
        let (owner, mut blocks) = thread_with_blocks(&world, 5);
        let other = free_elsewhere(&world, blocks.remove(0));
        blocks.into_iter().for_each(|block| owner.free(block));
        // Both lists of the front are used again.
        let again: Vec<_> = (0..4).map(|_| owner.alloc()).collect();
        again.into_iter().for_each(|block| owner.free(block));
        other.join().unwrap();
        owner.exit();
        world.assert_all_returned();
    });
}

/// A thread allocates and frees after its exit, as a guest, what it had out before.
#[test]
fn thread_is_a_guest_after_its_exit() {
    explore(4, || {
        let world = World::new();
        let (thread, mut blocks) = thread_with_blocks(&world, 3);
        let other = free_elsewhere(&world, blocks.remove(0));
        thread.exit();
        blocks.into_iter().for_each(|block| thread.free(block));
        thread.free(thread.alloc());
        other.join().unwrap();
        world.assert_all_returned();
    });
}
