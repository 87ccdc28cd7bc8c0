//! An ordinary program under the debug mode.

#[path = "support/c_thread.rs"]
mod c_thread;
#[path = "modes/program.rs"]
mod program;

use pymalloc::PyMallocDebug;

#[global_allocator]
static GLOBAL: PyMallocDebug = PyMallocDebug;

#[test]
fn threads_pass_blocks_and_die() {
    program::threads_that_pass_blocks_and_die();
}

#[test]
fn forks_while_threads_allocate() {
    program::forks_while_threads_allocate();
}
