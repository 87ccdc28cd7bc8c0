//! A test's own binary, run again as a child that runs that test alone.

use std::process::{Command, ExitStatus, Output};

/// Tells the child which test it is to play, and how.
const ROLE: &str = "PYTHON_MEMORY_TEST_ROLE";

/// The role that this process plays for the named test, if it is its child.
pub(crate) fn in_child(test: &str) -> Option<String> {
    let role = std::env::var(ROLE).ok()?;
    let (for_test, role) = role.split_once('/')?;
    (for_test == test).then(|| role.to_owned())
}

/// A child process in the making.
#[derive(Debug)]
pub(crate) struct Child {
    test: String,
    command: Command,
}

impl Child {
    /// This binary again, running `test` alone, in a role. It gets no variables that an
    /// allocator looks at.
    pub(crate) fn of(test: &str, role: &str) -> Self {
        let this = std::env::current_exe().expect("a test knows its path");
        let mut command = Command::new(this);
        command
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(ROLE, format!("{test}/{role}"))
            .env_remove("LD_PRELOAD");
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PYMALLOC") {
                command.env_remove(name);
            }
        }
        Self {
            test: test.to_owned(),
            command,
        }
    }

    /// Sets a variable of the child's environment.
    pub(crate) fn env(mut self, key: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Runs the child and returns how it ended and what it said.
    pub(crate) fn output(mut self) -> Output {
        self.command.output().expect("the child starts")
    }

    /// Runs the child and returns how it ended; what it says is dropped.
    pub(crate) fn status(self) -> ExitStatus {
        self.output().status
    }

    /// Runs the child, which must succeed, and returns its stderr.
    #[track_caller]
    pub(crate) fn stderr(mut self) -> String {
        let Output {
            status,
            stdout,
            stderr,
        } = self.command.output().expect("the child starts");
        let stdout = String::from_utf8_lossy(&stdout);
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        assert!(
            status.success() && stdout.contains("1 passed"),
            "the child of {} ended with {status}\n{stdout}\n{stderr}",
            self.test
        );
        stderr
    }
}
