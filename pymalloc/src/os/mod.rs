//! Memory from the system and back: the only system calls of the allocator.
//!
//! | call | does | fails |
//! |---|---|---|
//! | [`map`], [`map_aligned`] | zeroed memory | `None` |
//! | [`remap`] | grows, shrinks or moves a mapping | `None`, the mapping is as before |
//! | [`discard`] | gives memory back, keeps the addresses, which read zero | 0 |
//! | [`unmap`] | gives memory and addresses back | false |
//!
//! What the hardened modes need besides is in `protect`: addresses without memory, access
//! and its loss, chance.
//!
//! Under loom the memory comes from the process's own heap (`fake`).

#[cfg(not(loom))]
mod environment;
#[cfg(loom)]
mod fake;
#[cfg(not(loom))]
mod mmap;
#[cfg(not(loom))]
mod protect;

#[cfg(not(loom))]
pub(crate) use environment::{env, with_passed};
#[cfg(loom)]
pub(crate) use fake::*;
#[cfg(not(loom))]
pub(crate) use mmap::*;
#[cfg(not(loom))]
pub(crate) use protect::*;
