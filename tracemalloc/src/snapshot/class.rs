//! Size classes: what a block of some size really takes.

use super::raw::HeapMap;
use super::size::Size;

/// The classes of the allocator that a snapshot is of.
#[derive(Debug)]
pub(crate) struct Classes<'a> {
    heap: Option<&'a HeapMap>,
}

impl<'a> Classes<'a> {
    /// Those the snapshot lists, or `pymalloc`'s where it lists none.
    pub(crate) const fn new(heap: Option<&'a HeapMap>) -> Self {
        Self { heap }
    }

    /// The bytes of a block of the class that serves `size`; `None` if it is no class's.
    pub(crate) fn of(&self, size: u64) -> Option<u64> {
        match self.heap {
            Some(heap) if !heap.classes.is_empty() => {
                let i = heap
                    .classes
                    .partition_point(|class| class.block_bytes < size);
                heap.classes.get(i).map(|class| class.block_bytes)
            }
            _ => pymalloc_class(size),
        }
    }
}

/// Up to 512 bytes classes are 8 apart, up to 64 KiB an eighth of a doubling.
fn pymalloc_class(size: u64) -> Option<u64> {
    match size {
        0..=8 => Some(8),
        9..=512 => Some(size.next_multiple_of(8)),
        513..=65536 => {
            let step = (1 << (size - 1).ilog2()) / 8;
            Some(size.next_multiple_of(step))
        }
        _ => None,
    }
}

/// The bytes that a block of `pymalloc`'s takes: of its class, or whole pages.
pub(crate) fn rounded_up(size: usize, page_bytes: u64) -> u64 {
    let size = size as u64;
    pymalloc_class(size).unwrap_or_else(|| size.div_ceil(page_bytes).saturating_mul(page_bytes))
}

/// What a class is called in a table.
pub(crate) fn class_name(class: Option<u64>) -> String {
    match class {
        Some(bytes) if bytes <= 512 => format!("blocks of {bytes} B"),
        Some(bytes) => format!("blocks of {}", Size::new(bytes as f64)),
        None => "large blocks".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_eight_apart_and_then_an_eighth_of_a_doubling() {
        let expect = [
            (0, 8),
            (1, 8),
            (24, 24),
            (25, 32),
            (512, 512),
            (513, 576),
            (576, 576),
            (577, 640),
            (1024, 1024),
            (1025, 1152),
            (65536, 65536),
            (65535, 65536),
        ];
        for (size, class) in expect {
            assert_eq!(pymalloc_class(size), Some(class), "of {size}");
        }
        assert_eq!(pymalloc_class(65537), None);
    }

    #[test]
    fn the_classes_a_snapshot_lists_are_taken() {
        let heap = HeapMap {
            classes: [16, 100]
                .map(|block_bytes| crate::snapshot::ClassUse {
                    block_bytes,
                    ..Default::default()
                })
                .to_vec(),
            ..Default::default()
        };
        let classes = Classes::new(Some(&heap));
        assert_eq!(classes.of(17), Some(100));
        assert_eq!(classes.of(16), Some(16));
        assert_eq!(classes.of(101), None);
    }
}
