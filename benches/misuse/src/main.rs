//! The misuse suite of pymalloc, on allocators that others wrote: a table of what each
//! notices.
//!
//! `cargo run --release -- NAME=LIBRARY...` runs every case on glibc's malloc, on mimalloc
//! with its feature `secure`, and on each library, which is preloaded. A case that is not
//! over after a minute is said to hang.

#[path = "../../../pymalloc/tests/misuse/cases.rs"]
mod cases;

use std::alloc::System;
use std::env;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio, exit};
use std::time::{Duration, Instant};

use cases::{CASES, Subject, TAKEN_OVER};
use mimalloc::MiMalloc;

static SYSTEM: System = System;
static MIMALLOC: MiMalloc = MiMalloc;

/// An allocator: its column, and the library to preload.
struct Rival {
    name: String,
    library: Option<String>,
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [flag, subject, case] = &arguments[..]
        && flag == "--case"
    {
        play(subject, case.parse().expect("the number of a case"));
    }
    let mut rivals = vec![
        Rival {
            name: "glibc".to_owned(),
            library: None,
        },
        Rival {
            name: "mimalloc secure".to_owned(),
            library: None,
        },
    ];
    for argument in arguments {
        let Some((name, library)) = argument.split_once('=') else {
            eprintln!("{argument}: say NAME=LIBRARY");
            exit(2);
        };
        let library = Some(library.to_owned());
        rivals.push(Rival {
            name: name.to_owned(),
            library,
        });
    }
    let names: Vec<&str> = rivals.iter().map(|rival| &*rival.name).collect();
    println!("| | {} |", names.join(" | "));
    for (case, (name, _)) in CASES.iter().enumerate() {
        let verdicts: Vec<String> = rivals.iter().map(|rival| verdict(rival, case)).collect();
        println!("| {name} | {} |", verdicts.join(" | "));
    }
}

/// Plays one case, in the process that is made for it.
fn play(subject: &str, case: usize) -> ! {
    let subject: Subject = if subject == "mimalloc secure" {
        &MIMALLOC
    } else {
        &SYSTEM
    };
    (CASES[case].1)(subject);
    exit(0)
}

fn verdict(rival: &Rival, case: usize) -> String {
    let this = env::current_exe().expect("a program knows its path");
    let mut command = Command::new(this);
    command.args(["--case", &rival.name, &case.to_string()]);
    // mimalloc says nothing unless it is asked to.
    command.env("MIMALLOC_SHOW_ERRORS", "1");
    if let Some(library) = &rival.library {
        command.env("LD_PRELOAD", library);
    }
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the child starts");
    let since = Instant::now();
    while child.try_wait().expect("it is ours").is_none() {
        if since.elapsed() > Duration::from_secs(60) {
            child.kill().expect("it is ours");
            return "hangs".to_owned();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = child.wait_with_output().expect("it has ended");
    let said = String::from_utf8_lossy(&output.stderr);
    // mimalloc says what it found, and goes on.
    let is_said = said.lines().any(|line| line.contains("mimalloc: error"));
    match output.status.signal() {
        None if said.contains(TAKEN_OVER) => "taken over".to_owned(),
        None if is_said => "said".to_owned(),
        None if output.status.success() => "–".to_owned(),
        Some(libc::SIGABRT | libc::SIGTRAP | libc::SIGILL) => "abort".to_owned(),
        Some(libc::SIGSEGV | libc::SIGBUS) => "fault".to_owned(),
        _ => format!("{}", output.status),
    }
}
