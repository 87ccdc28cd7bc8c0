//! Draws the table of places.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use tracemalloc::Size;

use super::app::App;
use super::draw::{TITLE, tail};
use super::layout::Layout;
use super::rows::{Order, Row};

/// What a place is given at least, before columns go.
const NARROWEST_PLACE: u16 = 24;

/// Numbers of the rows, at the right.
struct Column {
    name: &'static str,
    /// The order of the rows that this column shows.
    order: Option<Order>,
    width: u16,
    text: fn(&Row) -> String,
    /// Columns of a higher number go first where there is little room; 0 stays.
    rank: u8,
}

static COLUMNS: [Column; 5] = [
    Column {
        name: "size",
        order: Some(Order::Size),
        width: 10,
        text: |row| size(row.size as f64),
        rank: 0,
    },
    Column {
        name: "±",
        order: None,
        width: 11,
        text: |row| {
            let error = row.error.map(|error| size(error.size));
            error.map_or_else(String::new, |error| format!("± {error}"))
        },
        rank: 2,
    },
    Column {
        name: "difference",
        order: Some(Order::Difference),
        width: 12,
        text: |row| match row.difference {
            Some(bytes) => Size::signed(bytes as f64).to_string(),
            None => String::new(),
        },
        rank: 1,
    },
    Column {
        name: "count",
        order: Some(Order::Count),
        width: 10,
        text: |row| row.count.to_string(),
        rank: 3,
    },
    Column {
        name: "average",
        order: None,
        width: 9,
        text: |row| match row.count {
            0 => String::new(),
            count => size(row.size as f64 / count as f64),
        },
        rank: 4,
    },
];

fn size(bytes: f64) -> String {
    Size::new(bytes).to_string()
}

/// Draws the rows around the selected one.
pub(super) fn draw(app: &App, layout: &Layout, buffer: &mut Buffer) {
    let is_sampled = app.rows.iter().any(|row| row.error.is_some());
    let columns = columns(layout.table.width, is_sampled);
    let mut lines = layout.table.rows();
    let Some(title) = lines.next() else {
        return;
    };
    let cumulative = if app.cumulative { ", cumulative" } else { "" };
    let key = format!("{}{cumulative}", app.key);
    let mark = |column: &Column| {
        let mark = if column.order == Some(app.order) {
            "▼"
        } else {
            ""
        };
        (format!("{}{mark}", column.name), Style::new())
    };
    line(&key, &columns, mark, title, buffer);
    buffer.set_style(title, TITLE);

    let page = layout.page();
    let last = app.rows.len().saturating_sub(page);
    let first = app.selected.saturating_sub(page / 2).min(last);
    let rows = app.rows.iter().enumerate().skip(first);
    for ((i, row), area) in rows.zip(lines) {
        let text = |column: &Column| {
            let color = match row.difference {
                _ if column.order != Some(Order::Difference) => Color::Reset,
                Some(1..) => Color::Red,
                Some(..=-1) => Color::Green,
                Some(0) | None => Color::Reset,
            };
            ((column.text)(row), Style::new().fg(color))
        };
        line(&row.name, &columns, text, area, buffer);
        if i == app.selected {
            buffer.set_style(area, Modifier::REVERSED);
        }
    }
}

/// The columns that there is room for.
fn columns(width: u16, is_sampled: bool) -> Vec<&'static Column> {
    let mut shown: Vec<&Column> = COLUMNS.iter().collect();
    if !is_sampled {
        shown.retain(|column| column.name != "±");
    }
    for rank in (1..=4).rev() {
        if taken(&shown) + NARROWEST_PLACE <= width {
            break;
        }
        shown.retain(|column| column.rank != rank);
    }
    if taken(&shown) > width {
        shown.clear();
    }
    shown
}

/// How wide columns are together.
fn taken(columns: &[&Column]) -> u16 {
    columns.iter().map(|column| column.width).sum()
}

fn line(
    place: &str,
    columns: &[&Column],
    text: impl Fn(&Column) -> (String, Style),
    area: Rect,
    buffer: &mut Buffer,
) {
    let mut x = area.x + area.width.saturating_sub(taken(columns));
    let room = x - area.x;
    let place = tail(place, room);
    buffer.set_stringn(area.x, area.y, place, room.into(), Style::new());
    for column in columns {
        let (text, style) = text(column);
        let width = usize::from(column.width);
        buffer.set_stringn(x, area.y, format!("{text:>width$}"), width, style);
        x += column.width;
    }
}
