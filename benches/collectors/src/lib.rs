//! The same object graphs on the handles of several crates.
//!
//! ```text
//!  main     collectors ROW [THOUSANDTHS]: runs a row, prints its report
//!  rows     what the rows do, for any `Heap`
//!  heap     `Heap`: what the rows need of a crate; the tally of living nodes
//!  heaps    one module a crate
//!  arena    gc-arena, whose handles cannot leave its arena: the rows written its way
//! ```
//!
//! All of them allocate from the system's allocator. A node has a number, a tally and
//! a list of links. The tally counts the nodes that are alive; what is left at the end
//! goes into the checksum, so a collector that does not collect is found out.

#[cfg(feature = "gc-arena")]
pub mod arena;
pub mod heap;
pub mod heaps;
pub mod rows;
