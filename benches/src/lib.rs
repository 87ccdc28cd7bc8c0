//! Measurements of this workspace; the programs are in `src/bin`.
