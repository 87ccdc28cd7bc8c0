//! What the screen shows: events in, state out.

use std::path::Path;
use std::time::SystemTime;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::Rect;
use tracemalloc::{KeyType, Size, Snapshot, Traceback};

use super::file::{Memory, Process};
use super::layout::Layout;
use super::rows::{Order, Row, rows, sort};
use crate::plain::plain_line;

/// How much memory over time is kept: more than a screen is wide.
const LONGEST: usize = 1000;

/// What happens.
pub(super) enum Event {
    Key(KeyEvent),
    /// The screen is so large.
    Area(Rect),
    /// It is so late.
    Time(SystemTime),
    /// There is another snapshot.
    Seen(Box<Seen>),
    /// The process of the last snapshot has so much memory, or is gone.
    Memory(Option<Memory>),
    /// The file cannot be read.
    Trouble(String),
}

/// A snapshot and its process.
pub(super) struct Seen {
    /// Those blocks that are looked at.
    pub(super) snapshot: Snapshot,
    pub(super) process: Process,
    pub(super) memory: Option<Memory>,
    /// What is missing in it, a line each.
    pub(super) missing: Vec<String>,
}

/// Memory when a snapshot was seen, in bytes.
pub(super) struct Point {
    pub(super) resident: Option<u64>,
    pub(super) traced: u64,
}

/// Where the blocks of the selected row come from.
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) lines: Vec<String>,
}

/// All that the screen shows.
pub(super) struct App {
    /// The file's name, without control characters.
    pub(super) file: String,
    pub(super) key: KeyType,
    pub(super) cumulative: bool,
    pub(super) order: Order,
    pub(super) now: SystemTime,
    pub(super) seen: Option<Box<Seen>>,
    before: Option<Snapshot>,
    /// What was seen while paused.
    held: Option<Box<Seen>>,
    pub(super) is_paused: bool,
    pub(super) trouble: Option<String>,
    /// The oldest first.
    pub(super) points: Vec<Point>,
    pub(super) rows: Vec<Row>,
    pub(super) selected: usize,
    /// The group that stays selected wherever its row goes; `None` for the first row.
    follows: Option<Traceback>,
    pub(super) panel: Option<Panel>,
    pub(super) has_help: bool,
    pub(super) is_over: bool,
    area: Rect,
}

impl App {
    pub(super) fn new(file: &Path, key: KeyType, cumulative: bool) -> Self {
        Self {
            file: plain_line(&file.to_string_lossy()).into_owned(),
            key,
            cumulative,
            order: Order::Size,
            now: SystemTime::UNIX_EPOCH,
            seen: None,
            before: None,
            held: None,
            is_paused: false,
            trouble: None,
            points: Vec::new(),
            rows: Vec::new(),
            selected: 0,
            follows: None,
            panel: None,
            has_help: false,
            is_over: false,
            area: Rect::ZERO,
        }
    }

    pub(super) fn handle(&mut self, event: Event) {
        match event {
            Event::Key(key) => self.press(key),
            Event::Area(area) => self.area = area,
            Event::Time(now) => self.now = now,
            Event::Seen(seen) if self.is_paused => {
                self.trouble = None;
                self.held = Some(seen);
            }
            Event::Seen(seen) => self.show(seen),
            Event::Memory(memory) if !self.is_paused => {
                if let Some(seen) = &mut self.seen {
                    seen.memory = memory;
                }
            }
            Event::Memory(_) => {}
            Event::Trouble(trouble) => self.trouble = Some(plain_line(&trouble).into_owned()),
        }
    }

    /// How many bytes more are in use than in the snapshot before.
    pub(super) fn difference(&self) -> Option<f64> {
        let now = self.seen.as_ref()?.snapshot.traced_memory().0;
        let before = self.before.as_ref()?.traced_memory().0;
        Some(now as f64 - before as f64)
    }

    /// How many rows the table has room for.
    fn page(&self) -> usize {
        Layout::new(self.area, self.panel.is_some()).page().max(1)
    }

    fn press(&mut self, key: KeyEvent) {
        if !matches!(key.kind, KeyEventKind::Press | KeyEventKind::Repeat) {
            return;
        }
        let last = self.rows.len().saturating_sub(1);
        match key.code {
            KeyCode::Char(c) if key.modifiers.contains(KeyModifiers::CONTROL) => {
                self.is_over |= c == 'c';
            }
            KeyCode::Char('q') => self.is_over = true,
            KeyCode::Esc if self.has_help => self.has_help = false,
            KeyCode::Esc if self.panel.is_some() => self.panel = None,
            KeyCode::Esc => self.is_over = true,
            KeyCode::Char('?') => self.has_help = !self.has_help,
            KeyCode::Char('p') => self.pause(),
            KeyCode::Char('s') => {
                self.order = self.order.next();
                sort(&mut self.rows, self.order);
                self.find_selected();
            }
            KeyCode::Char('k') => {
                self.key = next_key(self.key);
                self.follows = None;
                self.add_up();
            }
            KeyCode::Enter if self.panel.is_some() => self.panel = None,
            KeyCode::Enter => {
                self.select(self.selected);
                self.open_panel();
            }
            KeyCode::Up => self.select(self.selected.saturating_sub(1)),
            KeyCode::Down => self.select(self.selected.saturating_add(1).min(last)),
            KeyCode::PageUp => self.select(self.selected.saturating_sub(self.page())),
            KeyCode::PageDown => self.select(self.selected.saturating_add(self.page()).min(last)),
            KeyCode::Home => {
                self.select(0);
                self.follows = None;
            }
            KeyCode::End => self.select(last),
            _ => {}
        }
    }

    fn pause(&mut self) {
        self.is_paused = !self.is_paused;
        if !self.is_paused
            && let Some(held) = self.held.take()
        {
            self.show(held);
        }
    }

    fn show(&mut self, mut seen: Box<Seen>) {
        for line in &mut seen.missing {
            *line = plain_line(line).into_owned();
        }
        if self.points.len() == LONGEST {
            self.points.remove(0);
        }
        self.points.push(Point {
            resident: seen.memory.map(|memory| memory.resident),
            traced: seen.snapshot.traced_memory().0,
        });
        self.trouble = None;
        self.before = self.seen.replace(seen).map(|seen| seen.snapshot);
        self.add_up();
    }

    /// Makes the rows.
    fn add_up(&mut self) {
        let Some(seen) = &self.seen else {
            return;
        };
        self.rows = rows(
            &seen.snapshot,
            self.before.as_ref(),
            self.key,
            self.cumulative,
        );
        sort(&mut self.rows, self.order);
        self.find_selected();
    }

    fn select(&mut self, row: usize) {
        self.selected = row;
        self.follows = self.rows.get(row).map(|row| row.group.clone());
        if self.panel.is_some() {
            self.open_panel();
        }
    }

    /// Selects the row of the group that is followed, where it is by now.
    fn find_selected(&mut self) {
        let last = self.rows.len().saturating_sub(1);
        self.selected = match &self.follows {
            Some(group) => {
                let found = self.rows.iter().position(|row| row.group == *group);
                found.unwrap_or(self.selected).min(last)
            }
            None => 0,
        };
        if self.panel.is_some() {
            self.open_panel();
        }
    }

    /// Shows the traceback of most of the selected row's bytes.
    fn open_panel(&mut self) {
        self.panel = self.traceback();
    }

    fn traceback(&self) -> Option<Panel> {
        let row = self.rows.get(self.selected)?;
        let snapshots = [
            self.seen.as_ref().map(|seen| &seen.snapshot),
            self.before.as_ref(),
        ];
        // Those that are no more have their tracebacks in the snapshot before.
        let mut tracebacks = snapshots.into_iter().flatten().map(|snapshot| {
            let group = snapshot.filter_group(self.key, self.cumulative, &row.group);
            group.statistics(KeyType::Traceback, false)
        });
        let tracebacks = tracebacks.find(|found| !found.is_empty())?;
        let largest = tracebacks.first()?;
        let title = match tracebacks.len() {
            1 => format!("traceback of {}", row.name),
            count => format!(
                "{} of {}: the largest of {count} tracebacks",
                Size::new(largest.size as f64),
                row.name
            ),
        };
        let lines = largest.traceback.format(None, true);
        let lines = lines.iter().map(|line| plain_line(line).into_owned());
        Some(Panel {
            title,
            lines: lines.collect(),
        })
    }
}

/// The next of all keys, and the first again.
fn next_key(key: KeyType) -> KeyType {
    let all = KeyType::ALL;
    let here = all.iter().position(|other| *other == key);
    all[here.map_or(0, |here| (here + 1) % all.len())]
}
