//! `live` on a terminal: the tool runs in a pseudo-terminal, and what it writes is read as a
//! terminal reads it.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::ptr;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tracemalloc::snapshot::{Module, RawTrace, Weight};
use tracemalloc::{Frame, RawSnapshot, Snapshot};

/// Longer than anything takes on a machine that does much else.
const LONG: Duration = Duration::from_secs(120);

/// What brings another screen up, and takes it away.
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";

/// A folder that goes when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("tracemalloc-screen-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Writes a snapshot of this process with so many blocks of 1000 bytes.
fn dump(path: &Path, blocks: usize) {
    let trace = |i: usize| RawTrace {
        domain: 0,
        address: 1024 * i,
        size: 1000,
        weight: Weight::exact(1000),
        stack: 0,
        thread: 1,
        when_ns: 0,
    };
    let program = std::env::current_exe().unwrap();
    let raw = RawSnapshot {
        traces: (0..blocks).map(trace).collect(),
        stacks: vec![Box::default()],
        modules: vec![Module {
            path: program.to_string_lossy().into_owned(),
            build_id: Vec::new(),
            base: 0,
            range: 0..0,
        }],
        pid: std::process::id(),
        current_bytes: 1000 * blocks as u64,
        ..RawSnapshot::default()
    };
    let frame = Frame::new("src/nowhere.rs", 17, "nowhere::keep");
    let snapshot = Snapshot::from(raw).with_tracebacks(vec![vec![frame]]);
    snapshot.dump(path).unwrap();
}

type Modes = [libc::tcflag_t; 4];

/// The tool in a terminal of its own.
struct Terminal {
    /// What a person has: keys and a screen.
    person: File,
    /// What the program has.
    line: File,
    /// How it treated what is typed and written before there was a program.
    before: Modes,
    child: Child,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn start(kind: &str, size: libc::winsize, stderr: Option<Stdio>, file: &Path) -> Self {
        let (mut person, mut line) = (0, 0);
        // SAFETY: places for two descriptors and a size; a name is not asked for, nor other modes.
        let opened = unsafe {
            libc::openpty(
                &raw mut person,
                &raw mut line,
                ptr::null_mut(),
                ptr::null(),
                &raw const size,
            )
        };
        assert_eq!(opened, 0, "{}", io::Error::last_os_error());
        // SAFETY: just opened, and nobody else's.
        let person = unsafe { File::from_raw_fd(person) };
        // SAFETY: the same.
        let line = unsafe { File::from_raw_fd(line) };
        let before = modes(&line);
        let mut command = Command::new(env!("CARGO_BIN_EXE_tracemalloc"));
        command.args(["live", "--interval", "0.01"]).arg(file);
        command.env("TERM", kind);
        let end = || Stdio::from(line.try_clone().unwrap());
        command.stdin(end()).stdout(end());
        command.stderr(stderr.unwrap_or_else(end));
        // SAFETY: two system calls.
        unsafe { command.pre_exec(take_terminal) };
        let child = command.spawn().unwrap();
        let written = Arc::new(Mutex::new(Vec::new()));
        let mut reader = person.try_clone().unwrap();
        let kept = Arc::clone(&written);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                kept.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Self {
            person,
            line,
            before,
            child,
            written,
        }
    }

    fn written(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    /// Waits until the screen is as wanted.
    fn wait_for(&mut self, what: &str, is_there: impl Fn(&[String]) -> bool) {
        let begin = Instant::now();
        loop {
            let screen = screen(&self.written());
            if is_there(&screen) {
                return;
            }
            let ended = self.child.try_wait().unwrap();
            if begin.elapsed() > LONG || ended.is_some() {
                panic!("no {what}, {ended:?}:\n{}", screen.join("\n").trim_end());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn wait_for_text(&mut self, text: &str) {
        self.wait_for(text, |screen| screen.iter().any(|line| line.contains(text)));
    }

    fn press(&mut self, keys: &str) {
        self.person.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the program has taken in all that was pressed.
    fn wait_until_read(&self) {
        let mut unread: libc::c_int = 1;
        while unread > 0 {
            thread::yield_now();
            // SAFETY: the line is open, and `unread` is writable.
            let status =
                unsafe { libc::ioctl(self.line.as_raw_fd(), libc::FIONREAD, &raw mut unread) };
            assert_eq!(status, 0);
        }
    }

    fn end(&mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begin.elapsed() < LONG, "{}", self.written());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the terminal is as it was before.
    fn assert_given_back(&mut self) {
        assert_eq!(modes(&self.line), self.before);
        let begin = Instant::now();
        loop {
            // The last of it may not have been read yet.
            let written = self.written();
            if let Some((_, after)) = written.rsplit_once(LEAVE)
                && after.contains("\x1b[?25h")
            {
                assert_eq!(written.matches(ENTER).count(), 1);
                assert_eq!(written.matches(LEAVE).count(), 1);
                return;
            }
            assert!(begin.elapsed() < LONG, "{written:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a terminal treats what is typed and written.
fn modes(line: &File) -> Modes {
    // SAFETY: plain numbers, of which zero is one.
    let mut modes: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: a place for what is asked for.
    let result = unsafe { libc::tcgetattr(line.as_raw_fd(), &raw mut modes) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
    [modes.c_iflag, modes.c_oflag, modes.c_cflag, modes.c_lflag]
}

const fn size(width: u16, height: u16) -> libc::winsize {
    libc::winsize {
        ws_row: height,
        ws_col: width,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

/// Makes standard input the terminal of a session of this process, between fork and exec.
fn take_terminal() -> io::Result<()> {
    // SAFETY: takes nothing.
    let session = unsafe { libc::setsid() };
    if session < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: takes a number.
    let taken = unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) };
    if taken < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// What is on a large screen that has read all that: moves, clears and characters one column wide.
fn screen(written: &str) -> Vec<String> {
    let mut cells = vec![vec![' '; 200]; 100];
    let (mut x, mut y) = (0, 0);
    let mut chars = written.chars();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' if chars.as_str().starts_with('[') => {
                chars.next();
                let mut numbers = String::new();
                let end = chars.find(|c| {
                    let is_end = ('@'..='~').contains(c);
                    if !is_end {
                        numbers.push(*c);
                    }
                    is_end
                });
                let mut numbers = numbers.split(';').map(|n| n.parse().unwrap_or(1));
                let mut next = || numbers.next().unwrap_or(1_usize).saturating_sub(1);
                match end {
                    Some('H') => (y, x) = (next(), next()),
                    Some('J') => cells.iter_mut().for_each(|line| line.fill(' ')),
                    _ => {}
                }
            }
            '\r' => x = 0,
            '\n' => y += 1,
            c if !c.is_control() => {
                if let Some(cell) = cells.get_mut(y).and_then(|line| line.get_mut(x)) {
                    *cell = c;
                }
                x += 1;
            }
            _ => {}
        }
    }
    let line = |cells: &Vec<char>| cells.iter().collect::<String>().trim_end().to_owned();
    cells.iter().map(line).collect()
}

#[test]
fn a_screen_shows_each_snapshot_and_gives_the_terminal_back() {
    let folder = Folder::new("shows");
    let path = folder.0.join("a.tmal");
    let mut terminal = Terminal::start("xterm-256color", size(80, 24), None, &path);
    terminal.wait_for_text("waiting for ");
    dump(&path, 20);
    terminal.wait_for_text(&format!("process {} runs", std::process::id()));
    terminal.wait_for_text("src/nowhere.rs:17");
    terminal.wait_for_text("19.5 KiB");
    terminal.wait_for_text("q quit ");
    dump(&path, 21);
    terminal.wait_for_text("+1000 B");
    terminal.press("s");
    terminal.wait_for_text("difference▼");
    terminal.press("\r");
    terminal.wait_for_text("traceback of src/nowhere.rs:17");
    // The down key, as a terminal sends it, does no harm.
    terminal.press("\x1b[B?");
    terminal.wait_for_text("Ctrl-C");
    terminal.press("?");
    let larger = size(100, 30);
    // SAFETY: a size, as is asked for.
    let resized = unsafe {
        libc::ioctl(
            terminal.person.as_raw_fd(),
            libc::TIOCSWINSZ,
            &raw const larger,
        )
    };
    assert_eq!(resized, 0);
    terminal.wait_for("larger screen", |screen| screen[29].starts_with("q quit "));
    terminal.press("q");
    assert!(terminal.end().success());
    terminal.assert_given_back();
}

#[test]
fn a_file_that_was_cut_is_told_of_until_the_next() {
    let folder = Folder::new("cut");
    let path = folder.0.join("a.tmal");
    let mut terminal = Terminal::start("xterm", size(80, 24), None, &path);
    dump(&path, 20);
    terminal.wait_for_text("19.5 KiB");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    terminal.wait_for_text("warning: ends at byte ");
    terminal.wait_for_text("19.5 KiB");
    fs::write(&path, "no snapshot").unwrap();
    terminal.wait_for_text("is not a snapshot");
    // What was seen last is still there.
    terminal.wait_for_text("src/nowhere.rs:17");
    dump(&path, 19);
    terminal.wait_for_text("-1000 B");
    terminal.wait_for("end of trouble", |screen| {
        !screen.iter().any(|line| line.contains("snapshot"))
    });
    terminal.press("\x03");
    assert!(terminal.end().success());
}

#[test]
fn a_signal_ends_it_and_the_terminal_is_given_back() {
    let folder = Folder::new("signal");
    let path = folder.0.join("a.tmal");
    for signal in [libc::SIGTERM, libc::SIGHUP] {
        let mut terminal = Terminal::start("xterm", size(80, 24), None, &path);
        terminal.wait_for_text("waiting for ");
        assert_ne!(modes(&terminal.line), terminal.before);
        // Half of a sequence, whose other half somebody may wait for.
        terminal.press("\x1b[");
        terminal.wait_until_read();
        let child = terminal.child.id().cast_signed();
        // SAFETY: the child is not waited for yet, so the number is its own.
        assert_eq!(unsafe { libc::kill(child, signal) }, 0);
        assert_eq!(terminal.end().signal(), Some(signal));
        terminal.assert_given_back();
    }
}

#[test]
fn a_terminal_that_has_no_screen_gets_lines() {
    let folder = Folder::new("lines");
    let path = folder.0.join("a.tmal");
    dump(&path, 20);
    let mut terminal = Terminal::start("dumb", size(80, 24), Some(Stdio::null()), &path);
    terminal.wait_for_text("src/nowhere.rs:17: size=19.5 KiB");
    assert!(!terminal.written().contains('\x1b'));
    // Of one without a size nobody knows where a line ends.
    let mut terminal = Terminal::start("xterm", size(0, 0), Some(Stdio::null()), &path);
    terminal.wait_for_text("src/nowhere.rs:17: size=19.5 KiB");
    assert!(!terminal.written().contains(ENTER));
}
