//! Keys and snapshots in, screens out.

use std::path::Path;
use std::time::{Duration, SystemTime};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Rect;
use ratatui::text::Span;
use tracemalloc::snapshot::{Module, RawTrace, Weight};
use tracemalloc::{Frame, KeyType, RawSnapshot, Snapshot};

use super::app::{App, Event, Seen};
use super::draw::draw;
use super::file::{Memory, Process};

/// A snapshot of blocks: the place, the size, how many. One place has wide characters in its name,
/// another what clears a screen.
fn snapshot(blocks: &[(u32, usize, usize)], chance: Option<f64>) -> Snapshot {
    let places = ["src/cache.rs", "src/画像/デコード.rs", "src/\x1b[2Jevil.rs"];
    let frames = |(i, place): (u32, &str)| {
        let called = Frame::new("src/start.rs", 3 + i, "start::main");
        vec![called, Frame::new(place, 17, "f")]
    };
    let mut traces = Vec::new();
    for &(stack, size, count) in blocks {
        for _ in 0..count {
            traces.push(RawTrace {
                domain: 0,
                address: 16 * traces.len(),
                size,
                weight: match chance {
                    Some(p) => Weight::sampled(size, p),
                    None => Weight::exact(size),
                },
                stack,
                thread: 1,
                when_ns: 0,
            });
        }
    }
    let raw = RawSnapshot {
        current_bytes: blocks.iter().map(|b| (b.1 * b.2) as u64).sum(),
        peak_bytes: 30_000,
        sampling: chance.map(|_| 1 << 19),
        traces,
        stacks: vec![Box::default(); places.len()],
        time: SystemTime::UNIX_EPOCH + Duration::from_secs(1000),
        pid: 4242,
        modules: vec![Module {
            path: "/opt/server".to_owned(),
            build_id: Vec::new(),
            base: 0,
            range: 0..0,
        }],
        ..RawSnapshot::default()
    };
    Snapshot::from(raw).with_tracebacks((0..).zip(places).map(frames).collect())
}

fn seen(snapshot: Snapshot, resident_mib: u64) -> Event {
    Event::Seen(Box::new(Seen {
        process: Process::of(&snapshot),
        snapshot,
        memory: Some(Memory {
            resident: resident_mib << 20,
            peak: 20 << 20,
        }),
        missing: Vec::new(),
    }))
}

fn first() -> Event {
    seen(snapshot(&[(0, 1000, 10), (1, 2048, 3)], None), 8)
}

fn second() -> Event {
    let blocks = [(0, 1000, 20), (1, 2048, 3), (2, 300, 5)];
    seen(snapshot(&blocks, None), 16)
}

fn app() -> App {
    let mut app = App::new(Path::new("/tmp/memory.tmal"), KeyType::Lineno, false);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1003);
    app.handle(Event::Time(now));
    app.handle(Event::Area(Rect::new(0, 0, 80, 24)));
    app
}

fn press(app: &mut App, keys: &[KeyCode]) {
    for &key in keys {
        app.handle(Event::Key(KeyEvent::from(key)));
    }
}

/// The screen's lines without blanks at their ends.
fn screen(app: &App, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(app, frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y: u16| {
        let mut line = String::new();
        let mut x = 0;
        while x < width {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            x += Span::raw(symbol).width().max(1) as u16;
        }
        line.trim_end().to_owned()
    };
    (0..height).map(line).collect()
}

fn assert_shows(app: &App, [width, height]: [u16; 2], expected: &str) {
    let shown = screen(app, width, height).join("\n");
    assert_eq!(shown, expected, "shown:\n{shown}\nexpected:\n{expected}");
}

fn names(app: &App) -> Vec<&str> {
    app.rows.iter().map(|row| row.name.as_str()).collect()
}

#[test]
fn a_screen_of_the_usual_size() {
    let mut app = app();
    app.handle(first());
    app.handle(second());
    let expected = r"
/tmp/memory.tmal                                            exact, 3 seconds ago
/opt/server                                                    process 4242 runs
resident   16.0 MiB              █
at most    20.0 MiB             ██
traced     27.0 KiB  +11.2 KiB  ▁█
at most    29.3 KiB             ██

lineno                                      size▼  difference     count  average
src/cache.rs:17                          19.5 KiB    +10000 B        20   1000 B
src/画像/デコード.rs:17                    6144 B        +0 B         3   2048 B
src/\u{1b}[2Jevil.rs:17                    1500 B     +1500 B         5    300 B












q quit  ? help  s sort  k key  p pause  Enter traceback";
    assert_shows(&app, [80, 24], expected.trim_start());
}

#[test]
fn samples_have_errors_and_a_row_has_a_traceback() {
    let mut app = app();
    app.handle(seen(snapshot(&[(0, 1000, 2), (1, 300, 1)], Some(0.5)), 8));
    press(&mut app, &[KeyCode::Enter]);
    let expected = r#"
/tmp/memory.tmal                        3 samples, one in 512 KiB, 3 seconds ago
/opt/server                                                    process 4242 runs
resident   8192 KiB             █
at most    20.0 MiB             █
traced       2300 B             █
at most    29.3 KiB             █

lineno                           size▼          ±  difference     count  average
src/cache.rs:17                 4000 B   ± 2000 B                     4   1000 B
src/画像/デコード.rs:17          600 B    ± 424 B                     2    300 B





traceback of src/cache.rs:17
  File "src/cache.rs", line 17
  File "src/start.rs", line 3





q quit  ? help  s sort  k key  p pause  Enter traceback"#;
    assert_shows(&app, [80, 24], expected.trim_start());
    let narrow = screen(&app, 20, 24);
    assert_eq!(
        narrow[15..17],
        ["… of src/cache.rs:17", "…/cache.rs\", line 17"]
    );
}

#[test]
fn a_tiny_screen() {
    let mut app = app();
    app.handle(second());
    let expected = "\
27.0 KiB traced, /tm
lineno         size▼
…che.rs:17  19.5 KiB
…ド.rs:17     6144 B
q quit  ? help  s so";
    assert_shows(&app, [20, 5], expected);
}

#[test]
fn a_file_that_is_not_there_is_waited_for() {
    let mut app = app();
    let expected = "\
/tmp/memory.tmal



waiting for /tmp/memory.tmal



q quit  ? help  s sort  k key  p pause";
    assert_shows(&app, [40, 9], expected);
    app.handle(Event::Trouble("/tmp/memory.tmal: it\nis locked".to_owned()));
    assert_eq!(screen(&app, 80, 24)[6], r"it\u{a}is locked");
    assert_eq!(screen(&app, 80, 3)[0], r"it\u{a}is locked");
    app.handle(first());
    assert_eq!(screen(&app, 80, 24)[6], "");
}

#[test]
fn no_size_is_too_small() {
    let mut all = [app(), app(), app(), app()];
    for app in &mut all[1..] {
        app.handle(first());
        app.handle(second());
    }
    press(&mut all[2], &[KeyCode::End, KeyCode::Enter]);
    press(&mut all[3], &[KeyCode::Char('?')]);
    for app in &all {
        for width in [0, 1, 2, 9, 10, 11, 20, 33, 41, 42, 60, 200] {
            for height in 0..=17 {
                assert_eq!(screen(app, width, height).len(), usize::from(height));
            }
        }
    }
}

#[test]
fn rows_are_sorted_by_what_is_asked_for() {
    let mut app = app();
    app.handle(second());
    let sizes = |app: &App| -> Vec<u64> { app.rows.iter().map(|row| row.size).collect() };
    assert_eq!(sizes(&app), [20_000, 6144, 1500]);
    // Nothing to compare with.
    assert!(app.rows.iter().all(|row| row.difference.is_none()));
    app.handle(first());
    let evil = r"src/\u{1b}[2Jevil.rs:17";
    assert_eq!(sizes(&app), [10_000, 6144, 0]);
    press(&mut app, &[KeyCode::Char('s')]);
    // A place that has no blocks any more has its row, too.
    assert_eq!(
        names(&app),
        ["src/cache.rs:17", evil, "src/画像/デコード.rs:17"]
    );
    assert_eq!(app.rows[1].difference, Some(-1500));
    app.handle(second());
    press(&mut app, &[KeyCode::Char('s')]);
    assert_eq!(
        names(&app),
        ["src/cache.rs:17", evil, "src/画像/デコード.rs:17"]
    );
    press(&mut app, &[KeyCode::Char('s')]);
    assert_eq!(sizes(&app), [20_000, 6144, 1500]);
}

#[test]
fn a_selected_place_stays_selected() {
    let mut app = app();
    app.handle(second());
    press(&mut app, &[KeyCode::Down, KeyCode::Down, KeyCode::Down]);
    assert_eq!(app.selected, 2);
    press(&mut app, &[KeyCode::Up, KeyCode::Enter]);
    let title = |app: &App| app.panel.as_ref().map(|panel| panel.title.clone());
    assert!(title(&app).unwrap().contains("デコード"));
    // Now it is the largest.
    app.handle(seen(snapshot(&[(0, 1000, 1), (1, 2048, 3)], None), 8));
    assert_eq!(app.selected, 0);
    assert!(title(&app).unwrap().contains("デコード"));
    press(&mut app, &[KeyCode::End]);
    assert_eq!(app.selected, 2);
    // It is no more, and was in the snapshot before.
    assert!(title(&app).unwrap().contains("evil"));
    press(&mut app, &[KeyCode::Home, KeyCode::PageDown]);
    assert_eq!(app.selected, 2);
    press(&mut app, &[KeyCode::PageUp]);
    assert_eq!(app.selected, 0);
    // From here on the first row, whichever that is.
    press(&mut app, &[KeyCode::Home]);
    app.handle(second());
    assert_eq!((app.selected, app.rows[0].size), (0, 20_000));
    app.handle(seen(snapshot(&[], None), 8));
    app.handle(seen(snapshot(&[], None), 8));
    assert_eq!((app.selected, app.rows.len()), (0, 0));
    press(&mut app, &[KeyCode::Down, KeyCode::End, KeyCode::Enter]);
    assert_eq!((app.selected, title(&app)), (0, None));
}

#[test]
fn a_pause_holds_back_what_is_seen() {
    let mut app = app();
    app.handle(first());
    press(&mut app, &[KeyCode::Char('p')]);
    app.handle(first());
    app.handle(second());
    app.handle(Event::Memory(None));
    app.handle(Event::Trouble("it is locked".to_owned()));
    assert_eq!(screen(&app, 80, 24)[6], "it is locked");
    app.handle(second());
    assert_eq!(screen(&app, 80, 24)[6], "paused");
    assert_eq!((app.points.len(), app.rows.len()), (1, 2));
    press(&mut app, &[KeyCode::Char('p')]);
    assert_eq!((app.points.len(), app.rows.len()), (2, 3));
    app.handle(Event::Memory(None));
    assert!(screen(&app, 80, 24)[1].ends_with("process 4242 is gone, or hidden"));
}

#[test]
fn all_keys_are_gone_through() {
    let mut app = app();
    app.handle(second());
    for key in KeyType::ALL.iter().skip(2).chain(&KeyType::ALL[..2]) {
        press(&mut app, &[KeyCode::Char('k')]);
        assert_eq!(app.key, *key);
        assert!(screen(&app, 80, 24)[7].starts_with(key.name()));
        press(&mut app, &[KeyCode::Enter]);
        let panel = app.panel.take().unwrap();
        assert!(panel.lines[0].contains("src/cache.rs"), "{:?}", panel.lines);
    }
}

#[test]
fn it_ends_by_three_keys() {
    let over = |keys: &[KeyCode]| {
        let mut app = app();
        app.handle(first());
        press(&mut app, keys);
        app.is_over
    };
    assert!(over(&[KeyCode::Char('q')]));
    assert!(over(&[KeyCode::Esc]));
    // What is open is closed first.
    assert!(!over(&[
        KeyCode::Enter,
        KeyCode::Char('?'),
        KeyCode::Esc,
        KeyCode::Esc
    ]));
    assert!(!over(&[KeyCode::Char('c')]));
    let mut app = app();
    for (c, is_over) in [('q', false), ('c', true)] {
        let key = KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL);
        app.handle(Event::Key(key));
        assert_eq!(app.is_over, is_over);
    }
}
