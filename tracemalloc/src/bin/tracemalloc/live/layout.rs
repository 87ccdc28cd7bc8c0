//! Where on the screen what is.

use ratatui::layout::Rect;

/// The parts of the screen; those that have no room are empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) head: Rect,
    /// The names of the columns and, below them, rows.
    pub(super) table: Rect,
    /// The traceback of the row that is selected.
    pub(super) panel: Rect,
    pub(super) footer: Rect,
}

/// How much the head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// One line: how much is in use.
    Line,
    /// File, process, memory, a note.
    Short,
    /// The same with memory over time.
    Full,
}

impl Head {
    pub(super) const fn of(height: u16) -> Self {
        match height {
            ..=7 => Self::Line,
            8..=15 => Self::Short,
            16.. => Self::Full,
        }
    }

    const fn height(self) -> u16 {
        match self {
            Self::Line => 1,
            Self::Short => 4,
            Self::Full => 7,
        }
    }
}

impl Layout {
    pub(super) fn new(area: Rect, has_panel: bool) -> Self {
        let mut rest = area;
        let head = take_top(&mut rest, Head::of(area.height).height());
        let footer = take_bottom(&mut rest, u16::from(area.height >= 4));
        let panel = if has_panel { rest.height / 2 } else { 0 };
        let panel = take_bottom(&mut rest, panel);
        Self {
            head,
            table: rest,
            panel,
            footer,
        }
    }

    /// How many rows the table has room for.
    pub(super) fn page(&self) -> usize {
        usize::from(self.table.height.saturating_sub(1))
    }
}

fn take_top(rest: &mut Rect, height: u16) -> Rect {
    let height = height.min(rest.height);
    let taken = Rect { height, ..*rest };
    rest.y += height;
    rest.height -= height;
    taken
}

fn take_bottom(rest: &mut Rect, height: u16) -> Rect {
    let height = height.min(rest.height);
    rest.height -= height;
    Rect {
        y: rest.y + rest.height,
        height,
        ..*rest
    }
}
