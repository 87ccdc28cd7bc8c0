//! Reserved: nothing is here yet.
