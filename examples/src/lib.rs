//! Programs that run on this workspace; they are in `src/bin`.
