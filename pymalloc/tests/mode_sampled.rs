//! An ordinary program under the sampled mode.

#[path = "support/c_thread.rs"]
mod c_thread;
#[path = "modes/program.rs"]
mod program;

use pymalloc::{PyMalloc, Sampled};

#[global_allocator]
static GLOBAL: Sampled<PyMalloc> = Sampled::new(PyMalloc);

#[test]
fn threads_pass_blocks_and_die() {
    pymalloc::set_sample_rate(20);
    program::threads_that_pass_blocks_and_die();
}

#[test]
fn forks_while_threads_allocate() {
    pymalloc::set_sample_rate(20);
    program::forks_while_threads_allocate();
}
