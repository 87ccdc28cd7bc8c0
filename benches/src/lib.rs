//! Measurements of this workspace; the programs are in `src/bin`.
//!
//! ```text
//!  bin/footprint   a table of resident memory, each row a fresh process
//!  workloads       what the rows do
//!  resident        the process's resident memory, without allocating
//! ```

pub mod resident;
pub mod workloads;
