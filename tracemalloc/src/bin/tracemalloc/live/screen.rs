//! The terminal, taken and given back, and what goes on between.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal};
use std::os::fd::AsFd;
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event as Input, KeyEvent};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    self, Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use ratatui::layout::Rect;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::{flag, low_level};

use super::app::{App, Event, Seen};
use super::draw::draw;
use super::file::{Process, Watched};
use crate::args::{Select, Symbols, View};
use crate::{Failure, input};

/// The least and the most time for which it waits for a key.
const TICKS: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(250)];

/// Keys that are handled before the screen is drawn again.
const MOST_KEYS: usize = 64;

/// How often a process is asked for its memory, which makes the kernel walk through its pages.
const MEMORY_AGE: Duration = Duration::from_secs(1);

/// Whether there is a terminal to show a screen on, and to hear keys from.
pub(super) fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal() && !is_dumb() && has_room()
}

/// Whether the terminal has a size. Who opens a terminal may give it one a little after it has
/// started a program there; a serial line never has one.
fn has_room() -> bool {
    let has_size = || terminal::size().is_ok_and(|(width, height)| width > 0 && height > 0);
    (0..20).any(|look| {
        if look > 0 {
            thread::sleep(Duration::from_millis(50));
        }
        has_size()
    })
}

/// Whether the terminal is said to know no more than lines of text.
pub(super) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

/// Shows the file's snapshots until a key or a signal ends it.
pub(super) fn watch(file: &Path, interval: Duration, view: View) -> Result<(), Failure> {
    let mut app = App::new(file, view.key, view.cumulative);
    let signal = Arc::new(AtomicUsize::new(0));
    for number in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        flag::register_usize(number, Arc::clone(&signal), number.unsigned_abs() as usize)?;
    }
    let mut screen = Screen::take()?;
    let looks = look_on(file.to_owned(), interval, view.select, view.symbols)?;
    let keys = listen()?;
    let end = go_on(&mut app, &mut screen, &looks, &keys, interval, &signal);
    drop(screen);
    let End::Signal(number) = end? else {
        return Ok(());
    };
    Ok(low_level::emulate_default_handler(number)?)
}

/// How it ended, if well.
enum End {
    Key,
    Signal(i32),
}

fn go_on(
    app: &mut App,
    screen: &mut Screen,
    looks: &Receiver<Event>,
    keys: &Receiver<KeyEvent>,
    interval: Duration,
    signal: &AtomicUsize,
) -> Result<End, Failure> {
    let tick = interval.clamp(TICKS[0], TICKS[1]);
    while !app.is_over {
        app.handle(Event::Time(SystemTime::now()));
        // One, so that who types does not wait for all that a busy file has to say.
        match looks.try_recv() {
            Ok(event) => app.handle(event),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Err("looking on has failed".into()),
        }
        // ORDERING: Relaxed suffices: no memory goes with it.
        if !IS_TAKEN.load(Relaxed) {
            return Err("looking on has failed".into());
        }
        let size = screen.terminal.size()?;
        app.handle(Event::Area(Rect::from(size)));
        screen.terminal.draw(|frame| draw(app, frame))?;
        // A size that is another now is seen when it is drawn again.
        let key = keys.recv_timeout(tick);
        // ORDERING: Relaxed suffices: the number says it all.
        match signal.load(Relaxed) {
            0 => {}
            number => return Ok(End::Signal(i32::try_from(number)?)),
        }
        check_terminal()?;
        match key {
            Ok(key) => app.handle(Event::Key(key)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err("the terminal cannot be read".into()),
        }
        // Those that came at once are shown at once.
        for key in keys.try_iter().take(MOST_KEYS) {
            app.handle(Event::Key(key));
        }
    }
    Ok(End::Key)
}

/// Hears keys in a thread of its own, which ends with the program: in the middle of a sequence
/// crossterm waits for its rest.
fn listen() -> io::Result<Receiver<KeyEvent>> {
    let (sender, receiver) = sync_channel(MOST_KEYS);
    thread::Builder::new()
        .name("listener".to_owned())
        .spawn(move || {
            while let Ok(input) = event::read() {
                if let Input::Key(key) = input
                    && sender.send(key).is_err()
                {
                    return;
                }
            }
        })?;
    Ok(receiver)
}

/// Says so if there is no terminal any more.
fn check_terminal() -> io::Result<()> {
    let mut input = libc::pollfd {
        fd: libc::STDIN_FILENO,
        events: 0,
        revents: 0,
    };
    // SAFETY: the one entry that is said to be there, for the time of the call.
    let found = unsafe { libc::poll(&raw mut input, 1, 0) };
    if found < 0 {
        let error = io::Error::last_os_error();
        let is_signal = error.kind() == io::ErrorKind::Interrupted;
        return if is_signal { Ok(()) } else { Err(error) };
    }
    if input.revents & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0 {
        let gone = "the terminal is gone";
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, gone));
    }
    Ok(())
}

/// Looks at the file every `interval`, in a thread that ends when nobody listens or the program
/// does: it may wait long for a file, or for a pipe for ever.
fn look_on(
    file: PathBuf,
    interval: Duration,
    select: Select,
    symbols: Symbols,
) -> io::Result<Receiver<Event>> {
    // One at a time: who is slow to show them sees fewer.
    let (sender, receiver) = sync_channel(1);
    let looker = Looker {
        watched: Watched::new(&file),
        file,
        select,
        symbols,
        process: None,
        asked: Instant::now(),
    };
    thread::Builder::new()
        .name("looker".to_owned())
        .spawn(move || looker.look(interval, &sender))?;
    Ok(receiver)
}

struct Looker {
    watched: Watched,
    file: PathBuf,
    select: Select,
    symbols: Symbols,
    /// That of the last snapshot.
    process: Option<Process>,
    /// When it was asked for its memory.
    asked: Instant,
}

impl Looker {
    fn look(mut self, interval: Duration, sender: &SyncSender<Event>) {
        loop {
            let event = match self.see() {
                Ok(Some(seen)) => Some(Event::Seen(Box::new(seen))),
                Ok(None) => self.memory(),
                Err(failure) => Some(Event::Trouble(failure.to_string())),
            };
            if event.is_some_and(|event| sender.send(event).is_err()) {
                return;
            }
            thread::sleep(interval);
        }
    }

    /// The snapshot, if it is another one.
    fn see(&mut self) -> Result<Option<Seen>, Failure> {
        let Some(open) = self.watched.changed()? else {
            return Ok(None);
        };
        let (snapshot, missing) = input::load_silently(open, &self.file, &self.symbols)?;
        let process = Process::of(&snapshot);
        self.process = Some(process.clone());
        self.asked = Instant::now();
        Ok(Some(Seen {
            snapshot: self.select.apply(&snapshot),
            memory: process.memory(),
            process,
            missing,
        }))
    }

    /// What memory the process has, if it was not asked just now.
    fn memory(&mut self) -> Option<Event> {
        let process = self.process.as_ref()?;
        if self.asked.elapsed() < MEMORY_AGE {
            return None;
        }
        self.asked = Instant::now();
        Some(Event::Memory(process.memory()))
    }
}

/// The terminal while it shows this screen: what was on it before comes back when this is dropped,
/// and before a panic is told.
struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<File>>>,
    _taken: Taken,
}

impl Screen {
    fn take() -> io::Result<Self> {
        let told = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            give_back();
            told(panic);
        }));
        let mut out = output()?;
        // ORDERING: Relaxed suffices: no memory goes with it.
        IS_TAKEN.store(true, Relaxed);
        let taken = Taken;
        enable_raw_mode()?;
        execute!(out, EnterAlternateScreen, Clear(ClearType::All))?;
        Ok(Self {
            terminal: Terminal::new(CrosstermBackend::new(BufWriter::new(out)))?,
            _taken: taken,
        })
    }
}

/// Whether the terminal is to be given back.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// Gives the terminal back when it is dropped.
struct Taken;

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

/// Makes the terminal what it was; once, as it would move the cursor the second time.
fn give_back() {
    // ORDERING: Relaxed suffices: whoever is first does all; crossterm keeps what the terminal was, behind a lock.
    if !IS_TAKEN.swap(false, Relaxed) {
        return;
    }
    // A terminal that does not hear has nowhere to say so.
    let _ = disable_raw_mode();
    if let Ok(mut out) = output() {
        let _ = execute!(out, LeaveAlternateScreen, Show);
    }
}

/// Standard output without its lock, which the main thread has and a panic in another would wait for.
fn output() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}
