//! Charts: bars as HTML, curves as SVG.

use std::fmt::Write as _;

use super::results::{Cell, Line, Results};
use super::table::{digits, line_name, verdict};
use crate::rows::{Kind, Row};

/// A bar this many times the least is cut off.
const LONGEST: f64 = 8.0;

/// Text that may stand anywhere in a page.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// The colour of a contender: ours is the first.
pub(super) fn colour(results: &Results, built: usize) -> String {
    let contender = results.built[built].contender;
    if contender.is_ours {
        return "ours".to_owned();
    }
    let same_kind = |n: &usize| {
        let other = &results.built[*n];
        let is_same = other.lto == results.built[built].lto && !other.contender.is_ours;
        is_same && other.contender.source == contender.source
    };
    if contender.is_interpreter() {
        return "c11".to_owned();
    }
    format!("c{}", (0..built).filter(same_kind).count() % 11)
}

/// A card with a bar for each contender, shortest first.
pub(super) fn bars(results: &Results, line: Line, columns: &[usize]) -> String {
    let least = |n: usize| {
        results
            .cell(line, n)
            .and_then(|cell| cell.least(line.metric))
    };
    let mut entries: Vec<(usize, Option<f64>)> = columns.iter().map(|n| (*n, least(*n))).collect();
    let last = |value: Option<f64>| value.unwrap_or(f64::INFINITY);
    entries.sort_by(|a, b| last(a.1).total_cmp(&last(b.1)));
    let shortest = entries.iter().find_map(|entry| entry.1).unwrap_or(1.0);
    let longest = entries
        .iter()
        .filter_map(|entry| entry.1)
        .fold(shortest, f64::max);
    let full = longest.min(shortest * LONGEST);

    let mut html = String::from("<figure class=card>");
    // Writing to a String cannot fail.
    let _ = write!(
        html,
        "<figcaption><b>{}</b> {}<span class=what>{}</span></figcaption>",
        escaped(&line_name(line)),
        chip(results, line),
        escaped(line.row.what),
    );
    html.push_str("<div class=bars>");
    for (n, value) in entries {
        let name = escaped(results.built[n].contender.name);
        let is_ours = if results.built[n].contender.is_ours {
            " mine"
        } else {
            ""
        };
        let _ = write!(html, "<span class=\"name{is_ours}\">{name}</span>");
        match value {
            Some(value) => {
                let width = (value / full).min(1.0) * 100.0;
                let cut = if value > full { " cut" } else { "" };
                let _ = write!(
                    html,
                    "<span class=track><i class=\"{}{cut}\" style=\"width:{width:.1}%\"></i></span>\
                     <span class=value>{} {}</span>",
                    colour(results, n),
                    digits(value),
                    line.metric.unit(),
                );
            }
            None => {
                let excuse = results
                    .cell(line, n)
                    .map_or("-", |cell| cell.excuse(line.metric));
                let _ = write!(
                    html,
                    "<span class=track></span><span class=value>{excuse}</span>"
                );
            }
        }
    }
    html.push_str("</div></figure>");
    html
}

/// The ratio, green where we win and red where we lose, if by more than a tenth.
fn chip(results: &Results, line: Line) -> String {
    let ratio = results.verdict(line).and_then(|verdict| verdict.ratio);
    let Some(ratio) = ratio else {
        return String::new();
    };
    let class = match ratio {
        _ if ratio < 0.9 => "win",
        _ if ratio <= 1.1 => "even",
        _ => "loss",
    };
    let (text, rival) = verdict(results, line);
    format!(
        "<span class=\"chip {class}\">{text} &times; {}</span>",
        escaped(&rival)
    )
}

/// Width and height of a curve's drawing, and what is left of it for the axes.
const SIZE: (f64, f64) = (420.0, 190.0);
const LEFT: f64 = 46.0;
const BOTTOM: f64 = 22.0;
const TOP: f64 = 8.0;

/// A card with resident memory over time; `None` if nobody was looked at often enough.
pub(super) fn curves(results: &Results, row: &Row) -> Option<String> {
    let is_shown = |cell: &&Cell| {
        let built = &results.built[cell.built];
        // An interpreter's memory rows take so long that nobody else would be seen.
        let fits = row.kind == Kind::Gc || !built.contender.is_interpreter();
        cell.row.name == row.name && built.lto && fits && cell.samples.len() > 2
    };
    let mut cells: Vec<&Cell> = results.cells.iter().filter(is_shown).collect();
    if cells.is_empty() {
        return None;
    }
    // Ours is drawn last, above the others.
    cells.sort_by_key(|cell| results.built[cell.built].contender.is_ours);
    let samples = || cells.iter().flat_map(|cell| &cell.samples);
    let most_bytes = samples().map(|sample| sample.bytes).max()? as f64;
    let most_ms = samples().map(|sample| sample.at.as_millis()).max()?.max(1) as f64;
    let x = |ms: f64| LEFT + ms / most_ms * (SIZE.0 - LEFT - 8.0);
    let y = |bytes: f64| SIZE.1 - BOTTOM - bytes / most_bytes * (SIZE.1 - BOTTOM - TOP);

    let mut html = String::from("<figure class=card>");
    // Writing to a String cannot fail.
    let _ = write!(
        html,
        "<figcaption><b>{}</b><span class=what>{}</span></figcaption>\
         <svg viewBox=\"0 0 {} {}\" role=img aria-label=\"resident memory over time\">",
        escaped(row.name),
        escaped(row.what),
        SIZE.0,
        SIZE.1,
    );
    for part in [0.0, 0.5, 1.0] {
        let bytes = most_bytes * part;
        let (at, label) = (y(bytes), digits(bytes / 1e6));
        let _ = write!(
            html,
            "<line class=grid x1={LEFT} x2={} y1={at:.1} y2={at:.1} />\
             <text x={} y={:.1} text-anchor=end>{label}</text>",
            SIZE.0 - 8.0,
            LEFT - 5.0,
            at + 4.0,
        );
    }
    let _ = write!(
        html,
        "<text x={} y={} text-anchor=end>{most_ms:.0} ms</text><text x={LEFT} y={}>MB over time</text>",
        SIZE.0 - 8.0,
        SIZE.1 - 6.0,
        SIZE.1 - 6.0,
    );
    for cell in &cells {
        let points = thinned(cell).map(|(ms, bytes)| format!("{:.1},{:.1}", x(ms), y(bytes)));
        let points: Vec<String> = points.collect();
        let _ = write!(
            html,
            "<polyline class={} points=\"{}\"><title>{}</title></polyline>",
            colour(results, cell.built),
            points.join(" "),
            escaped(results.built[cell.built].contender.name),
        );
    }
    html.push_str("</svg><p class=legend>");
    for cell in cells.iter().rev() {
        let name = escaped(results.built[cell.built].contender.name);
        let _ = write!(
            html,
            "<span><i class={}></i>{name}</span> ",
            colour(results, cell.built)
        );
    }
    html.push_str("</p></figure>");
    Some(html)
}

/// No more points than can be seen: the largest of each stretch.
fn thinned(cell: &Cell) -> impl Iterator<Item = (f64, f64)> {
    let stretch = cell.samples.len().div_ceil(150);
    cell.samples.chunks(stretch).filter_map(|samples| {
        let most = samples.iter().max_by_key(|sample| sample.bytes)?;
        Some((most.at.as_millis() as f64, most.bytes as f64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_a_page() {
        assert_eq!(escaped("a<b>&\"c\""), "a&lt;b&gt;&amp;&quot;c&quot;");
    }
}
