//! What the comparison runs under each allocator.
//!
//! ```text
//!  main           programs ROW [THOUSANDTHS]: runs a row, prints its report
//!  contenders     the allocators, by feature
//!  micro          one operation, again and again
//!  single         programs of one thread
//!  threads        programs of several threads
//!  ecosystem      programs that lean on other crates
//!  footprint      resident memory
//! ```
//!
//! A row is a function from a scale to a report. It folds what it computes into a
//! checksum, which must be the same under every allocator: so no work can be left
//! out, and none can go wrong unseen.

pub mod contenders;
pub mod ecosystem;
pub mod footprint;
pub mod micro;
pub mod single;
pub mod threads;

use benches::report::{Report, Scale};

/// Runs a row.
pub type Run = fn(Scale) -> Report;

/// Every row of this package.
pub const RUNS: &[(&str, Run)] = &[
    ("pair", micro::pair),
    ("batch", micro::batch),
    ("churn", micro::churn),
    ("live-10MB", micro::live_10_mb),
    ("live-1GB", micro::live_1_gb),
    ("zeroed", micro::zeroed),
    ("vecgrow", micro::vecgrow),
    ("biggrow", micro::biggrow),
    ("aligned", micro::aligned),
    ("cross-thread", threads::cross_thread),
    ("trees", single::trees),
    ("lifetimes-small", single::lifetimes_small),
    ("lifetimes-mixed", single::lifetimes_mixed),
    ("lifo", single::lifo),
    ("hash", single::hash),
    ("btree", single::btree),
    ("growth", single::growth),
    ("larson-2", threads::larson_2),
    ("larson-8", threads::larson_8),
    ("producer", threads::producer),
    ("thread-churn", threads::thread_churn),
    ("json", ecosystem::json),
    ("regex", ecosystem::regex),
    ("tokio", ecosystem::tokio),
    ("rayon", ecosystem::rayon),
    ("wordgraph", ecosystem::wordgraph),
    ("million-24", footprint::million_24),
    ("million-100", footprint::million_100),
    ("threads-200", footprint::threads_200),
    ("freed-300MB", footprint::freed_300_mb),
    ("survivors", footprint::survivors),
];

#[cfg(test)]
mod tests {
    use super::*;
    use benches::rows::{Kind, ROWS};

    #[test]
    fn every_row_of_the_comparison_has_a_program() {
        let listed = ROWS.iter().filter(|row| row.kind != Kind::Gc);
        assert!(
            listed
                .map(|row| row.name)
                .eq(RUNS.iter().map(|(name, _)| *name))
        );
    }

    #[test]
    fn two_runs_compute_the_same() {
        for (name, run) in RUNS {
            // The memory rows take seconds and have no scale.
            if benches::rows::find(name).is_none_or(|row| row.kind == Kind::Footprint) {
                continue;
            }
            let (first, second) = (run(Scale(2)), run(Scale(2)));
            assert_eq!(first.checksum, second.checksum, "{name}");
            assert_eq!(first.ops, second.ops, "{name}");
            assert_ne!(first.checksum, 0, "{name}");
        }
    }
}
