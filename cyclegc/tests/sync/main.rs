//! `cyclegc::sync`: what one thread can see of it, many threads at once, and misuse.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod collecting;
mod growth;
mod handles;
mod hard_cases;
mod inspect;
mod interning;
mod model;
mod no_recursion;
mod objgraph;
mod objgraph_threads;
mod panics;
mod pointers;
mod stress;
mod support;
