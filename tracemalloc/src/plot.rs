//! A timeline as a picture: what `mprof plot` draws.
//!
//! ```text
//!  title
//!  ▬ resident, at most 31.4 MiB   ▬ in blocks of the allocator, ..   ▬ asked for, ..
//!  32 MiB ┼┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄
//!         │        ╭────╮  ┊
//!  16 MiB ┼┄┄┄┄┄┄┄┄╯┄┄┄┄╰┄┄┊╭─────────
//!         │ ╭─────╯     ╰───╯
//!         └─┬───────┬───────┬───────┬─
//!           0       1       2       3   time in seconds
//! ```

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use crate::file::replace;
use crate::snapshot::{Size, Snapshot, TimelinePoint};

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 500.0;
/// Where the curves are.
const LEFT: f64 = 84.0;
const RIGHT: f64 = WIDTH - 28.0;
const TOP: f64 = 84.0;
const BOTTOM: f64 = HEIGHT - 58.0;

/// Names, colors and numbers of the curves, as in the HTML page.
static CURVES: [Curve; 3] = [
    Curve {
        name: "resident",
        color: "#ee862b",
        bytes: |point| point.rss_bytes,
    },
    Curve {
        name: "in blocks of the allocator",
        color: "#3e8eea",
        bytes: |point| point.heap_bytes,
    },
    Curve {
        name: "asked for",
        color: "#34b284",
        bytes: |point| point.traced_bytes,
    },
];

/// A kind of bytes over time.
struct Curve {
    name: &'static str,
    color: &'static str,
    bytes: fn(&TimelinePoint) -> u64,
}

/// Why nothing was plotted.
#[derive(Debug)]
#[non_exhaustive]
pub enum PlotError {
    /// There are not two points at different times.
    TooFewPoints,
    /// The picture could not be written.
    Write(io::Error),
}

/// Draws a process's memory over time as an SVG, which any browser shows.
///
/// The picture is 1000 by 500, and holds all it needs. It has a curve for each kind of bytes that is
/// known, and a cross of dashes at the most of the first.
///
/// (memory_profiler: `mprof plot`.)
///
/// # Errors
///
/// [`PlotError`].
///
/// # Examples
///
/// Tracing need not be on; then the curve of what is traced is left out.
///
/// ```
/// use std::time::Duration;
/// use tracemalloc::{Timeline, plot};
///
/// let timeline = Timeline::start(Duration::from_millis(1))?;
/// let work: Vec<Vec<u8>> = (0..100).map(|i| vec![1; i * 100]).collect();
/// let points = timeline.stop();
///
/// let mut picture = Vec::new();
/// plot("Memory of the work", &points, &mut picture)?;
/// assert!(picture.starts_with(b"<svg "));
/// # drop(work);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn plot(
    title: &str,
    points: &[TimelinePoint],
    mut writer: impl Write,
) -> Result<(), PlotError> {
    let picture = Picture::new(points).ok_or(PlotError::TooFewPoints)?;
    picture.write(title, &mut writer).map_err(PlotError::Write)
}

impl Snapshot {
    /// Draws its timeline, as [`plot()`] does, with the program's name as the title.
    ///
    /// # Errors
    ///
    /// [`PlotError`]: of points there are too few if the snapshot was taken without a
    /// [`Timeline`](crate::Timeline).
    ///
    /// # Examples
    ///
    /// ```
    /// use tracemalloc::{PlotError, RawSnapshot, Snapshot};
    ///
    /// let without = Snapshot::from(RawSnapshot::default());
    /// let error = without.plot(Vec::new()).unwrap_err();
    /// assert!(matches!(error, PlotError::TooFewPoints));
    /// ```
    pub fn plot(&self, writer: impl Write) -> Result<(), PlotError> {
        let program = self.modules().first();
        let program = program.and_then(|module| Path::new(&module.path).file_name());
        let title = match program {
            Some(name) => format!(
                "Memory of {}, process {}",
                name.to_string_lossy(),
                self.pid()
            ),
            None => "Memory of the process".to_owned(),
        };
        plot(&title, self.timeline(), writer)
    }

    /// Draws what [`plot`](Self::plot) draws into a file, which is replaced as
    /// [`dump`](Self::dump) replaces one.
    ///
    /// # Errors
    ///
    /// [`PlotError`]: those of `plot`, then nothing is written; and what the system says of the
    /// file, or of a new one in its folder.
    pub fn plot_to(&self, path: impl AsRef<Path>) -> Result<(), PlotError> {
        let mut picture = Vec::new();
        self.plot(&mut picture)?;
        replace(path.as_ref(), |mut file| file.write_all(&picture)).map_err(PlotError::Write)
    }
}

/// Points, and the scales that they are drawn at.
struct Picture {
    /// In the order of time.
    points: Vec<TimelinePoint>,
    /// Nanoseconds, the first before the second.
    first: f64,
    last: f64,
    /// The most bytes of all, one at least.
    most: f64,
}

impl Picture {
    fn new(points: &[TimelinePoint]) -> Option<Self> {
        let mut points = points.to_vec();
        points.sort_by_key(|point| point.when_ns);
        let (first, last) = (
            points.first()?.when_ns as f64,
            points.last()?.when_ns as f64,
        );
        let of = |point| CURVES.iter().map(move |curve| (curve.bytes)(point));
        let most = points.iter().flat_map(of).max()?.max(1);
        (first < last).then_some(Self {
            first,
            last,
            most: most as f64,
            points,
        })
    }

    fn x(&self, ns: f64) -> f64 {
        LEFT + (ns - self.first) / (self.last - self.first) * (RIGHT - LEFT)
    }

    fn y(&self, bytes: f64) -> f64 {
        // A little room above.
        BOTTOM - bytes / (self.most * 1.04) * (BOTTOM - TOP)
    }

    fn write(&self, title: &str, out: &mut dyn Write) -> io::Result<()> {
        let title = escaped(title);
        write!(
            out,
            r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="13" fill="#3c3c42">
<title>{title}</title>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>
<text x="{LEFT}" y="34" font-size="19" font-weight="600" fill="#1d1d1f">{title}</text>
"##
        )?;
        self.write_bytes_axis(out)?;
        self.write_time_axis(out)?;
        let known = |curve: &&Curve| self.points.iter().any(|point| (curve.bytes)(point) > 0);
        let known: Vec<&Curve> = CURVES.iter().filter(known).collect();
        for curve in &known {
            self.write_curve(curve, out)?;
        }
        if let Some(curve) = known.first() {
            self.write_most(curve, out)?;
        }
        self.write_legend(&known, out)?;
        writeln!(out, "</svg>")
    }

    fn write_bytes_axis(&self, out: &mut dyn Write) -> io::Result<()> {
        let step = bytes_step(self.most);
        let count = (self.most * 1.04 / step) as u32;
        for tick in 0..=count {
            let bytes = f64::from(tick) * step;
            let (y, label) = (self.y(bytes), bytes_label(bytes));
            let color = if tick == 0 { "#8a8a90" } else { "#e4e2dd" };
            writeln!(
                out,
                r#"<path d="M{LEFT} {y:.1}H{RIGHT}" stroke="{color}"/><text x="{:.1}" y="{:.1}" text-anchor="end">{label}</text>"#,
                LEFT - 10.0,
                y + 4.5
            )?;
        }
        let middle = f64::midpoint(TOP, BOTTOM);
        writeln!(
            out,
            r#"<text x="16" y="{middle}" text-anchor="middle" transform="rotate(-90 16 {middle})" fill="{SOFT}">memory</text>"#
        )
    }

    fn write_time_axis(&self, out: &mut dyn Write) -> io::Result<()> {
        let (unit, name) = time_unit(self.last - self.first);
        let (first, last) = (self.first / unit, self.last / unit);
        let step = time_step(last - first);
        let digits = (-step.log10().floor()).max(0.0) as usize;
        let ticks = (first / step - 1e-9).ceil() as u64..=(last / step + 1e-9).floor() as u64;
        for tick in ticks {
            let time = tick as f64 * step;
            let x = self.x(time * unit);
            // A time of three hundred years is no longer exact.
            if !(LEFT - 1.0..=RIGHT + 1.0).contains(&x) {
                continue;
            }
            writeln!(
                out,
                r##"<path d="M{x:.1} {BOTTOM}v5" stroke="#8a8a90"/><text x="{x:.1}" y="{:.1}" text-anchor="middle">{time:.digits$}</text>"##,
                BOTTOM + 21.0
            )?;
        }
        writeln!(
            out,
            r#"<text x="{}" y="{}" text-anchor="middle" fill="{SOFT}">time in {name}</text>"#,
            f64::midpoint(LEFT, RIGHT),
            BOTTOM + 44.0
        )
    }

    fn write_curve(&self, curve: &Curve, out: &mut dyn Write) -> io::Result<()> {
        let mut line = String::new();
        for point in &self.points {
            let step = if line.is_empty() { 'M' } else { 'L' };
            let (x, y) = self.place(curve, point);
            line += &format!("{step}{x:.1} {y:.1}");
        }
        let color = curve.color;
        writeln!(
            out,
            r#"<path d="{line}L{RIGHT} {BOTTOM}H{LEFT}Z" fill="{color}" opacity=".1"/>
<path d="{line}" fill="none" stroke="{color}" stroke-width="2" stroke-linejoin="round"/>"#
        )
    }

    /// A cross at the most that there was.
    fn write_most(&self, curve: &Curve, out: &mut dyn Write) -> io::Result<()> {
        let Some(point) = most(curve, &self.points) else {
            return Ok(());
        };
        let (x, y) = self.place(curve, point);
        writeln!(
            out,
            r##"<path d="M{LEFT} {y:.1}H{RIGHT}M{x:.1} {TOP}V{BOTTOM}" stroke="#c0392b" stroke-dasharray="3 4" fill="none"/>"##
        )
    }

    fn write_legend(&self, curves: &[&Curve], out: &mut dyn Write) -> io::Result<()> {
        let mut x = LEFT;
        for curve in curves {
            let bytes = most(curve, &self.points).map_or(0, curve.bytes);
            let text = format!("{}, at most {}", curve.name, Size::new(bytes as f64));
            writeln!(
                out,
                r#"<rect x="{x:.1}" y="53" width="14" height="5" rx="2" fill="{}"/><text x="{:.1}" y="60">{text}</text>"#,
                curve.color,
                x + 20.0,
            )?;
            // No letter of any font is much wider on average.
            x += 6.8 * text.len() as f64 + 44.0;
        }
        Ok(())
    }

    fn place(&self, curve: &Curve, point: &TimelinePoint) -> (f64, f64) {
        let bytes = (curve.bytes)(point) as f64;
        (self.x(point.when_ns as f64), self.y(bytes))
    }
}

/// The color of what names an axis.
const SOFT: &str = "#6b6a70";

/// The first of the points with the most bytes.
fn most<'a>(curve: &Curve, points: &'a [TimelinePoint]) -> Option<&'a TimelinePoint> {
    // Of several it gives the last.
    points.iter().rev().max_by_key(|point| (curve.bytes)(point))
}

/// A power of two that goes into `most` six times at most.
fn bytes_step(most: f64) -> f64 {
    let mut step = 1.0;
    while most / step > 6.0 {
        step *= 2.0;
    }
    step
}

/// Bytes of an axis, which need no fraction but halves.
fn bytes_label(mut bytes: f64) -> String {
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].iter();
    let mut unit = units.next().unwrap_or(&"");
    while bytes >= 1024.0
        && let Some(next) = units.next()
    {
        bytes /= 1024.0;
        unit = next;
    }
    format!("{bytes} {unit}")
}

/// The unit for a time as long as `span`: its nanoseconds, and its name.
fn time_unit(span: f64) -> (f64, &'static str) {
    match span {
        _ if span < 1e6 => (1e3, "microseconds"),
        _ if span < 1e9 => (1e6, "milliseconds"),
        _ if span < 180e9 => (1e9, "seconds"),
        _ if span < 3.0 * 3600e9 => (60e9, "minutes"),
        _ => (3600e9, "hours"),
    }
}

/// A round number that goes into `span` five times at least.
fn time_step(span: f64) -> f64 {
    let power = 10_f64.powf(span.log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|part| power / part);
    let fits = steps.into_iter().find(|step| span / step >= 5.0);
    fits.unwrap_or(power / 10.0)
}

/// A text in XML; what cannot be in it is left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '&' => escaped += "&amp;",
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => escaped.push(c),
        }
    }
    escaped
}

impl fmt::Display for PlotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFewPoints => f.write_str(
                "no timeline, which has two points at least: start a `Timeline` in the program, \
                 and hand what it notes to `Snapshot::with_timeline`",
            ),
            Self::Write(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PlotError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::TooFewPoints => None,
            Self::Write(error) => Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        assert_eq!(bytes_step(7.0), 2.0);
        assert_eq!(bytes_step(30.0 * 1024.0 * 1024.0), 8.0 * 1024.0 * 1024.0);
        assert_eq!(bytes_label(0.0), "0 B");
        assert_eq!(bytes_label(512.0 * 1024.0), "512 KiB");
        assert_eq!(bytes_label(2_f64.powi(63)), "8 EiB");
        assert_eq!((time_step(1.0), time_step(3.0)), (0.2, 0.5));
        assert_eq!((time_step(10.0), time_step(80.0)), (2.0, 10.0));
        assert_eq!(time_unit(2e9).1, "seconds");
        assert_eq!(time_unit(7200e9), (60e9, "minutes"));
    }

    #[test]
    fn the_first_of_several_most_is_marked() {
        let point = |when_ns, rss_bytes| TimelinePoint {
            when_ns,
            rss_bytes,
            ..TimelinePoint::default()
        };
        let points = [point(1, 5), point(2, 9), point(3, 9), point(4, 2)];
        assert_eq!(most(&CURVES[0], &points).map(|p| p.when_ns), Some(2));
        assert!(most(&CURVES[0], &[]).is_none());
    }

    #[test]
    fn titles_are_text() {
        assert_eq!(escaped("a<b>&\u{0}\u{1b}\"ü"), "a&lt;b&gt;&amp;\"ü");
    }
}
