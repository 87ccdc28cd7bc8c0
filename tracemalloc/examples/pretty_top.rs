//! "Pretty top", from the documentation of Python's `tracemalloc`.

#[global_allocator]
static GLOBAL: pymalloc::PyMalloc = pymalloc::PyMalloc;

mod application;

use tracemalloc::{Filter, KeyType, Snapshot};

fn display_top(snapshot: &Snapshot, key_type: KeyType, limit: usize) {
    let snapshot = snapshot.filter_traces([
        Filter::new(false, "/rustc/*/library/*"),
        Filter::new(false, "<unknown>"),
    ]);
    let top_stats = snapshot.statistics(key_type, false);

    println!("Top {limit} lines");
    for (index, stat) in top_stats.iter().take(limit).enumerate() {
        let frame = &stat.traceback[0];
        // replace "/path/to/module/file.rs" with "module/file.rs"
        let parts: Vec<&str> = frame.filename().rsplitn(3, '/').take(2).collect();
        let filename = parts.into_iter().rev().collect::<Vec<_>>().join("/");
        let kib = stat.size as f64 / 1024.0;
        println!(
            "#{}: {filename}:{}: {kib:.1} KiB",
            index + 1,
            frame.lineno()
        );
        if let [_, line, ..] = &stat.traceback.format(None, false)[..] {
            println!("{line}");
        }
    }

    let other = top_stats.get(limit..).unwrap_or_default();
    if !other.is_empty() {
        let size: u64 = other.iter().map(|stat| stat.size).sum();
        println!("{} other: {:.1} KiB", other.len(), size as f64 / 1024.0);
    }
    let total: u64 = top_stats.iter().map(|stat| stat.size).sum();
    println!("Total allocated size: {:.1} KiB", total as f64 / 1024.0);
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracemalloc::start(25)?;

    let application = application::run();

    let snapshot = tracemalloc::take_snapshot()?;
    display_top(&snapshot, KeyType::Lineno, 10);
    drop(application);
    Ok(())
}
