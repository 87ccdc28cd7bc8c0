//! Results as text: one table, section by section.

use std::fmt::Write as _;

use super::lto_name;
use super::results::{Line, Outcome, Results, SECTIONS, Section};

/// The table, the versions, and what is missing.
pub(super) fn table(results: &Results) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "\n{}", results.machine.line());
    let _ = writeln!(text, "{}\n", how(results));
    for section in SECTIONS {
        add_section(&mut text, results, section);
    }
    text.push_str("Versions\n");
    for built in results
        .built
        .iter()
        .filter(|built| built.lto || !any_lto(results))
    {
        let _ = writeln!(text, "  {:<14} {}", built.contender.name, built.version);
    }
    let missing = missing(results);
    if !missing.is_empty() {
        text.push_str("\nMissing\n");
        for line in missing {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

/// How the numbers came about, in a line.
pub(super) fn how(results: &Results) -> String {
    format!(
        "The least of {} interleaved runs, of rows with threads of {}, half as many of who was 1.3 \
         times as slow as the best{}; 'ratio' is ours over the best rival's: below 1 we win.",
        results.options.runs,
        results.options.runs + results.options.runs / 2,
        if results.options.quick {
            ", a fifth of the work"
        } else {
            ""
        },
    )
}

fn any_lto(results: &Results) -> bool {
    results.built.iter().any(|built| built.lto)
}

fn add_section(text: &mut String, results: &Results, section: &Section) {
    let lines = results.lines(section);
    if lines.is_empty() {
        return;
    }
    let columns = results.columns(section);
    let width = |n: &usize| results.built[*n].contender.name.len().max(7) + 2;
    let _ = writeln!(text, "{}", section.title);
    let _ = write!(text, "  {:<22}", "");
    for n in &columns {
        let _ = write!(text, "{:>1$}", results.built[*n].contender.name, width(n));
    }
    let _ = writeln!(text, "{:>8}  best rival", "ratio");
    for line in lines {
        let _ = write!(text, "  {:<22}", line_name(line));
        for n in &columns {
            let _ = write!(text, "{:>1$}", value(results, line, *n), width(n));
        }
        let (ratio, rival) = verdict(results, line);
        let _ = writeln!(text, "{ratio:>8}  {rival}");
    }
    text.push('\n');
}

/// The row; and where a section has several lines of it, the metric.
pub(super) fn line_name(line: Line) -> String {
    use super::results::Metric::{After, Busy};
    match line.metric {
        Busy | After => format!("{} {}", line.row.name, line.metric.name()),
        _ => line.row.name.to_owned(),
    }
}

fn value(results: &Results, line: Line, built: usize) -> String {
    let Some(cell) = results.cell(line, built) else {
        return "-".to_owned();
    };
    match cell.least(line.metric) {
        Some(value) => digits(value),
        None => cell.excuse(line.metric).to_owned(),
    }
}

/// The ratio and the rival, or dashes.
pub(super) fn verdict(results: &Results, line: Line) -> (String, String) {
    match results.verdict(line) {
        Some(verdict) => {
            let ratio = verdict
                .ratio
                .map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
            (ratio, verdict.best_rival)
        }
        None => ("-".to_owned(), "-".to_owned()),
    }
}

/// Three digits that count, or all of a whole number; millions as such.
pub(super) fn digits(value: f64) -> String {
    match value {
        _ if value >= 1e7 => format!("{:.1}M", value / 1e6),
        _ if value >= 1e6 => format!("{:.2}M", value / 1e6),
        _ if value >= 100.0 => format!("{value:.0}"),
        _ if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// What was not built, and what did not come to its end: a line for each reason.
pub(super) fn missing(results: &Results) -> Vec<String> {
    let mut reasons: Vec<(String, Vec<&str>)> = Vec::new();
    let mut add = |reason: String, row| match reasons.iter_mut().find(|(said, _)| *said == reason) {
        Some((_, rows)) => rows.push(row),
        None => reasons.push((reason, vec![row])),
    };
    for cell in &results.cells {
        let built = &results.built[cell.built];
        let name = format!("{}{}", built.contender.name, lto_name(built.lto));
        let row = cell.row.name;
        match &cell.outcome {
            Outcome::Died(why) => add(format!("{name} died ({why})"), row),
            Outcome::Wrong => add(format!("{name} computed something else"), row),
            Outcome::Ran | Outcome::Cannot => {}
        }
        if let Some(Err(why)) = &cell.instructions {
            add(format!("{name} was not counted ({why})"), row);
        }
    }
    let lines = reasons
        .iter()
        .map(|(reason, rows)| format!("{reason} in {}", rows.join(", ")));
    results.skipped.iter().cloned().chain(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits() {
        let written: Vec<_> = [1.234, 12.34, 123.4, 123_456.7, 1_234_567.0, 45e6]
            .map(digits)
            .into();
        assert_eq!(written, ["1.23", "12.3", "123", "123457", "1.23M", "45.0M"]);
    }
}
