//! Resolves addresses with the debug information of the files they point into.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use addr2line::Loader;
use object::{Object, ReadCache};

use super::runtime::without_version;
use super::{ByAddress, Symbols};
use crate::snapshot::{Frame, Module, RawSnapshot, UNKNOWN};

/// Hears how far a long work is.
pub trait Progress {
    /// `done` of `total` steps are done.
    fn advance(&mut self, done: usize, total: usize);
}

impl Progress for () {
    fn advance(&mut self, _done: usize, _total: usize) {}
}

impl<F: FnMut(usize, usize)> Progress for F {
    fn advance(&mut self, done: usize, total: usize) {
        self(done, total);
    }
}

/// Finds the files of a snapshot's modules, and in them the names of its addresses.
///
/// A file is used only if its build-id is the one that was recorded, so that a program that was
/// built again since never lends its lines to addresses of the old one.
#[derive(Debug, Clone)]
pub struct Resolver {
    debug_dirs: Vec<PathBuf>,
    binary_dirs: Vec<PathBuf>,
}

impl Resolver {
    /// Looks where the modules were, and for debug information in `/usr/lib/debug`.
    #[must_use]
    pub fn new() -> Self {
        Self {
            debug_dirs: vec![PathBuf::from("/usr/lib/debug")],
            binary_dirs: Vec::new(),
        }
    }

    /// Looks in `dir` as well: for files named as the modules are, and for
    /// `.build-id/ab/cdef.debug`.
    #[must_use]
    pub fn search(mut self, dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        self.debug_dirs.push(dir.clone());
        self.binary_dirs.push(dir);
        self
    }

    /// The symbols, and for each module whose names are missing, or less than could be, a line
    /// that says why.
    pub(crate) fn resolve(
        &self,
        raw: &RawSnapshot,
        progress: &mut dyn Progress,
    ) -> (Symbols, Vec<String>) {
        let mut addresses: Vec<usize> = raw.stacks.iter().flatten().copied().collect();
        addresses.sort_unstable();
        addresses.dedup();
        let mut names = Names::default();
        let mut frames = HashMap::with_capacity(addresses.len());
        let mut warnings = Vec::new();
        let total = addresses.len();
        progress.advance(0, total);
        let mut done = 0;
        // One module after the other, so that one's debug information is held at a time.
        for (module, addresses) in by_module(&raw.modules, &addresses) {
            match self.open(module) {
                Ok(file) => {
                    if let Some(warning) = file.warning(module) {
                        warnings.push(warning);
                    }
                    for &address in addresses {
                        // A return address is that of the next instruction, which may be
                        // another line's, or behind the function.
                        let call = address.wrapping_sub(1).wrapping_sub(module.base);
                        if let Some(found) = file.frames(call as u64, &mut names) {
                            frames.insert(address, found);
                        }
                        done += 1;
                        progress.advance(done, total);
                    }
                }
                Err(why) => {
                    warnings.push(why);
                    done += addresses.len();
                    progress.advance(done, total);
                }
            }
        }
        progress.advance(total, total);
        (Symbols::build(raw, &frames), warnings)
    }

    fn open(&self, module: &Module) -> Result<ModuleFile, String> {
        let path = Path::new(&module.path);
        let mut candidates = vec![path.to_owned()];
        if let Some(name) = path.file_name() {
            candidates.extend(self.binary_dirs.iter().map(|dir| dir.join(name)));
        }
        let mut why = format!("{}: not here", module.path);
        let mut binary = None;
        for candidate in candidates.iter().filter(|path| path.is_file()) {
            match is_built_as(candidate, &module.build_id) {
                Ok(true) => {
                    binary =
                        Some(Loader::new(candidate).map_err(|e| format!("{}: {e}", module.path))?);
                    break;
                }
                Ok(false) => {
                    why = format!(
                        "{}: built again since (its build-id is another)",
                        candidate.display()
                    );
                }
                Err(error) => why = format!("{}: {error}", candidate.display()),
            }
        }
        let debug = self
            .debug_files(module)
            .into_iter()
            .filter(|path| path.is_file())
            .find(|path| matches!(is_built_as(path, &module.build_id), Ok(true)))
            .and_then(|path| Loader::new(path).ok());
        if binary.is_none() && debug.is_none() {
            return Err(format!(
                "{why}; give the folder of the file, or of its debug information, with --search"
            ));
        }
        Ok(ModuleFile { binary, debug })
    }

    /// Where debug information apart from the module's file might be.
    fn debug_files(&self, module: &Module) -> Vec<PathBuf> {
        let mut files = Vec::new();
        if let [first, rest @ ..] = &module.build_id[..] {
            let name = format!(".build-id/{first:02x}/{}.debug", hex(rest));
            files.extend(self.debug_dirs.iter().map(|dir| dir.join(&name)));
            // Without a build-id, nothing would tell this file from another version's.
            files.push(PathBuf::from(format!("{}.debug", module.path)));
        }
        files
    }
}

impl Default for Resolver {
    fn default() -> Self {
        Self::new()
    }
}

/// The open files of a module: its own, and one with debug information apart.
struct ModuleFile {
    binary: Option<Loader>,
    debug: Option<Loader>,
}

impl ModuleFile {
    /// The calls at an address of the file, the innermost inlined one first.
    fn frames(&self, address: u64, names: &mut Names) -> Option<Vec<Frame>> {
        let files = || self.debug.iter().chain(&self.binary);
        let with_lines = files()
            .map(|file| frames_in(file, address, names))
            .find(|frames| !frames.is_empty());
        with_lines.or_else(|| {
            let symbol = files().find_map(|file| file.find_symbol(address))?;
            let function = names.function(symbol);
            Some(vec![Frame::new(names.share(UNKNOWN), 0, function)])
        })
    }

    fn warning(&self, module: &Module) -> Option<String> {
        let debug_info = |file: &Loader| {
            file.get_section_range(b".debug_info").is_some()
                || file.get_section_range(b".debug_line").is_some()
        };
        if self.debug.iter().chain(&self.binary).any(debug_info) || is_system_library(&module.path)
        {
            return None;
        }
        Some(format!(
            "{}: no debug information, so functions at most; build with debug = \"line-tables-only\"",
            module.path
        ))
    }
}

/// Of a system's library nobody expects lines.
fn is_system_library(path: &str) -> bool {
    ["/lib/", "/lib64/", "/usr/lib", "linux-vdso"]
        .iter()
        .any(|dir| path.starts_with(dir))
}

fn frames_in(file: &Loader, address: u64, names: &mut Names) -> Vec<Frame> {
    let mut found = Vec::new();
    let Ok(mut frames) = file.find_frames(address) else {
        return found;
    };
    let mut frame = frames.next().ok().flatten();
    while let Some(this) = frame {
        frame = frames.next().ok().flatten();
        let raw = this.function.as_ref().and_then(|f| f.raw_name().ok());
        let location = this.location.as_ref();
        let filename = location.and_then(|l| l.file).unwrap_or(UNKNOWN);
        let lineno = location.and_then(|l| l.line).unwrap_or(0);
        // Line tables have functions without their paths. The symbol table has the path of the
        // one that is not inlined, which comes last; of others the file says most of it.
        let is_full = raw.as_deref().is_some_and(has_path);
        let symbol = if frame.is_none() && !is_full {
            file.find_symbol(address)
        } else {
            None
        };
        let function = match (symbol, raw) {
            (Some(symbol), _) => names.function(symbol),
            (None, Some(name)) if is_full => names.function(&name),
            (None, Some(name)) => names.share(&qualified(&name, filename)),
            (None, None) => names.share(""),
        };
        found.push(Frame::new(names.share(filename), lineno, function));
    }
    found
}

/// Whether a name is mangled, or has a path; what is in angle brackets has paths of its own.
fn has_path(name: &str) -> bool {
    let is_mangled = name.starts_with("_R") || name.starts_with("_ZN");
    is_mangled || name.starts_with('<') || without_generics(name).contains("::")
}

fn without_generics(name: &str) -> &str {
    name.split('<').next().unwrap_or(name)
}

/// A name with the path that its file has in a crate: `raw_vec::grow` in `alloc` for
/// `/library/alloc/src/raw_vec/mod.rs`. What is not Rust's stays.
fn qualified(name: &str, filename: &str) -> String {
    let Some(path) = filename.strip_suffix(".rs") else {
        return name.to_owned();
    };
    let mut parts: Vec<String> = match path.rsplit_once("/src/") {
        Some((package, modules)) => {
            let package = package.rsplit('/').next().unwrap_or(package);
            let package = without_version(package).replace('-', "_");
            std::iter::once(package)
                .chain(modules.split('/').map(str::to_owned))
                .collect()
        }
        // An example's file, or a test's.
        None => {
            let mut last: Vec<&str> = path.rsplit('/').take(2).collect();
            last.reverse();
            let is_module = last.last() == Some(&"mod");
            let from = if is_module { 0 } else { last.len() - 1 };
            last[from..].iter().map(|part| (*part).to_owned()).collect()
        }
    };
    let is_silent = |part: &String| ["mod", "lib", "main"].contains(&part.as_str());
    parts.pop_if(|last| is_silent(last));
    parts.push(without_generics(name).to_owned());
    parts.join("::")
}

/// Names that occur often, kept once each.
#[derive(Default)]
struct Names {
    shared: HashMap<String, Arc<str>>,
    demangled: HashMap<String, Arc<str>>,
}

impl Names {
    fn share(&mut self, name: &str) -> Arc<str> {
        if let Some(shared) = self.shared.get(name) {
            return Arc::clone(shared);
        }
        let shared: Arc<str> = name.into();
        self.shared.insert(name.to_owned(), Arc::clone(&shared));
        shared
    }

    /// The function of a symbol, without its hash.
    fn function(&mut self, symbol: &str) -> Arc<str> {
        if let Some(function) = self.demangled.get(symbol) {
            return Arc::clone(function);
        }
        let function = self.share(&format!("{:#}", rustc_demangle::demangle(symbol)));
        self.demangled
            .insert(symbol.to_owned(), Arc::clone(&function));
        function
    }
}

/// The sorted addresses, cut where the module changes; those in no module are left out.
fn by_module<'a>(modules: &'a [Module], addresses: &'a [usize]) -> Vec<(&'a Module, &'a [usize])> {
    let modules = ByAddress::new(modules);
    let mut parts = Vec::new();
    let mut rest = addresses;
    while let Some(&first) = rest.first() {
        let module = modules.module_of(first);
        let end = module.map_or(1, |module| {
            rest.partition_point(|address| module.range.contains(address))
        });
        let (part, behind) = rest.split_at(end);
        if let Some(module) = module {
            parts.push((module, part));
        }
        rest = behind;
    }
    parts
}

/// Whether a file has this build-id; one without an id stands for any file of its name.
fn is_built_as(path: &Path, build_id: &[u8]) -> Result<bool, Box<dyn std::error::Error>> {
    if build_id.is_empty() {
        return Ok(true);
    }
    let cache = ReadCache::new(File::open(path)?);
    let file = object::File::parse(&cache)?;
    Ok(file.build_id()? == Some(build_id))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(path: &str, range: std::ops::Range<usize>) -> Module {
        Module {
            path: path.to_owned(),
            build_id: Vec::new(),
            base: range.start,
            range,
        }
    }

    #[test]
    fn addresses_are_cut_where_the_module_changes() {
        let modules = [module("a", 10..20), module("b", 20..30)];
        let parts = by_module(&modules, &[1, 10, 19, 20, 29, 30]);
        let parts: Vec<_> = parts.iter().map(|(m, a)| (&*m.path, a.to_vec())).collect();
        assert_eq!(parts, [("a", vec![10, 19]), ("b", vec![20, 29])]);
    }

    #[test]
    fn a_bare_name_gets_the_path_of_its_file() {
        let expect = [
            (
                "/rustc/1f/library/alloc/src/raw_vec/mod.rs",
                "alloc::raw_vec::grow",
            ),
            (
                "/r/registry/src/index-1/serde-json-1.0.1/src/de.rs",
                "serde_json::de::grow",
            ),
            ("/home/a/pymalloc/src/lib.rs", "pymalloc::grow"),
            (
                "/home/a/app/examples/application/mod.rs",
                "application::grow",
            ),
            ("/home/a/app/tests/symbols.rs", "symbols::grow"),
            ("./malloc/malloc.c", "grow"),
            (UNKNOWN, "grow"),
        ];
        for (file, name) in expect {
            assert_eq!(qualified("grow", file), name);
        }
        assert_eq!(qualified("fold<a::B, c::D>", "/p/src/e.rs"), "p::e::fold");
        assert!(!has_path("fold<a::B, c::D>") && has_path("a::B<c>::fold") && has_path("_RNv"));
    }

    #[test]
    fn a_file_of_another_build_is_not_used() {
        let own = std::env::current_exe().expect("a test has a file");
        let mut module = module(own.to_str().expect("a path of ours"), 0..usize::MAX);
        module.build_id = vec![1, 2, 3];
        let raw = RawSnapshot {
            modules: vec![module],
            stacks: vec![Box::new([0x1000])],
            ..RawSnapshot::default()
        };
        let (symbols, warnings) = Resolver::new().resolve(&raw, &mut ());
        assert!(warnings[0].contains("built again since"), "{warnings:?}");
        let traceback = symbols.traceback(0, true);
        assert_eq!(traceback.len(), 1);
        assert!(traceback[0].function().ends_with("+0x1000"));
    }
}
