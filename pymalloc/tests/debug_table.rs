//! `Stats` prints the table of CPython's `sys._debugmallocstats()`: its
//! wording, its columns, and numbers that add up.
//!
//! The allocator is driven directly, so that the heap under the table is the
//! test's own.

mod model;
mod support;

use model::{Model, Op};
use pymalloc::PyMalloc;
use support::{alone, assert_heap_is_sound};

static SUBJECT: PyMalloc = PyMalloc;

const HEADER: &str = "class   size   num pools   blocks in use  avail blocks";
const RULE: &str = "-----   ----   ---------   -------------  ------------";
const ARENA_BYTES: usize = 256 << 10;

/// One row of the classes.
#[derive(Clone, Copy, Debug)]
struct Row {
    class: usize,
    size: usize,
    pools: usize,
    in_use: usize,
    avail: usize,
}

/// A heap with blocks of several classes, and the table it prints.
fn table_of_a_busy_heap() -> String {
    let mut model = Model::new(&SUBJECT);
    for step in 0..80 {
        model.apply(Op::Alloc {
            thread: 0,
            size: [24, 100, 512, 5_000, 70_000][step % 5],
            align: 8,
            zeroed: false,
        });
    }
    for pick in 0..20 {
        model.apply(Op::Dealloc { thread: 0, pick });
    }
    let table = pymalloc::stats().to_string();
    model.finish();
    assert_heap_is_sound();
    table
}

fn rows(table: &str) -> Vec<Row> {
    let after_rule = table.split_once(RULE).expect("a rule").1;
    after_rule
        .lines()
        .skip(1)
        .take_while(|line| !line.is_empty())
        .map(|line| {
            let numbers: Vec<usize> = line
                .split_whitespace()
                .map(|field| field.parse().expect("a number"))
                .collect();
            let [class, size, pools, in_use, avail] = numbers[..] else {
                panic!("not five columns: {line:?}");
            };
            Row {
                class,
                size,
                pools,
                in_use,
                avail,
            }
        })
        .collect()
}

/// The number on the line that starts with `label`, as CPython aligns it.
#[track_caller]
fn number(table: &str, label: &str) -> usize {
    let start = format!("{label:<35}= ");
    let line = table.lines().find(|line| line.starts_with(&start));
    let line = line.unwrap_or_else(|| panic!("no line {start:?} in\n{table}"));
    // printone: 35 columns of label, "= ", 21 of number.
    assert_eq!(line.len(), 57, "{line:?}");
    let digits: String = line[37..].chars().filter(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

#[test]
fn the_classes_table_reads_as_cpythons() {
    alone(|| {
        let table = table_of_a_busy_heap();
        let first = "Small block threshold = 512, in 64 size classes.\n";
        assert!(table.starts_with(first), "{table}");
        assert!(table.contains(&format!("{HEADER}\n{RULE}\n")), "{table}");
        let small = table.split_once(RULE).expect("a rule").1.lines().nth(1);
        let small = small.expect("a row");
        // "%5u %6u %11zu %15zu %13zu" in CPython.
        assert_eq!(
            small.len(),
            5 + 1 + 6 + 1 + 11 + 1 + 15 + 1 + 13,
            "{small:?}"
        );
    });
}

#[test]
fn the_rows_count_the_blocks() {
    alone(|| {
        let rows = rows(&table_of_a_busy_heap());
        for pair in rows.windows(2) {
            assert!(pair[0].class < pair[1].class, "{pair:?}");
            assert!(pair[0].size < pair[1].size, "{pair:?}");
        }
        for size in [24, 104, 512] {
            let row = rows.iter().find(|row| row.size == size);
            let row = row.unwrap_or_else(|| panic!("no row for {size}"));
            assert!(row.in_use > 0 && row.pools > 0, "{row:?}");
        }
        assert!(
            rows.iter()
                .all(|row| row.pools > 0 || row.in_use + row.avail == 0)
        );
    });
}

#[test]
fn the_arena_lines_read_as_cpythons_and_add_up() {
    alone(|| {
        let table = table_of_a_busy_heap();
        let total = number(&table, "# arenas allocated total");
        let reclaimed = number(&table, "# arenas reclaimed");
        let highwater = number(&table, "# arenas highwater mark");
        let current = number(&table, "# arenas allocated current");
        assert_eq!(total - reclaimed, current, "{table}");
        assert!(current <= highwater && highwater <= total, "{table}");
        assert!(current > 0, "{table}");
        let arenas = number(
            &table,
            &format!("{current} arenas * {ARENA_BYTES} bytes/arena"),
        );
        assert_eq!(arenas, current * ARENA_BYTES);
    });
}

#[test]
fn the_byte_lines_read_as_cpythons_and_add_up() {
    alone(|| {
        let table = table_of_a_busy_heap();
        let arenas = number(&table, "# arenas allocated current") * ARENA_BYTES;
        for label in [
            "# bytes in allocated blocks",
            "# bytes in available blocks",
            "# bytes lost to quantization",
        ] {
            number(&table, label);
        }
        assert!(table.contains(" unused pools * "), "{table}");
        // The first total is the arenas': every byte of them is on some line.
        assert_eq!(number(&table, "Total"), arenas, "{table}");
    });
}

#[test]
fn the_table_follows_the_heap() {
    alone(|| {
        let allocated = |table: &str| number(table, "# bytes in allocated blocks");
        let before = allocated(&pymalloc::stats().to_string());
        let busy = allocated(&table_of_a_busy_heap());
        let after = allocated(&pymalloc::stats().to_string());
        assert!(busy > before, "{busy} with blocks, {before} before");
        assert_eq!(after, before);
    });
}

#[test]
fn looking_changes_nothing() {
    alone(|| {
        let first = pymalloc::stats().to_string();
        let second = pymalloc::stats().to_string();
        assert_heap_is_sound();
        let third = pymalloc::stats().to_string();
        assert_eq!(first, second);
        assert_eq!(second, third);
    });
}
