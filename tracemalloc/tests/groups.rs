//! A group of blocks holds what was added up to it, whatever it was added up by.

#[path = "support/sample.rs"]
mod sample;

use proptest::prelude::*;
use tracemalloc::snapshot::Weight;
use tracemalloc::{KeyType, Snapshot};

proptest! {
    #[test]
    fn each_statistic_is_that_of_its_group(mut raw in sample::raw(), cumulative in any::<bool>()) {
        raw.sampling = None;
        for trace in &mut raw.traces {
            trace.weight = Weight::exact(trace.size);
        }
        let tracebacks = sample::tracebacks(raw.stacks.len());
        let snapshot = Snapshot::from(raw).with_tracebacks(tracebacks);
        for key in KeyType::ALL {
            let mut blocks = 0;
            for statistic in snapshot.statistics(key, cumulative) {
                let group = snapshot.filter_group(key, cumulative, &statistic.traceback);
                let mut of_group = group.statistics(key, cumulative);
                of_group.retain(|other| other.traceback == statistic.traceback);
                prop_assert_eq!(of_group, [statistic]);
                blocks += group.traces().len();
            }
            if cumulative {
                prop_assert!(blocks >= snapshot.traces().len());
            } else {
                prop_assert_eq!(blocks, snapshot.traces().len());
            }
        }
    }
}
