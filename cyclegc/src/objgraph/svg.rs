//! SVG pictures of drawings.

use std::fmt::Write;

use super::drawing::{Arrow, Drawing, Role, Shape};
use super::layout::{Layout, layout};

const BOX_HEIGHT: f64 = 44.0;
const LAYER_HEIGHT: f64 = 118.0;
const MARGIN: f64 = 20.0;
/// Widths of a character of the title, of the line below, and of a label.
const TITLE_CHARACTER: f64 = 8.4;
const DETAIL_CHARACTER: f64 = 6.6;
const LABEL_CHARACTER: f64 = 6.7;

const STYLE: &str = "\
text{font-family:ui-sans-serif,system-ui,'Segoe UI',Helvetica,Arial,sans-serif}\
.t{font-size:13px;font-weight:600;fill:#1f2933}.d{font-size:11px;fill:#52606d}\
.b{fill:#fff;stroke:#9aa5b1;stroke-width:1.2}\
.root .b{fill:#e3f9e5;stroke:#2f8132}.root .t{fill:#05400a}.root .d{fill:#207227}\
.start .b{fill:#ffeeee;stroke:#cf1124;stroke-width:2}.start .t{fill:#ab091e}\
.more .b{fill:#f5f7fa;stroke-dasharray:4 3}.more .t{font-weight:400;fill:#616e7c}\
.a{fill:none;stroke:#616e7c;stroke-width:1.3}.w{stroke-dasharray:2 4}\
.l{font-size:11px;font-family:ui-monospace,Menlo,Consolas,monospace;fill:#0b69a3;\
stroke:#fff;stroke-width:4px;paint-order:stroke;stroke-linejoin:round}\
.f{font-size:9px;font-weight:600;fill:#fff}";

pub(super) fn write(drawing: &Drawing) -> String {
    let mut out = String::new();
    // Writing to a `String` does not fail.
    let _ = Picture::of(drawing).write(&mut out);
    out
}

struct Picture<'a> {
    drawing: &'a Drawing,
    layout: Layout,
    /// The boxes' own widths; the layout leaves room for labels, too.
    widths: Vec<f64>,
    layer_count: usize,
    /// How far labels reach over the boxes on the right.
    overhang: f64,
}

impl<'a> Picture<'a> {
    fn of(drawing: &'a Drawing) -> Self {
        let layer = |depth: usize| match drawing.is_backward {
            true => drawing.max_depth + 1 - depth.min(drawing.max_depth + 1),
            false => depth,
        };
        let own_width = |shape: &Shape| {
            let title = text_width(&shape.title, TITLE_CHARACTER);
            let detail = text_width(&shape.detail, DETAIL_CHARACTER);
            let badge = if shape.has_finalizer { 52.0 } else { 0.0 };
            (title + badge).max(detail) + 24.0
        };
        let widths: Vec<f64> = drawing.boxes.iter().map(own_width).collect();
        let mut rooms = widths.clone();
        for arrow in &drawing.arrows {
            // Most often the only arrow there.
            let far = if drawing.is_backward {
                arrow.from
            } else {
                arrow.to
            };
            rooms[far] = rooms[far].max(text_width(&arrow.label, LABEL_CHARACTER));
        }
        let layers = drawing.boxes.iter().map(|shape| layer(shape.depth));
        let boxes: Vec<(f64, usize)> = rooms.into_iter().zip(layers).collect();
        // No empty layer on top.
        let top = boxes.iter().map(|(_, layer)| *layer).min().unwrap_or(0);
        let boxes: Vec<_> = boxes.iter().map(|(w, layer)| (*w, layer - top)).collect();
        let ends: Vec<_> = drawing.arrows.iter().map(|a| (a.from, a.to)).collect();
        let layout = layout(&boxes, &ends);
        let layers = boxes.iter().map(|(_, layer)| layer + 1).max();
        let mut picture = Picture {
            drawing,
            layout,
            widths,
            layer_count: layers.unwrap_or(0),
            overhang: 0.0,
        };
        picture.overhang = picture.label_overhang();
        picture
    }

    fn label_overhang(&self) -> f64 {
        let labels = self
            .drawing
            .arrows
            .iter()
            .enumerate()
            .map(|(index, arrow)| {
                let half = text_width(&arrow.label, LABEL_CHARACTER) / 2.0;
                let (x, _) = self.label_place(index, arrow);
                let left = -(x - half);
                left.max(x + half - self.layout.width)
            });
        labels.fold(0.0, f64::max)
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let margin = MARGIN + self.overhang;
        let width = self.layout.width + 2.0 * margin;
        let layers = to_f64(self.layer_count.saturating_sub(1));
        let height = layers * LAYER_HEIGHT + BOX_HEIGHT + 2.0 * MARGIN;
        writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"{:.1} {:.1} {width:.1} {height:.1}\">",
            -margin, -MARGIN
        )?;
        writeln!(out, "<style>{STYLE}</style>")?;
        writeln!(
            out,
            "<defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"7.5\" refY=\"4\" \
             markerWidth=\"8\" markerHeight=\"8\" orient=\"auto-start-reverse\">\
             <path d=\"M0 0.6L8 4L0 7.4z\" fill=\"#616e7c\"/></marker></defs>"
        )?;
        writeln!(
            out,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"#fff\"/>",
            -margin, -MARGIN
        )?;
        for (index, arrow) in self.drawing.arrows.iter().enumerate() {
            self.write_arrow(out, index, arrow)?;
        }
        for index in 0..self.drawing.boxes.len() {
            self.write_box(out, index)?;
        }
        for (index, arrow) in self.drawing.arrows.iter().enumerate() {
            if !arrow.label.is_empty() {
                let (x, y) = self.label_place(index, arrow);
                writeln!(
                    out,
                    "<text class=\"l\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{}</text>",
                    escaped(&arrow.label)
                )?;
            }
        }
        writeln!(out, "</svg>")
    }

    fn top(&self, item: usize) -> f64 {
        to_f64(self.layout.items[item].layer) * LAYER_HEIGHT
    }

    fn write_box(&self, out: &mut String, index: usize) -> std::fmt::Result {
        let shape = &self.drawing.boxes[index];
        let item = self.layout.items[index];
        let class = match shape.role {
            Role::Start => "start",
            Role::Root => "root",
            Role::Plain => "plain",
            Role::More => "more",
        };
        let width = self.widths[index];
        let (left, top) = (item.x - width / 2.0, self.top(index));
        write!(out, "<g class=\"{class}\">")?;
        write!(
            out,
            "<rect class=\"b\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{BOX_HEIGHT}\" rx=\"7\"/>",
            width
        )?;
        let x = left + 12.0;
        let title_y = top + if shape.detail.is_empty() { 26.5 } else { 19.0 };
        write!(
            out,
            "<text class=\"t\" x=\"{x:.1}\" y=\"{title_y:.1}\">{}</text>",
            escaped(&shape.title)
        )?;
        write!(
            out,
            "<text class=\"d\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
            top + 35.0,
            escaped(&shape.detail)
        )?;
        if shape.has_finalizer {
            let right = left + width;
            write!(
                out,
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"46\" height=\"14\" rx=\"7\" fill=\"#cf1124\"/>\
                 <text class=\"f\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">finalize</text>",
                right - 52.0,
                top + 7.0,
                right - 29.0,
                top + 17.0
            )?;
        }
        writeln!(out, "</g>")
    }

    fn write_arrow(&self, out: &mut String, index: usize, arrow: &Arrow) -> std::fmt::Result {
        let class = if arrow.is_weak { "a w" } else { "a" };
        write!(out, "<path class=\"{class}\" d=\"")?;
        let way = &self.layout.ways[index];
        let (first, last) = (way[0], way[way.len() - 1]);
        let marker = if arrow.from == first {
            "marker-end"
        } else {
            "marker-start"
        };
        if first == last {
            self.write_loop(out, first)?;
        } else if self.top(first) == self.top(last) {
            self.write_beside(out, first, last)?;
        } else {
            self.write_down(out, index)?;
        }
        writeln!(out, "\" {marker}=\"url(#arrow)\"/>")
    }

    /// An object that refers to itself.
    fn write_loop(&self, out: &mut String, item: usize) -> std::fmt::Result {
        let (x, y) = self.loop_place(item);
        write!(out, "M{x:.1} {:.1}c26 -10 26 34 1 25", y)
    }

    fn loop_place(&self, item: usize) -> (f64, f64) {
        let box_item = self.layout.items[item];
        (box_item.x + self.widths[item] / 2.0, self.top(item) + 10.0)
    }

    /// Between two boxes of a layer: below them.
    fn write_beside(&self, out: &mut String, first: usize, last: usize) -> std::fmt::Result {
        let (from, to) = (self.layout.items[first].x, self.layout.items[last].x);
        let y = self.top(first) + BOX_HEIGHT;
        let low = y + 34.0;
        write!(
            out,
            "M{from:.1} {y:.1}C{from:.1} {low:.1} {to:.1} {low:.1} {to:.1} {y:.1}"
        )
    }

    fn write_down(&self, out: &mut String, index: usize) -> std::fmt::Result {
        let points = self.points(index);
        let (x, y) = points[0];
        write!(out, "M{x:.1} {y:.1}")?;
        for pair in points.windows(2) {
            let ((x1, y1), (x2, y2)) = (pair[0], pair[1]);
            let middle = (y1 + y2) / 2.0;
            write!(
                out,
                "C{x1:.1} {middle:.1} {x2:.1} {middle:.1} {x2:.1} {y2:.1}"
            )?;
        }
        Ok(())
    }

    /// Where an arrow goes: from the lower edge of a box to the upper edge of another.
    fn points(&self, index: usize) -> Vec<(f64, f64)> {
        let way = &self.layout.ways[index];
        let mut points = Vec::new();
        for (place, item) in way.iter().enumerate() {
            let x = self.end_x(index, *item);
            let top = self.top(*item);
            if place > 0 {
                points.push((x, top));
            }
            if place + 1 < way.len() {
                points.push((x, top + BOX_HEIGHT));
            }
        }
        points
    }

    /// Ends of several arrows at one box lie side by side, in the order of where the
    /// arrows come from.
    fn end_x(&self, index: usize, item: usize) -> f64 {
        let this = self.layout.items[item];
        if item >= self.drawing.boxes.len() {
            return this.x;
        }
        let side = |way: &[usize]| match way {
            [first, next, ..] if *first == item => Some((true, self.layout.items[*next].x)),
            [.., next, last] if *last == item => Some((false, self.layout.items[*next].x)),
            _ => None,
        };
        let Some((is_below, my_x)) = side(&self.layout.ways[index]) else {
            return this.x;
        };
        let (mut before, mut count) = (0, 0);
        for (other, way) in self.layout.ways.iter().enumerate() {
            if let Some((below, x)) = side(way)
                && below == is_below
                && self.top(way[0]) != self.top(way[way.len() - 1])
            {
                count += 1;
                before += usize::from((x, other) < (my_x, index));
            }
        }
        let room = self.widths[item] * 0.6;
        let step = (room / to_f64(count)).min(22.0);
        this.x + (to_f64(before) - to_f64(count - 1) / 2.0) * step
    }

    fn label_place(&self, index: usize, arrow: &Arrow) -> (f64, f64) {
        let way = &self.layout.ways[index];
        let (first, last) = (way[0], way[way.len() - 1]);
        if first == last {
            let (x, y) = self.loop_place(first);
            return (
                x + 26.0 + text_width(&arrow.label, LABEL_CHARACTER) / 2.0,
                y + 17.0,
            );
        }
        if self.top(first) == self.top(last) {
            let middle = (self.layout.items[first].x + self.layout.items[last].x) / 2.0;
            return (middle, self.top(first) + BOX_HEIGHT + 29.0);
        }
        let points = self.points(index);
        // Near the end at which there are fewer arrows.
        let at = |item: usize| {
            self.layout
                .ways
                .iter()
                .filter(|w| w.contains(&item))
                .count()
        };
        let is_low = at(first) > at(last);
        let (start, end) = if is_low {
            (points[points.len() - 2], points[points.len() - 1])
        } else {
            (points[0], points[1])
        };
        let t = match at(first).max(at(last)) {
            0..=2 => 0.5,
            _ if is_low => 0.66,
            _ => 0.34,
        };
        let bend = t * t * (3.0 - 2.0 * t);
        (
            start.0 + (end.0 - start.0) * bend,
            start.1 + (end.1 - start.1) * t + 4.0,
        )
    }
}

fn text_width(text: &str, character: f64) -> f64 {
    to_f64(text.chars().count()) * character
}

#[allow(
    clippy::cast_precision_loss,
    reason = "numbers of boxes and characters"
)]
fn to_f64(count: usize) -> f64 {
    count as f64
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;")
}
