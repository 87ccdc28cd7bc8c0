//! Draws the screen.

use std::borrow::Cow;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Sparkline, Widget};
use tracemalloc::Size;

use super::app::{App, Point, Seen};
use super::layout::{Head, Layout};
use super::table;
use crate::plain::plain_line;
use crate::tables;

/// What keys do, for who asks.
const HELP: [(&str, &str); 10] = [
    ("up, down", "the row before, or the next"),
    ("PgUp, PgDn", "a page up or down"),
    ("Home, End", "the first row, or the last"),
    ("Enter", "where the row's blocks come from: a traceback"),
    ("s", "sort by size, difference or count"),
    ("k", "add up by the next key, as --key names them"),
    ("p", "pause, and go on"),
    ("?", "this help"),
    ("Esc", "close help or traceback, else quit"),
    ("q, Ctrl-C", "quit"),
];

/// Keys that the last line names, the most needed first.
const KEYS: [(&str, &str); 6] = [
    ("q", "quit"),
    ("?", "help"),
    ("s", "sort"),
    ("k", "key"),
    ("p", "pause"),
    ("Enter", "traceback"),
];

/// Columns of the numbers in the head, and what a chart beside them takes at least.
const NUMBERS: u16 = 32;
const NARROWEST_CHART: u16 = 10;

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
/// Of a line that names what is below.
pub(super) const TITLE: Style = BOLD.add_modifier(Modifier::UNDERLINED);

/// Draws all of it; what there is no room for is left out.
pub(super) fn draw(app: &App, frame: &mut Frame<'_>) {
    let area = frame.area();
    let layout = Layout::new(area, app.panel.is_some());
    let buffer = frame.buffer_mut();
    head(app, Head::of(area.height), layout.head, buffer);
    if app.has_help {
        let height = layout.table.height + layout.panel.height;
        help(
            Rect {
                height,
                ..layout.table
            },
            buffer,
        );
    } else if app.seen.is_none() {
        let room = layout.table.width.saturating_sub(12);
        let text = format!("waiting for {}", tail(&app.file, room));
        put(buffer, layout.table, 0, text);
    } else {
        table::draw(app, &layout, buffer);
        panel(app, layout.panel, buffer);
    }
    let keys = KEYS.into_iter().flat_map(|(key, what)| {
        let what = match what {
            "pause" if app.is_paused => "go on",
            what => what,
        };
        [Span::styled(key, BOLD), Span::raw(format!(" {what}  "))]
    });
    put(buffer, layout.footer, 0, keys.collect::<Line<'_>>());
}

/// Writes into a line of an area as much as fits.
fn put<'a>(buffer: &mut Buffer, area: Rect, row: u16, text: impl Into<Line<'a>>) {
    if row < area.height {
        buffer.set_line(area.x, area.y + row, &text.into(), area.width);
    }
}

/// Writes a text to the left and another to the right, if there is room for both.
fn put_both(buffer: &mut Buffer, area: Rect, row: u16, left: &str, right: &str) {
    let taken = u16::try_from(Span::raw(right).width()).unwrap_or(u16::MAX);
    let room = area.width.saturating_sub(taken.saturating_add(2));
    if room < 12 {
        put(buffer, area, row, tail(left, area.width));
        return;
    }
    put(buffer, area, row, tail(left, room));
    let beside = Rect {
        x: area.x + area.width - taken,
        width: taken,
        ..area
    };
    put(buffer, beside, row, right);
}

/// The end of a text that is too long for so many columns: of a path that says the most.
pub(super) fn tail(text: &str, width: u16) -> Cow<'_, str> {
    let width = usize::from(width);
    let span = Span::raw(text);
    if span.width() <= width {
        return text.into();
    }
    let graphemes: Vec<&str> = span
        .styled_graphemes(Style::new())
        .map(|grapheme| grapheme.symbol)
        .collect();
    let mut room = width.saturating_sub(1);
    let mut first = graphemes.len();
    for grapheme in graphemes.iter().rev() {
        match room.checked_sub(Span::raw(*grapheme).width()) {
            Some(rest) => room = rest,
            None => break,
        }
        first -= 1;
    }
    format!("…{}", graphemes[first..].concat()).into()
}

fn size(bytes: u64) -> String {
    Size::new(bytes as f64).to_string()
}

fn head(app: &App, head: Head, area: Rect, buffer: &mut Buffer) {
    if head == Head::Line {
        let text = match (&app.trouble, &app.seen) {
            (Some(trouble), _) => without_file(app, trouble).to_owned(),
            (None, Some(seen)) => {
                let traced = size(seen.snapshot.traced_memory().0);
                format!("{traced} traced, {}", app.file)
            }
            (None, None) => app.file.clone(),
        };
        put(buffer, area, 0, Line::styled(text, BOLD));
        return;
    }
    let Some(seen) = &app.seen else {
        put(buffer, area, 0, tail(&app.file, area.width));
        note(app, area, buffer);
        return;
    };
    put_both(buffer, area, 0, &app.file, &kind(app, seen));
    let pid = seen.process.pid();
    let process = match seen.memory {
        Some(_) => format!("process {pid} runs"),
        None => format!("process {pid} is gone, or hidden"),
    };
    let program = plain_line(seen.process.program());
    put_both(buffer, area, 1, &program, &process);
    let (current, peak) = seen.snapshot.traced_memory();
    let numbers = [
        seen.memory.map(|memory| memory.resident),
        seen.memory.map(|memory| memory.peak),
        Some(current),
        Some(peak),
    ];
    let numbers = numbers.map(|bytes| bytes.map_or_else(|| "unknown".to_owned(), size));
    let [resident, most, traced, peak] = &numbers;
    if head == Head::Short {
        let line = format!("resident {resident}, at most {most}; traced {traced}, at most {peak}");
        put(buffer, area, 2, line);
    } else {
        let names = ["resident", "at most", "traced", "at most"];
        for ((row, name), number) in (2..).zip(names).zip(&numbers) {
            let difference = match app.difference() {
                Some(difference) if name == "traced" => Size::signed(difference).to_string(),
                _ => String::new(),
            };
            let text = format!("{name:<9}{number:>10} {difference:>10}");
            put(buffer, area, row, text);
        }
        chart(app, 2, |point| point.resident, area, buffer);
        chart(app, 4, |point| Some(point.traced), area, buffer);
    }
    note(app, area, buffer);
}

/// What the snapshot is, and of when.
fn kind(app: &App, seen: &Seen) -> String {
    let ago = tables::ago(seen.snapshot.time(), app.now);
    match seen.snapshot.sampling() {
        None => format!("exact, {ago}"),
        Some(rate) => {
            let samples = seen.snapshot.traces().len();
            format!("{samples} samples, one in {}, {ago}", size(rate))
        }
    }
}

/// Draws memory over the last snapshots, from 0 to the most there, beside two lines of the head.
fn chart(
    app: &App,
    row: u16,
    bytes: impl Fn(&Point) -> Option<u64>,
    area: Rect,
    buffer: &mut Buffer,
) {
    if area.width < NUMBERS + NARROWEST_CHART || area.height < row + 2 {
        return;
    }
    let beside = Rect {
        x: area.x + NUMBERS,
        y: area.y + row,
        width: area.width - NUMBERS,
        height: 2,
    };
    let skipped = app.points.len().saturating_sub(usize::from(beside.width));
    Sparkline::default()
        .data(app.points[skipped..].iter().map(bytes))
        .style(Color::Cyan)
        .render(beside, buffer);
}

/// What there is to know, in the last line of the head.
fn note(app: &App, area: Rect, buffer: &mut Buffer) {
    let missing = app.seen.as_ref().and_then(|seen| seen.missing.first());
    let (text, color) = match (&app.trouble, missing) {
        (Some(trouble), _) => (without_file(app, trouble).to_owned(), Color::Red),
        _ if app.is_paused => ("paused".to_owned(), Color::Yellow),
        (None, Some(missing)) => {
            let missing = without_file(app, missing);
            (format!("warning: {missing}"), Color::Yellow)
        }
        (None, None) => return,
    };
    let row = area.height.saturating_sub(1);
    put(buffer, area, row, Line::styled(text, color));
}

/// What is said of the file, without its name: that may be long, and the first line has it.
fn without_file<'a>(app: &App, text: &'a str) -> &'a str {
    text.strip_prefix(app.file.as_str())
        .map_or(text, |rest| rest.trim_start_matches([':', ' ']))
}

fn help(area: Rect, buffer: &mut Buffer) {
    for (row, (key, what)) in (0..).zip(HELP) {
        let key = Span::styled(format!("{key:<12}"), BOLD);
        put(buffer, area, row, Line::from(vec![key, what.into()]));
    }
}

/// Where the selected blocks come from, the most recent call first.
fn panel(app: &App, area: Rect, buffer: &mut Buffer) {
    let Some(panel) = &app.panel else {
        return;
    };
    if let Some(title) = area.rows().next() {
        put(buffer, title, 0, tail(&panel.title, title.width));
        buffer.set_style(title, TITLE);
    }
    let room = usize::from(area.height.saturating_sub(1));
    let fit = if panel.lines.len() > room {
        room.saturating_sub(1)
    } else {
        room
    };
    let more = panel.lines.len().saturating_sub(fit);
    for (row, line) in (1..).zip(panel.lines.iter().take(fit)) {
        // Of source the start says the most, of where it is the end.
        let is_source = line.starts_with("    ");
        let width = if is_source { u16::MAX } else { area.width };
        put(buffer, area, row, tail(line, width));
    }
    if more > 0 && room > 0 {
        let last = area.height - 1;
        put(buffer, area, last, format!("  {more} more lines"));
    }
}
