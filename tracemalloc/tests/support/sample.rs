//! Snapshots made up of what can be in one.

use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use tracemalloc::snapshot::{
    ArenaUse, ClassUse, HeapMap, Module, PoolUse, RawTrace, ThreadName, TimelinePoint, Weight,
};
use tracemalloc::{Frame, RawSnapshot};

/// A snapshot with something of everything, blocks in exact mode and sampled ones.
pub(crate) fn raw() -> impl Strategy<Value = RawSnapshot> {
    let stacks = prop::collection::vec(prop::collection::vec(any::<usize>(), 0..6), 1..8);
    (stacks, any::<(u16, Option<u32>, u64, u64, u32, bool)>())
        .prop_flat_map(|(stacks, head)| {
            let count = stacks.len() as u32;
            let traces = prop::collection::vec(trace(count, head.5), 0..40);
            (Just(stacks), Just(head), traces, heap())
        })
        .prop_map(|(stacks, head, traces, heap)| RawSnapshot {
            traces,
            stack_depths: (0..stacks.len() as u32).map(|i| i * 3).collect(),
            stacks: stacks.into_iter().map(Into::into).collect(),
            modules: vec![Module {
                path: "/opt/prögram".to_owned(),
                build_id: vec![0xde, 0xad],
                base: 0x5000,
                range: 0x5000..0x9000,
            }],
            threads: vec![ThreadName {
                thread: 3,
                name: "worker".to_owned(),
            }],
            traceback_limit: head.0,
            sampling: head.1.map(u64::from),
            time: SystemTime::UNIX_EPOCH + Duration::from_nanos(head.2),
            elapsed_ns: head.2,
            current_bytes: head.3,
            peak_bytes: head.3 | 1,
            pid: head.4,
            timeline: vec![
                TimelinePoint {
                    when_ns: head.2,
                    traced_bytes: 1,
                    heap_bytes: head.3,
                    rss_bytes: u64::MAX,
                };
                2
            ],
            heap,
        })
}

fn trace(stacks: u32, sampled: bool) -> impl Strategy<Value = RawTrace> {
    let numbers = any::<(u32, usize, u32, u64, u64)>();
    (numbers, 0..stacks, 1e-6..1.0_f64).prop_map(move |(n, stack, p)| RawTrace {
        domain: n.0 % 3,
        address: n.1,
        size: n.2 as usize,
        weight: if sampled {
            Weight::sampled(n.2 as usize, p)
        } else {
            Weight::exact(n.2 as usize)
        },
        stack,
        thread: n.3 % 4,
        when_ns: n.4,
    })
}

fn heap() -> impl Strategy<Value = Option<HeapMap>> {
    prop::option::of(any::<(u32, u32, u32)>()).prop_map(|numbers| {
        let (a, b, c) = numbers?;
        Some(HeapMap {
            classes: vec![ClassUse {
                block_bytes: u64::from(a),
                pool_count: u64::from(b),
                used_blocks: u64::from(c),
                free_blocks: 7,
            }],
            arenas: vec![ArenaUse {
                address: a as usize,
                bytes: 1 << 18,
                pools: vec![PoolUse {
                    block_bytes: a,
                    used_blocks: b,
                    capacity: c,
                }],
            }],
            parts: vec![("live".to_owned(), u64::from(a))],
        })
    })
}

/// A traceback for each of `count` stacks, with the same frames in several.
pub(crate) fn tracebacks(count: usize) -> Vec<Vec<Frame>> {
    let frame = |n: usize| Frame::new(format!("src/{}.rs", n % 3), n as u32 % 5, format!("f{n}"));
    (0..count)
        .map(|stack| (0..=stack % 4).map(|depth| frame(stack * depth)).collect())
        .collect()
}
