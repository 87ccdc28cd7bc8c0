//! Measurements of this workspace; how to run them is in this folder's README.
//!
//! ```text
//!  bin/benches     compare: PyMalloc and cyclegc beside their rivals
//!  compare/        what it is made of
//!  bin/footprint   PyMalloc's resident memory against limits
//!  rows            the rows of the comparison, by name
//!  report          what a measured program says about itself
//!  workloads       the rows that measure memory
//!  resident        the process's resident memory, without allocating
//!  random          numbers that are the same in every run
//! ```
//!
//! The programs that are measured live in packages that are no members of the
//! workspace, `programs/` and `collectors/`: nobody needs the rivals to test this
//! workspace. They use `rows`, `report`, `workloads`, `resident` and `random` from here.

#[cfg(feature = "runner")]
pub mod compare;
pub mod random;
pub mod report;
pub mod resident;
pub mod rows;
pub mod workloads;
