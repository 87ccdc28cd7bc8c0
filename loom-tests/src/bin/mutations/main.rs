//! Shows that the models can fail: breaks pymalloc, or cyclegc, in one place at a time, an
//! ordering weakened or a step left out, and expects a model to notice.
//!
//! `cargo run -p loom-tests --bin mutations` copies the packages into the target folder, so
//! that the checkout stays as it is. It ends with 0 if the models that mutations name pass unbroken
//! and every mutation is caught.
//!
//! ```text
//! mutations                 pymalloc's, and of cyclegc's one a promise
//! mutations pymalloc        those of one crate, all of them
//! mutations cyclegc [TEXT]  those whose names contain the text
//! mutations audit [TEXT..]  every ordering in the workspace (`ORDERINGS.md`), or those whose
//!                           file or function contains a text; needs a nightly toolchain
//! ```

mod audit;
mod cyclegc;
mod sites;
mod table;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::{fs, io, thread};

/// What is broken, and what must notice.
struct Subject {
    /// The folder with the source.
    source: &'static str,
    /// The package with the models, and its test.
    package: &'static str,
    test: &'static str,
    mutations: &'static [Mutation],
}

const PYMALLOC: Subject = Subject {
    source: "pymalloc/src",
    package: "loom-tests",
    test: "models",
    mutations: MUTATIONS,
};

const CYCLEGC: Subject = Subject {
    source: "cyclegc/src/sync",
    package: "cyclegc-loom",
    test: "sync",
    mutations: cyclegc::MUTATIONS,
};

/// One way to break a crate.
struct Mutation {
    /// What is broken.
    name: &'static str,
    /// The file, below the subject's source.
    file: &'static str,
    /// A text that the file has once, and what takes its place.
    from: &'static str,
    to: &'static str,
    /// The models that must fail: those whose names contain this.
    model: &'static str,
}

const fn mutation(
    name: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
    model: &'static str,
) -> Mutation {
    Mutation {
        name,
        file,
        from,
        to,
        model,
    }
}

const MUTATIONS: &[Mutation] = &[
    mutation(
        "a push does not publish its blocks",
        "remote_free.rs",
        "compare_exchange(seen, word, AcqRel, Relaxed)",
        "compare_exchange(seen, word, Acquire, Relaxed)",
        "remote_free_against_owner_drain",
    ),
    mutation(
        "the push that holds a full pool does not receive it",
        "remote_free.rs",
        "compare_exchange(seen, word, AcqRel, Relaxed)",
        "compare_exchange(seen, word, Release, Relaxed)",
        "first_remote_free_of_a_full_pool",
    ),
    mutation(
        "the owner does not receive what was pushed",
        "remote_free.rs",
        "self.0.swap(OWNED, Acquire)",
        "self.0.swap(OWNED, Relaxed)",
        "remote_free_against_owner_drain",
    ),
    mutation(
        "a full pool is not published",
        "remote_free.rs",
        ".compare_exchange(OWNED, FULL, Release, Relaxed)",
        ".compare_exchange(OWNED, FULL, Relaxed, Relaxed)",
        "first_remote_free_of_a_full_pool",
    ),
    mutation(
        "the commons do not receive what was pushed",
        "remote_free.rs",
        "self.0.swap(COMMON, Acquire)",
        "self.0.swap(COMMON, Relaxed)",
        "thread_exit_against_remote_free",
    ),
    mutation(
        "a pool is posted unpublished",
        "mailbox.rs",
        ".compare_exchange(seen, address, Release, Acquire)",
        ".compare_exchange(seen, address, Relaxed, Acquire)",
        "first_remote_free_of_a_full_pool",
    ),
    mutation(
        "the mail is taken without being received",
        "mailbox.rs",
        "self.arrived.swap(null_mut(), Acquire)",
        "self.arrived.swap(null_mut(), Relaxed)",
        "first_remote_free_of_a_full_pool",
    ),
    mutation(
        "a closing mailbox does not publish the owner's pools",
        "mailbox.rs",
        "self.arrived.swap(closed(), AcqRel)",
        "self.arrived.swap(closed(), Acquire)",
        "exit",
    ),
    mutation(
        "a closing mailbox does not receive the last mail",
        "mailbox.rs",
        "self.arrived.swap(closed(), AcqRel)",
        "self.arrived.swap(closed(), Release)",
        "exit",
    ),
    mutation(
        "a late post does not receive the exited owner's pools",
        "mailbox.rs",
        "let mut seen = self.arrived.load(Acquire);",
        "let mut seen = self.arrived.load(Relaxed);",
        "exit",
    ),
    mutation(
        "a post that meets the closing does not receive the owner's pools",
        "mailbox.rs",
        ".compare_exchange(seen, address, Release, Acquire)",
        ".compare_exchange(seen, address, Release, Relaxed)",
        "exit",
    ),
    mutation(
        "a pool is called full although a block came back",
        "heap.rs",
        "if !pool.pool().remote.try_full() {\n        front.pools().push(pool);\n    }",
        "let _ = pool.pool().remote.try_full();",
        "remote_free_against_owner_drain",
    ),
    mutation(
        "the owner lists a pool that is on its way to the mailbox",
        "heap.rs",
        "if !pool.pool().remote.reopen() {",
        "if !pool.pool().remote.reopen() && false {",
        "owners_free_of_a_full_pool_against_a_remote_one",
    ),
    mutation(
        "whose a pool is, is not looked at",
        "heap.rs",
        "if pool.is_owned_by(self.id.get()) {",
        "if pool.is_owned_by(self.id.get()) || self.id.get() != 0 {",
        "mailbox_of_an_exited_thread_is_used_again",
    ),
    mutation(
        "a pool that comes too late for the mailbox is dropped",
        "heap.rs",
        "if home.post(pool).is_err() {",
        "if home.post(pool).is_err() && false {",
        "exit",
    ),
    mutation(
        "an exiting thread leaves its mailbox open",
        "heap.rs",
        "member.mailbox().close()",
        "member.mailbox().take()",
        "thread_exit_against_remote_free",
    ),
    mutation(
        "what came back to an exiting thread's pool is dropped",
        "commons.rs",
        "pool.put_taken(taken);\n        }\n        settle",
        "let _ = taken;\n        }\n        settle",
        "thread_exit_against_remote_free",
    ),
    mutation(
        "a free does not look again whether the pool is still common",
        "commons.rs",
        "if !pool.remote.is_common() {",
        "if !pool.remote.is_common() && false {",
        "adoption_by_two_threads",
    ),
    mutation(
        "an adopted pool stays common",
        "commons.rs",
        "pool.pool().remote.make_owned();",
        "",
        "adoption_by_two_threads",
    ),
    mutation(
        "an empty pool stays on its shelf",
        "commons.rs",
        "if pool.is_listed() {\n            shelf.0.remove(pool);\n        }\n",
        "",
        "arena_release_against_last_free",
    ),
    mutation(
        "an arena out to be given back stays on its list",
        "arena_list.rs",
        "self.unplace(arena);\n        let dirty_bytes",
        "let dirty_bytes",
        "arena_release_against_last_free",
    ),
    mutation(
        "an arena comes back to a list it is on",
        "arena_list.rs",
        "self.unplace(arena);\n        let dirty_before",
        "let dirty_before",
        "both_pools_of_an_arena_released_at_once",
    ),
    mutation(
        "a page that went back in parts counts as gone",
        "arena_list.rs",
        "wash.arena.left_of(wash.bits, os::page_size())",
        "0",
        "both_halves_of_a_page_given_back_at_once",
    ),
    mutation(
        "a borrowed pool keeps its former owner's name",
        "commons.rs",
        "pool.set_owner(NOBODY, core::ptr::null());\n                // A new",
        "// A new",
        "released_pool_is_borrowed",
    ),
    mutation(
        "a borrowed pool is not made common",
        "commons.rs",
        "let waiting = pool.pool().remote.make_common(pool.pool().base());\n                debug_assert!(waiting.is_none());",
        "",
        "released_pool_is_borrowed",
    ),
    mutation(
        "an adopted pool does not get its owner's name and mailbox",
        "commons.rs",
        "pool.set_owner(id, home);",
        "let _ = (id, home);",
        "adopted_pool_becomes_full",
    ),
    mutation(
        "a post that has to try again keeps its first link",
        "mailbox.rs",
        "            pool.set_next(seen);\n",
        "            if pool.next().is_null() {\n                pool.set_next(seen);\n            }\n",
        "heir_fills_pools_while_one_is_on_its_way",
    ),
    mutation(
        "a spilled list is dropped",
        "front.rs",
        "let out = self.take_older();",
        "let out: Option<Taken> = self.take_older().filter(|_| false);",
        "spill_against_remote_free",
    ),
    mutation(
        "the older list is taken without its length",
        "front.rs",
        "self.rest.older_len.set(0);\n        Some",
        "Some",
        "spill_against_remote_free",
    ),
    mutation(
        "a thread keeps its name after its exit",
        "heap.rs",
        "self.id.set(0);\n        self.member.set(None);",
        "self.member.set(None);",
        "thread_is_a_guest_after_its_exit",
    ),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let subjects: Vec<(Subject, Vec<&Mutation>)> = match arguments[..] {
        [] => vec![
            (PYMALLOC, MUTATIONS.iter().collect()),
            (CYCLEGC, cyclegc::promises().collect()),
        ],
        ["pymalloc"] => vec![(PYMALLOC, MUTATIONS.iter().collect())],
        ["cyclegc"] => vec![(CYCLEGC, CYCLEGC.mutations.iter().collect())],
        ["cyclegc", text] => {
            let named = |mutation: &&Mutation| mutation.name.contains(text);
            vec![(CYCLEGC, CYCLEGC.mutations.iter().filter(named).collect())]
        }
        ["audit", ref texts @ ..] => return audit(texts),
        _ => {
            eprintln!(
                "mutations: expected nothing, `pymalloc`, or `cyclegc` or `audit` and a text"
            );
            return ExitCode::FAILURE;
        }
    };
    let work = subjects.iter().flat_map(|(subject, mutations)| {
        let subject: &Subject = subject;
        mutations.iter().map(move |mutation| (subject, *mutation))
    });
    let work: Vec<(&Subject, &Mutation)> = work.collect();
    if work.is_empty() {
        eprintln!("mutations: no name has that text; `mutations cyclegc` prints all names");
        return ExitCode::FAILURE;
    }
    let survivors = match run_all(&work) {
        Ok(survivors) => survivors,
        Err(error) => {
            eprintln!("mutations: {error}");
            return ExitCode::FAILURE;
        }
    };
    if survivors > 0 {
        println!("{survivors} mutations survived");
        return ExitCode::FAILURE;
    }
    println!("all mutations were caught");
    ExitCode::SUCCESS
}

fn audit(texts: &[&str]) -> ExitCode {
    match audit::run(&root(), texts) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mutations: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Most lanes: each takes a copy of the sources and builds the models' dependencies.
const MOST_LANES: usize = 4;

/// Runs mutations, some at the same time; how many were not caught.
fn run_all(mutations: &[(&Subject, &Mutation)]) -> io::Result<usize> {
    let lane_count = thread::available_parallelism().map_or(1, |count| count.get().min(MOST_LANES));
    let (next, survivors) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let lane = |number: usize| -> io::Result<()> {
        let work = prepare_lane(number, mutations)?;
        loop {
            // ORDERING: Relaxed, here and below: each number is given once; the scope's end
            // orders the sum.
            let index = next.fetch_add(1, Relaxed);
            let Some((subject, mutation)) = mutations.get(index) else {
                return Ok(());
            };
            let caught = is_caught(subject, mutation, &work)?;
            println!(
                "{:2}/{} {:8} {} [{}]",
                index + 1,
                mutations.len(),
                if caught { "caught" } else { "SURVIVED" },
                mutation.name,
                mutation.model
            );
            survivors.fetch_add(usize::from(!caught), Relaxed);
        }
    };
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..lane_count)
            .map(|number| scope.spawn(move || lane(number)))
            .collect();
        let join = |lane: thread::ScopedJoinHandle<'_, _>| {
            lane.join()
                .unwrap_or_else(|_| Err(io::Error::other("a lane panicked")))
        };
        lanes.into_iter().try_for_each(join)
    })?;
    Ok(survivors.load(Relaxed))
}

/// A copy of the sources, on which the models pass that the mutations name; where it is.
fn prepare_lane(number: usize, mutations: &[(&Subject, &Mutation)]) -> io::Result<PathBuf> {
    let root = root();
    let work = root.join(format!("target/mutations/{number}"));
    copy_packages(&root, &work)?;
    for subject in [PYMALLOC, CYCLEGC] {
        let models: Vec<&str> = mutations
            .iter()
            .filter(|(of, _)| of.package == subject.package)
            .map(|(_, mutation)| mutation.model)
            .collect();
        if models.is_empty() {
            continue;
        }
        // One lane is enough to see the models pass.
        if !build(&subject, &work)? || number == 0 && !models_pass(&subject, &work, &models)? {
            return Err(io::Error::other("the models fail on the code as it is"));
        }
    }
    Ok(work)
}

/// Whether a model fails on the mutated source, which is as it was afterwards.
fn is_caught(subject: &Subject, mutation: &Mutation, work: &Path) -> io::Result<bool> {
    let path = work.join(subject.source).join(mutation.file);
    let source = fs::read_to_string(&path)?;
    if source.matches(mutation.from).count() != 1 {
        let text = format!("{}: not found once: {}", mutation.file, mutation.from);
        return Err(io::Error::other(text));
    }
    fs::write(&path, source.replace(mutation.from, mutation.to))?;
    if !build(subject, work)? {
        let text = format!("does not compile: {}", mutation.name);
        return Err(io::Error::other(text));
    }
    let caught = !models_pass(subject, work, &[mutation.model])?;
    fs::write(&path, source)?;
    Ok(caught)
}

/// Copies the packages, in a workspace of their own.
fn copy_packages(root: &Path, work: &Path) -> io::Result<()> {
    for package in ["pymalloc", "cyclegc", "tracemalloc", "loom-tests"] {
        let copy = work.join(package);
        if copy.exists() {
            fs::remove_dir_all(&copy)?;
        }
        copy_folder(&root.join(package), &copy)?;
    }
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let members = r#"members = ["pymalloc", "cyclegc", "cyclegc/derive", "tracemalloc", "loom-tests", "loom-tests/cyclegc"]"#;
    let manifest: String = manifest
        .lines()
        .map(|line| {
            if line.starts_with("members") {
                format!("{members}\n")
            } else {
                format!("{line}\n")
            }
        })
        .collect();
    fs::write(work.join("Cargo.toml"), manifest)?;
    for file in ["Cargo.lock", "rust-toolchain.toml"] {
        fs::copy(root.join(file), work.join(file))?;
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target: PathBuf = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// The arguments of a test run, offline: what it needs is there, because this program
/// needed it.
fn cargo_test(subject: &Subject, work: &Path) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["test", "--quiet", "--offline", "-p", subject.package])
        .args(["--test", subject.test])
        .current_dir(work)
        .env("CARGO_TARGET_DIR", work.join("target"))
        // It is built again and again.
        .env("CARGO_INCREMENTAL", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn build(subject: &Subject, work: &Path) -> io::Result<bool> {
    let mut command = cargo_test(subject, work);
    Ok(command.arg("--no-run").status()?.success())
}

/// Whether the models pass whose names contain one of these texts.
fn models_pass(subject: &Subject, work: &Path, names: &[&str]) -> io::Result<bool> {
    let mut command = cargo_test(subject, work);
    Ok(command.arg("--").args(names).status()?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutation_finds_its_text_once() {
        for subject in [PYMALLOC, CYCLEGC] {
            for mutation in subject.mutations {
                let file = root().join(subject.source).join(mutation.file);
                let source = fs::read_to_string(&file).unwrap();
                let count = source.matches(mutation.from).count();
                assert_eq!(count, 1, "{} in {}", mutation.name, file.display());
            }
        }
    }
}
