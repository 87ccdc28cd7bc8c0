//! The library as a user gets it, a compiler, and programs to link and run.

#![allow(
    dead_code,
    reason = "every test binary includes the whole module and uses a part of it"
)]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Where a program gets its malloc from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malloc {
    /// The C library: what is asked of ours must hold there too.
    System,
    /// `libpymalloc.a`, built with debug assertions.
    DebugArchive,
    /// `libpymalloc.a`, as released.
    Archive,
    /// `libpymalloc.so`, as released, by `LD_PRELOAD`.
    Preloaded,
}

/// The two builds of the library.
struct Built {
    debug: PathBuf,
    release: PathBuf,
}

/// Builds the library: `cargo test` does not, because no test is linked to it.
fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .parent()
            .expect("the folder for temporary files lies in the target folder");
        for profile in ["dev", "release"] {
            let mut cargo = Command::new(env!("CARGO"));
            cargo
                .args(["build", "--quiet", "--package", "pymalloc-capi"])
                .args(["--profile", profile, "--target-dir"])
                .arg(target)
                .current_dir(env!("CARGO_MANIFEST_DIR"));
            succeed(&mut cargo, "cargo builds the library");
        }
        Built {
            debug: target.join("debug"),
            release: target.join("release"),
        }
    })
}

/// The shared library, as released.
pub(crate) fn shared_library() -> PathBuf {
    built().release.join("libpymalloc.so")
}

/// The archive, as released.
pub(crate) fn archive() -> PathBuf {
    built().release.join("libpymalloc.a")
}

/// A file of the suite.
fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/c")
        .join(name)
}

/// The compiler for a file, which warns of everything and guesses nothing of malloc.
fn compiler(file: &str) -> Command {
    let (variable, default) = if file.ends_with(".cpp") {
        ("CXX", "c++")
    } else {
        ("CC", "cc")
    };
    let name = std::env::var(variable).unwrap_or_else(|_| default.to_owned());
    let mut command = Command::new(&name);
    assert!(
        Command::new(&name).arg("--version").output().is_ok(),
        "these tests need a C and a C++ compiler, and there is no `{name}`: install gcc and \
         g++, or name others in CC and CXX"
    );
    if file.ends_with(".cpp") {
        command.arg("-std=c++17");
    }
    command
        .args(["-g", "-O1", "-fno-builtin", "-Wall", "-Wextra", "-Werror"])
        .arg("-Wno-deprecated-declarations")
        .arg("-I")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("include"));
    command
}

/// Where a test keeps what it has built.
fn output(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("capi");
    std::fs::create_dir_all(&folder).expect("the target folder can be written to");
    folder.join(name)
}

/// Compiles a file to a shared library that `dlopen` takes.
pub(crate) fn module(file: &str) -> PathBuf {
    let module = output(&format!("{file}.so"));
    let mut compiler = compiler(file);
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&module);
    succeed(compiler.arg(source(file)), file);
    module
}

/// A program of the suite, linked, and how to run it.
#[derive(Clone)]
pub(crate) struct Program {
    path: PathBuf,
    malloc: Malloc,
    arguments: Vec<OsString>,
    variables: Vec<(String, String)>,
}

impl Program {
    /// Compiles and links a file.
    pub(crate) fn of(file: &str, malloc: Malloc) -> Self {
        Self::linked(file, malloc, &[])
    }

    /// The same, with libraries of its own.
    pub(crate) fn linked(file: &str, malloc: Malloc, libraries: &[PathBuf]) -> Self {
        // Tests run side by side: each has a file of its own.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Relaxed);
        let path = output(&format!("{file}.{malloc:?}.{number}"));
        let mut compiler = compiler(file);
        compiler
            .args(["-rdynamic", "-o"])
            .arg(&path)
            .arg(source(file))
            .args(libraries);
        match malloc {
            Malloc::System | Malloc::Preloaded => {}
            Malloc::DebugArchive => drop(compiler.arg(built().debug.join("libpymalloc.a"))),
            Malloc::Archive => drop(compiler.arg(archive())),
        }
        succeed(compiler.args(["-lpthread", "-ldl", "-lm"]), file);
        Self {
            path,
            malloc,
            arguments: Vec::new(),
            variables: Vec::new(),
        }
    }

    /// Adds an argument.
    pub(crate) fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Sets a variable of its environment.
    pub(crate) fn env(mut self, key: &str, value: &str) -> Self {
        self.variables.push((key.to_owned(), value.to_owned()));
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.env_remove("LD_PRELOAD");
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PYMALLOC") {
                command.env_remove(name);
            }
        }
        command
            .args(&self.arguments)
            .envs(self.variables.iter().cloned());
        if self.malloc == Malloc::Preloaded {
            command.env("LD_PRELOAD", shared_library());
        }
        let is_ours = self.malloc != Malloc::System;
        command.env(
            "EXPECTED_MALLOC",
            if is_ours { "pymalloc" } else { "system" },
        );
        command
    }

    /// Runs it.
    pub(crate) fn run(&self) -> Output {
        self.command().output().expect("the program starts")
    }

    /// Runs it; it must say that all is well.
    #[track_caller]
    pub(crate) fn succeeds(&self) -> Output {
        let name = self.path.display().to_string();
        let output = succeed(&mut self.command(), &name);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.ends_with("ok\n"), "{name} said {said:?}");
        output
    }
}

/// Runs a command, which must succeed.
#[track_caller]
pub(crate) fn succeed(command: &mut Command, what: &str) -> Output {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => panic!("{what}: {command:?} does not start: {error}"),
    };
    assert!(
        output.status.success(),
        "{what}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
