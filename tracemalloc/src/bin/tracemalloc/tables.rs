//! What is printed.

use std::io::Write;
use std::time::{Duration, SystemTime};

use tracemalloc::{Growth, KeyType, Size, Snapshot, StatisticDiff, Traceback};

use crate::Failure;
use crate::args::View;

/// The largest sums, and what is not among them.
pub(crate) fn top(snapshot: &Snapshot, view: &View, out: &mut dyn Write) -> Result<(), Failure> {
    let snapshot = view.select.apply(snapshot);
    let statistics = snapshot.statistics(view.key, view.cumulative);
    let shown = statistics.len().min(view.limit);
    writeln!(out, "[ Top {shown} by {} ]", title(view))?;
    for statistic in &statistics[..shown] {
        writeln!(out, "{statistic}")?;
        write_place(out, view.key, &statistic.traceback)?;
    }
    let blocks: f64 = snapshot.traces().iter().map(|t| t.weight().count).sum();
    let bytes: f64 = snapshot.traces().iter().map(|t| t.weight().bytes).sum();
    if !view.cumulative {
        let rest = &statistics[shown..];
        if !rest.is_empty() {
            let size: f64 = rest.iter().map(|s| s.size as f64).sum();
            writeln!(out, "{} other: {}", rest.len(), Size::new(size))?;
        }
    }
    writeln!(
        out,
        "Total: size={}, count={blocks:.0}{}",
        Size::new(bytes),
        sampling_note(&snapshot)
    )?;
    Ok(())
}

/// The largest changes.
pub(crate) fn diff(
    old: &Snapshot,
    new: &Snapshot,
    view: &View,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let old = view.select.apply(old);
    let new = view.select.apply(new);
    let changes = new.compare_to(&old, view.key, view.cumulative);
    let shown = changes.len().min(view.limit);
    writeln!(out, "[ Top {shown} differences by {} ]", title(view))?;
    for change in &changes[..shown] {
        writeln!(out, "{change}")?;
        write_place(out, view.key, &change.traceback)?;
    }
    if !view.cumulative {
        let sum = |changes: &[StatisticDiff]| -> f64 {
            changes.iter().map(|change| change.size_diff as f64).sum()
        };
        let rest = &changes[shown..];
        if !rest.is_empty() {
            writeln!(out, "{} other: {}", rest.len(), Size::signed(sum(rest)))?;
        }
        writeln!(out, "Total: {}", Size::signed(sum(&changes)))?;
    }
    Ok(())
}

/// What grew, and how sure that is.
pub(crate) fn leaks(
    snapshots: &[Snapshot],
    all: bool,
    view: &View,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let trends = tracemalloc::trends(snapshots, view.key)?;
    let count = |growth| trends.iter().filter(|trend| trend.growth == growth).count();
    let growing = count(Growth::Growing);
    let wanted = if all { trends.len() } else { growing };
    let shown = wanted.min(view.limit);
    writeln!(out, "[ Top {shown} trends by {} ]", view.key)?;
    for trend in &trends[..shown] {
        writeln!(out, "{trend}")?;
        write_place(out, view.key, &trend.traceback)?;
    }
    writeln!(
        out,
        "{growing} growing, {} bounded, {} static, {} falling, over {} snapshots",
        count(Growth::Bounded),
        count(Growth::Static),
        count(Growth::Falling),
        snapshots.len()
    )?;
    Ok(())
}

/// What a snapshot is of.
pub(crate) fn info(snapshot: &Snapshot, out: &mut dyn Write) -> Result<(), Failure> {
    let (current, peak) = snapshot.traced_memory();
    let program = snapshot.modules().first();
    let traces = snapshot.traces().len();
    writeln!(
        out,
        "program          {}",
        program.map_or("unknown", |m| &m.path)
    )?;
    writeln!(
        out,
        "taken            {}",
        ago(snapshot.time(), SystemTime::now())
    )?;
    writeln!(out, "in use           {}", Size::new(current as f64))?;
    writeln!(out, "at most in use   {}", Size::new(peak as f64))?;
    match snapshot.sampling() {
        None => writeln!(out, "recorded         every block: {traces}")?,
        Some(rate) => writeln!(
            out,
            "recorded         {traces} samples, one in {} on average",
            Size::new(rate as f64)
        )?,
    }
    writeln!(
        out,
        "stacks           up to {} addresses",
        snapshot.traceback_limit()
    )?;
    writeln!(out, "timeline         {} points", snapshot.timeline().len())?;
    if let Some(waterfall) = snapshot.waterfall() {
        writeln!(out, "resident memory")?;
        for line in waterfall.to_string().lines() {
            writeln!(out, "  {line}")?;
        }
    }
    writeln!(out, "modules")?;
    for module in snapshot.modules() {
        let id: String = module.build_id.iter().map(|b| format!("{b:02x}")).collect();
        let id = if id.is_empty() { "no build-id" } else { &id };
        writeln!(out, "  {:#014x} {} ({id})", module.base, module.path)?;
    }
    Ok(())
}

fn title(view: &View) -> String {
    let cumulative = if view.cumulative { ", cumulative" } else { "" };
    format!("{}{cumulative}", view.key)
}

/// Below a line its source, below a traceback all of it.
fn write_place(out: &mut dyn Write, key: KeyType, traceback: &Traceback) -> Result<(), Failure> {
    let lines = traceback.format(None, false);
    let skipped = match key {
        // The first line repeats the place.
        KeyType::Lineno => 1,
        KeyType::Traceback => 0,
        _ => return Ok(()),
    };
    for line in lines.iter().skip(skipped) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn sampling_note(snapshot: &Snapshot) -> String {
    match snapshot.sampling() {
        Some(rate) => format!(
            " (estimates from {} samples, one in {}; ± one standard error)",
            snapshot.traces().len(),
            Size::new(rate as f64)
        ),
        None => String::new(),
    }
}

/// How long something was before now.
pub(crate) fn ago(time: SystemTime, now: SystemTime) -> String {
    let Ok(ago) = now.duration_since(time) else {
        return "in the future, by this machine's clock".to_owned();
    };
    if time == SystemTime::UNIX_EPOCH {
        return "at an unknown time".to_owned();
    }
    let unit = |seconds: u64, name: &str| format!("{} {name} ago", ago.as_secs() / seconds);
    match ago {
        _ if ago < Duration::from_secs(120) => unit(1, "seconds"),
        _ if ago < Duration::from_secs(2 * 3600) => unit(60, "minutes"),
        _ if ago < Duration::from_secs(48 * 3600) => unit(3600, "hours"),
        _ => unit(24 * 3600, "days"),
    }
}
