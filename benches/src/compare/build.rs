//! One program a contender, with and without LTO, below `target/compare`.
//!
//! All of a package are built into one folder, one after the other, so that what they
//! share is compiled once; each finished program is then copied to `bin/`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::contenders::{Contender, Source};
use super::machine;

/// What to start, and what comes before the row's name.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) arguments: Vec<PathBuf>,
}

/// A contender that can run.
#[derive(Clone, Debug)]
pub(super) struct Built {
    pub(super) contender: &'static Contender,
    pub(super) lto: bool,
    pub(super) version: String,
    pub(super) program: Program,
}

/// Builds a contender; the inner error says in a line why that is not possible.
///
/// # Errors
/// If cargo cannot be started, or a file cannot be copied.
pub(super) fn build(
    root: &Path,
    contender: &'static Contender,
    lto: bool,
) -> Result<Result<Built, String>, String> {
    let package = match contender.source {
        Source::Programs => "programs",
        Source::Collectors => "collectors",
        Source::Python => return Ok(python(root, contender)),
    };
    let manifest = root.join("benches").join(package).join("Cargo.toml");
    let compare = root.join("target").join("compare");
    let target = compare.join(package);
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--quiet", "--bin", package]);
    cargo.arg("--manifest-path").arg(&manifest);
    cargo.arg("--target-dir").arg(&target);
    if let Some(feature) = contender.feature {
        cargo.args(["--features", feature]);
    }
    let lto_value = if lto { "thin" } else { "off" };
    cargo.args(["--config", &format!("profile.release.lto='{lto_value}'")]);
    let output = cargo.output().map_err(|error| format!("cargo: {error}"))?;
    if !output.status.success() {
        return Ok(Err(first_error(&String::from_utf8_lossy(&output.stderr))));
    }

    let kept = compare.join("bin");
    let name = format!("{}{}", contender.name, if lto { "" } else { "-no-lto" });
    let path = kept.join(name);
    let copied = fs::create_dir_all(&kept)
        .and_then(|()| fs::copy(target.join("release").join(package), &path));
    copied.map_err(|error| format!("{}: {error}", path.display()))?;
    let lock = manifest.with_file_name("Cargo.lock");
    Ok(Ok(Built {
        contender,
        lto,
        version: version(contender, &lock),
        program: Program {
            path,
            arguments: Vec::new(),
        },
    }))
}

fn python(root: &Path, contender: &'static Contender) -> Result<Built, String> {
    let asked = Command::new("python3").arg("--version").output();
    let output = asked.map_err(|error| format!("python3: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = said
        .trim()
        .strip_prefix("Python ")
        .unwrap_or(&said)
        .to_owned();
    let script = root.join("benches/collectors/python/graphs.py");
    Ok(Built {
        contender,
        lto: true,
        version,
        program: Program {
            path: "python3".into(),
            arguments: vec![script],
        },
    })
}

/// What the contender's crate is in the lock file.
fn version(contender: &Contender, lock: &Path) -> String {
    let Some(package) = contender.package else {
        return match contender.feature.is_none() && contender.source == Source::Programs {
            true => machine::system_allocator(),
            false => format!("Rust {}", machine::rust_version()),
        };
    };
    let lock = fs::read_to_string(lock).unwrap_or_default();
    let version = locked_version(&lock, package).unwrap_or("of unknown version");
    format!("{version}{}", contender.note)
}

fn locked_version<'l>(lock: &'l str, package: &str) -> Option<&'l str> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name);
    let version = lines.nth(1)?.strip_prefix("version = \"")?;
    version.strip_suffix('"')
}

/// The line of a compiler's output that says most.
fn first_error(text: &str) -> String {
    let line = text.lines().find(|line| line.starts_with("error"));
    let line = line
        .or_else(|| text.lines().last())
        .unwrap_or("no reason given");
    format!("does not build: {}", line.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_a_lock_file() {
        let lock = "[[package]]\nname = \"gc-arena\"\nversion = \"0.7.0\"\n\n\
                    [[package]]\nname = \"gc\"\nversion = \"0.5.1\"\n";
        assert_eq!(locked_version(lock, "gc"), Some("0.5.1"));
        assert_eq!(locked_version(lock, "boa_gc"), None);
    }

    #[test]
    fn a_failed_build_is_one_line() {
        let text = "warning: x\nerror[E0599]: no method `dangling`\n --> a\nerror: aborting";
        assert_eq!(
            first_error(text),
            "does not build: error[E0599]: no method `dangling`"
        );
    }
}
