//! What the options say about the script's objects: what grows, and what keeps it alive.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use cyclegc::Gc;
use cyclegc::objgraph::{self, ClassTracker, CollectorLog, DrawOptions, Explorer};

use crate::value::Object;

/// What was asked for on the command line.
#[derive(Default)]
pub(crate) struct Options {
    /// Print at each report which types grew.
    pub(crate) growth: bool,
    /// Say why an object of this class is alive in the end.
    pub(crate) why: Option<String>,
    /// Write the graph to these files.
    pub(crate) save: Vec<PathBuf>,
}

/// Follows a script for its [`Options`].
pub(crate) struct Diagnosis {
    options: Options,
    /// For the page: what grew, and what the collector did.
    growth: ClassTracker,
    collector: Option<CollectorLog>,
}

thread_local! {
    static CURRENT: RefCell<Option<Diagnosis>> = const { RefCell::new(None) };
}

/// Starts to follow the script.
pub(crate) fn start(options: Options) {
    let wants_page = options.save.iter().any(|path| has_extension(path, "html"));
    CURRENT.set(Some(Diagnosis {
        options,
        growth: ClassTracker::new(),
        collector: wants_page.then(CollectorLog::start),
    }));
}

/// The script has come to a report.
pub(crate) fn at_report(label: &str) {
    CURRENT.with_borrow_mut(|current| {
        let Some(this) = current else { return };
        if this.options.growth {
            objgraph::show_growth(6);
        }
        if this.collector.is_some() {
            this.growth.create_snapshot(label);
        }
    });
}

/// The script is over, and its variables are still there.
pub(crate) fn at_end() -> Result<(), String> {
    let Some(this) = CURRENT.take() else {
        return Ok(());
    };
    let object = match &this.options.why {
        Some(class) => Some(instance(class)?),
        None => None,
    };
    if let Some(object) = &object {
        print!("{}", objgraph::why_alive(object));
    }
    for path in &this.options.save {
        this.save(path, object.as_ref())
            .map_err(|error| format!("{}: {error}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

/// An object of a class of the script.
fn instance(class: &str) -> Result<Gc<Object>, String> {
    let mut objects = objgraph::by_type::<Object>().into_iter();
    objects
        .find(|object| &*object.class.name == class)
        .ok_or_else(|| format!("there is no object of class {class}"))
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|its| its == extension)
}

impl Diagnosis {
    /// Writes the graph as the file's name says.
    fn save(&self, path: &Path, object: Option<&Gc<Object>>) -> std::io::Result<()> {
        let snapshot = || match object {
            Some(object) => objgraph::SnapshotOptions::new()
                .asked_with(object)
                .snapshot(),
            None => objgraph::snapshot(),
        };
        if has_extension(path, "heapsnapshot") {
            return snapshot().save_heap_snapshot(path);
        }
        if has_extension(path, "html") {
            let graph = snapshot();
            let mut page = Explorer::new(&graph).title("interp").growth(&self.growth);
            if let Some(log) = &self.collector {
                page = page.collector(log);
            }
            return page.save(path);
        }
        let object = object.ok_or_else(|| std::io::Error::other("a picture needs --why CLASS"))?;
        let graph = snapshot();
        let options = DrawOptions {
            max_depth: 8,
            too_many: 3,
            ..DrawOptions::default()
        };
        let start: Vec<_> = graph.find(object).into_iter().collect();
        graph.draw_backrefs(&start, &options).save(path)
    }
}
