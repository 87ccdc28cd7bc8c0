//! Results as a page that needs nothing but itself.

use std::fmt::Write as _;

use super::charts::{bars, curves, escaped};
use super::results::{Results, SECTIONS};
use super::table::{digits, how, line_name, missing, verdict};
use crate::rows::{Kind, ROWS};

const STYLE: &str = "
:root { color-scheme: light dark; --back: #fafaf8; --card: #fff; --text: #1c1e21; --dim: #61666d;
  --line: #dcdcd8; --track: #eeeeea; --ours: #c2410c; --win: #15803d; --loss: #b91c1c; --even: #61666d;
  --c0: #64748b; --c1: #2563eb; --c2: #0891b2; --c3: #7c3aed; --c4: #059669; --c5: #be185d;
  --c6: #a16207; --c7: #4d7c0f; --c8: #111827; --c9: #0f766e; --c10: #475569; --c11: #1d4ed8; }
@media (prefers-color-scheme: dark) { :root { --back: #15171a; --card: #1e2125; --text: #e7e7e4;
  --dim: #9aa1a9; --line: #363a40; --track: #2a2e33; --ours: #fb923c; --win: #4ade80; --loss: #f87171;
  --even: #9aa1a9; --c0: #94a3b8; --c1: #60a5fa; --c2: #22d3ee; --c3: #a78bfa; --c4: #34d399;
  --c5: #f472b6; --c6: #facc15; --c7: #a3e635; --c8: #f8fafc; --c9: #5eead4; --c10: #cbd5e1;
  --c11: #93c5fd; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 1400px; background: var(--back);
  color: var(--text); font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .4rem; } h2 { font-size: 1.15rem; margin: 2.4rem 0 .8rem; }
p { margin: .3rem 0; } .dim, .what { color: var(--dim); }
nav { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; margin: 1rem 0; } a { color: inherit; }
.cards { display: grid; gap: .9rem; grid-template-columns: repeat(auto-fill, minmax(330px, 1fr)); }
.card { margin: 0; padding: .8rem .9rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; }
figcaption { margin-bottom: .5rem; } .what { display: block; font-size: .82rem; }
.bars { display: grid; grid-template-columns: max-content 1fr max-content; gap: .12rem .6rem;
  font-size: .82rem; align-items: center; }
.track { background: var(--track); border-radius: 3px; height: .7rem; overflow: hidden; }
.track i { display: block; height: 100%; background: currentColor; border-radius: 3px; }
.track i.cut { mask: linear-gradient(90deg, #000 88%, #0000 89% 92%, #000 93%); }
.value, td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.mine { font-weight: 700; color: var(--ours); }
.chip { font-size: .78rem; padding: .05rem .45rem; border-radius: 99px; border: 1px solid; }
.win { color: var(--win); } .loss { color: var(--loss); } .even { color: var(--even); }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--dim); font-size: 11px; }
.grid { stroke: var(--line); } polyline { fill: none; stroke: currentColor; stroke-width: 1.3; opacity: .8; }
polyline.ours { stroke-width: 2.6; opacity: 1; }
.legend { font-size: .78rem; } .legend span { white-space: nowrap; margin-right: .5rem; }
.legend i { display: inline-block; width: .8rem; height: .2rem; margin-right: .3rem;
  background: currentColor; vertical-align: middle; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; }
td, th { padding: .2rem .6rem; border-bottom: 1px solid var(--line); text-align: left; }
";

/// Colours as classes: `ours`, `c0` to `c11`.
fn colours() -> String {
    let numbered = (0..12).map(|n| format!("i.c{n}, polyline.c{n} {{ color: var(--c{n}); }}\n"));
    let ours = "i.ours, polyline.ours { color: var(--ours); }\n".to_owned();
    numbered.chain([ours]).collect()
}

pub(super) fn page(results: &Results) -> String {
    let mut html = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        html,
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width, initial-scale=1\">\
         <title>Allocators and collectors, side by side</title><style>{STYLE}{}</style>\n\
         <h1>Allocators and collectors, side by side</h1><p>{}</p><p class=dim>{}</p>",
        colours(),
        escaped(&how(results)),
        escaped(&results.machine.line()),
    );
    let sections = SECTIONS
        .iter()
        .filter(|section| !results.lines(section).is_empty());
    html.push_str("<nav>");
    for section in sections.clone() {
        let _ = write!(
            html,
            "<a href=\"#{}\">{}</a>",
            anchor(section.title),
            section.title
        );
    }
    html.push_str("<a href=\"#over-time\">Resident memory over time</a><a href=\"#table\">All numbers</a></nav>");
    for section in sections.clone() {
        let columns = results.columns(section);
        let _ = write!(
            html,
            "<h2 id=\"{}\">{}</h2><div class=cards>",
            anchor(section.title),
            section.title
        );
        for line in results.lines(section) {
            html.push_str(&bars(results, line, &columns));
        }
        html.push_str("</div>\n");
    }
    html.push_str("<h2 id=\"over-time\">Resident memory over time</h2><div class=cards>");
    for row in ROWS.iter().filter(|row| row.kind != Kind::Micro) {
        html.push_str(&curves(results, row).unwrap_or_default());
    }
    html.push_str("</div>\n<h2 id=\"table\">All numbers</h2>");
    for section in sections {
        html.push_str(&numbers(results, section));
    }
    html.push_str(&list(
        "Versions",
        results
            .built
            .iter()
            .filter(|built| built.lto)
            .map(|built| format!("{}: {}", built.contender.name, built.version)),
    ));
    html.push_str(&list("Missing", missing(results)));
    html.push('\n');
    html
}

/// A section as a table.
fn numbers(results: &Results, section: &super::results::Section) -> String {
    let columns = results.columns(section);
    let mut html = format!(
        "<h3>{}</h3><div class=scroll><table><tr><th>row",
        section.title
    );
    // Writing to a String cannot fail.
    for n in &columns {
        let _ = write!(
            html,
            "<th class=n>{}",
            escaped(results.built[*n].contender.name)
        );
    }
    html.push_str("<th class=n>ratio<th>best rival");
    for line in results.lines(section) {
        let _ = write!(html, "<tr><td>{}", escaped(&line_name(line)));
        for n in &columns {
            let cell = results.cell(line, *n);
            let value = cell.and_then(|cell| cell.least(line.metric)).map(digits);
            let excuse = || cell.map_or("-", |cell| cell.excuse(line.metric)).to_owned();
            let median = cell.and_then(|cell| cell.median(line.metric)).map(digits);
            let median = median
                .map(|median| format!(" title=\"median {median}\""))
                .unwrap_or_default();
            let _ = write!(html, "<td class=n{median}>{}", value.unwrap_or_else(excuse));
        }
        let (ratio, rival) = verdict(results, line);
        let _ = write!(html, "<td class=n>{ratio}<td>{}", escaped(&rival));
    }
    html.push_str("</table></div>\n");
    html
}

fn list(title: &str, lines: impl IntoIterator<Item = String>) -> String {
    let items: String = lines
        .into_iter()
        .map(|line| format!("<li>{}", escaped(&line)))
        .collect();
    if items.is_empty() {
        return items;
    }
    format!("<h2>{title}</h2><ul class=dim>{items}</ul>\n")
}

fn anchor(title: &str) -> String {
    title
        .to_lowercase()
        .replace(|c: char| !c.is_ascii_alphanumeric(), "-")
}
