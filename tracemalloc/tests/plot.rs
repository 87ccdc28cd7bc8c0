//! A plot is a picture by its specification, whatever is plotted.

use proptest::prelude::*;
use quick_xml::events::Event;
use tracemalloc::snapshot::TimelinePoint;
use tracemalloc::{PlotError, plot};

fn point([when_ns, traced_bytes, heap_bytes, rss_bytes]: [u64; 4]) -> TimelinePoint {
    TimelinePoint {
        when_ns,
        traced_bytes,
        heap_bytes,
        rss_bytes,
    }
}

fn picture(title: &str, points: &[TimelinePoint]) -> Result<String, PlotError> {
    let mut picture = Vec::new();
    plot(title, points, &mut picture)?;
    Ok(String::from_utf8(picture).unwrap())
}

/// Its texts, and the coordinates of its paths and texts.
fn parts(picture: &str) -> (Vec<String>, Vec<f64>) {
    let mut reader = quick_xml::Reader::from_str(picture);
    let (mut texts, mut numbers) = (Vec::new(), Vec::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(element) | Event::Empty(element) => {
                for attribute in element.attributes() {
                    let attribute = attribute.unwrap();
                    if !matches!(attribute.key.as_ref(), b"x" | b"y" | b"d") {
                        continue;
                    }
                    let value = String::from_utf8(attribute.value.to_vec()).unwrap();
                    let steps = [' ', 'M', 'L', 'H', 'V', 'Z', 'v'];
                    let parsed = value.split(steps).filter(|part| !part.is_empty());
                    numbers.extend(parsed.map(|n| n.parse::<f64>().unwrap()));
                }
            }
            Event::Text(text) => texts.push(String::from_utf8(text.to_vec()).unwrap()),
            Event::Eof => return (texts, numbers),
            _ => {}
        }
    }
}

#[test]
fn axes_have_units_and_curves_names() {
    let mib = |n: u64| n << 20;
    let points: Vec<TimelinePoint> = (0..=40)
        .map(|n| point([n * 50_000_000, 0, mib(n), mib(10 + n)]))
        .collect();
    let picture = picture("Memory of <a server>", &points).unwrap();
    let (texts, _) = parts(&picture);
    let has = |text: &str| texts.iter().any(|t| t == text);
    assert!(picture.contains("<title>Memory of &lt;a server&gt;</title>"));
    for tick in ["0 B", "16 MiB", "48 MiB", "0.0", "2.0"] {
        assert!(has(tick), "{tick} {texts:?}");
    }
    assert!(has("time in seconds") && has("memory"));
    assert!(has("resident, at most 50.0 MiB"), "{texts:?}");
    assert!(has("in blocks of the allocator, at most 40.0 MiB"));
    // Nothing was traced.
    assert!(!texts.iter().any(|text| text.starts_with("asked for")));
}

#[test]
fn a_line_needs_two_points() {
    let one = point([5, 1, 2, 3]);
    for points in [vec![], vec![one], vec![one; 3]] {
        let error = picture("none", &points).unwrap_err();
        assert!(matches!(error, PlotError::TooFewPoints));
        assert!(error.to_string().contains("start a `Timeline`"));
    }
}

#[test]
fn errors_of_the_writer_are_told() {
    let points = [point([1, 1, 1, 1]), point([2, 1, 1, 1])];
    let error = plot("full", &points, &mut [0_u8; 10][..]).unwrap_err();
    assert!(matches!(error, PlotError::Write(_)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_plotted_stays_in_the_picture(
        title in ".*",
        numbers in prop::collection::vec(any::<[u64; 4]>(), 2..20),
        shift in 0..64_u32,
    ) {
        let points: Vec<TimelinePoint> =
            numbers.iter().map(|n| point(n.map(|n| n >> shift))).collect();
        if let Ok(picture) = picture(&title, &points) {
            let (texts, numbers) = parts(&picture);
            prop_assert!(texts.len() < 100);
            for number in numbers {
                prop_assert!((0.0..=1000.0).contains(&number), "{number} {picture}");
            }
        }
    }
}
