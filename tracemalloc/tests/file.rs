//! Files: what is written comes back, and no file makes a reader panic.

#[path = "support/sample.rs"]
mod sample;

use proptest::prelude::*;
use tracemalloc::{KeyType, LoadError, RawSnapshot, Snapshot};

fn written(snapshot: &Snapshot) -> Vec<u8> {
    let mut bytes = Vec::new();
    snapshot.write_to(&mut bytes).unwrap();
    bytes
}

/// Uses all of a snapshot, as somebody who has loaded it would.
#[cfg_attr(
    not(feature = "export"),
    expect(unused_variables, reason = "nothing to export")
)]
fn use_all(snapshot: &Snapshot, export: bool) {
    for key in KeyType::ALL {
        let statistics = snapshot.statistics(key, true);
        let _ = snapshot.compare_to(snapshot, key, false);
        statistics.iter().for_each(|s| drop(s.to_string()));
    }
    snapshot.traces().iter().for_each(|t| drop(t.to_string()));
    #[cfg(feature = "export")]
    for format in tracemalloc::Format::ALL {
        if export {
            snapshot.export(format, Vec::new()).unwrap();
        }
    }
}

/// A snapshot of everything, and symbols.
fn example() -> Vec<u8> {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let raw: RawSnapshot = loop {
        let raw = sample::raw().new_tree(&mut runner).unwrap().current();
        if raw.traces.len() > 10 && raw.heap.is_some() {
            break raw;
        }
    };
    let tracebacks = sample::tracebacks(raw.stacks.len());
    written(&Snapshot::from(raw).with_tracebacks(tracebacks))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_comes_back(raw in sample::raw(), resolved in any::<bool>()) {
        let tracebacks = sample::tracebacks(raw.stacks.len());
        let mut snapshot = Snapshot::from(raw);
        if resolved {
            snapshot = snapshot.with_tracebacks(tracebacks);
        }
        let bytes = written(&snapshot);
        let loaded = Snapshot::read_from(&bytes[..]).unwrap();
        prop_assert_eq!(written(&loaded), bytes);
        prop_assert_eq!(format!("{loaded:?}"), format!("{snapshot:?}"));
        for key in KeyType::ALL {
            prop_assert_eq!(loaded.statistics(key, false), snapshot.statistics(key, false));
        }
        for (a, b) in loaded.traces().iter().zip(snapshot.traces().iter()) {
            prop_assert_eq!(a.weight(), b.weight());
            prop_assert_eq!((a.address(), a.size(), a.domain()), (b.address(), b.size(), b.domain()));
            prop_assert_eq!((a.thread(), a.when_ns()), (b.thread(), b.when_ns()));
            prop_assert_eq!(a.traceback(), b.traceback());
            prop_assert_eq!(a.traceback().total_nframe(), b.traceback().total_nframe());
        }
    }

    #[test]
    fn any_bytes_behind_a_right_start_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut file = b"\x89TMAL\r\n\x1a\x01\0".to_vec();
        file.extend(bytes);
        prop_assert!(Snapshot::read_from(&file[..]).is_err());
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error_and_what_comes_before_is_recovered() {
    let whole = example();
    let total = Snapshot::read_from(&whole[..]).unwrap().traces().len();
    let mut recovered_blocks = 0;
    for end in 0..whole.len() {
        let cut = &whole[..end];
        match Snapshot::read_from(cut) {
            Err(LoadError::Truncated { offset }) => assert_eq!(offset, end as u64),
            Err(LoadError::Foreign) => assert!(end < 8, "of {end} bytes"),
            other => panic!("of {end} bytes: {other:?}"),
        }
        if let Ok((snapshot, damage)) = Snapshot::recover_from(cut) {
            assert!(damage.is_some());
            let blocks = snapshot.traces().len();
            assert!(blocks >= recovered_blocks, "of {end} bytes: {blocks}");
            recovered_blocks = blocks;
        }
    }
    assert_eq!(recovered_blocks, total);
}

#[test]
fn a_changed_byte_anywhere_is_an_error() {
    let whole = example();
    for i in 0..whole.len() {
        for bit in [0x01, 0x80] {
            let mut bytes = whole.clone();
            bytes[i] ^= bit;
            let Err(error) = Snapshot::read_from(&bytes[..]) else {
                panic!("byte {i}");
            };
            let expected = match i {
                0..8 => matches!(error, LoadError::Foreign),
                8..10 => matches!(error, LoadError::Newer { .. } | LoadError::Foreign),
                _ => matches!(
                    error,
                    LoadError::Damaged { .. } | LoadError::Truncated { .. }
                ),
            };
            assert!(expected, "byte {i}: {error:?}");
        }
    }
}

/// Check sums make most damage an error before it is parsed: here they are right.
#[test]
fn no_content_with_a_right_check_sum_makes_a_reader_panic() {
    let whole = example();
    let mut loaded = 0;
    for i in 10..whole.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff, whole[i].wrapping_add(1)] {
            let mut bytes = whole.clone();
            bytes[i] = value;
            mend_check_sums(&mut bytes);
            if let Ok((snapshot, _)) = Snapshot::recover_from(&bytes[..]) {
                // An export takes a hundred times as long as all else.
                use_all(&snapshot, loaded % 40 == 0);
                loaded += 1;
            }
        }
    }
    assert!(loaded > whole.len(), "{loaded} of them could be used");
}

fn mend_check_sums(file: &mut [u8]) {
    let mut start = 10;
    while let Some(head) = file.get(start..start + 8) {
        let length = u32::from_le_bytes(head[4..].try_into().unwrap()) as usize;
        let end = start + 8 + length;
        if file.len() < end + 4 {
            return;
        }
        let crc = crc32fast::hash(&file[start..end]);
        file[end..end + 4].copy_from_slice(&crc.to_le_bytes());
        start = end + 4;
    }
}

#[test]
fn errors_say_what_to_do() {
    let message = |bytes: &[u8]| Snapshot::read_from(bytes).unwrap_err().to_string();
    assert!(message(b"\x80\x05\x95 a pickle").contains("pickles, cannot be read"));
    assert!(message(b"").contains("not a snapshot"));
    let mut newer = example();
    newer[8] = 9;
    assert!(message(&newer).contains("format 9"));
    let missing = Snapshot::load("/nowhere/at/all").unwrap_err();
    assert!(missing.to_string().contains("cannot be read"));
}
