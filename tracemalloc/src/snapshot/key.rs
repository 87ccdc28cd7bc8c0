//! By what blocks are added up.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::str::FromStr;
use std::sync::Arc;

use super::Snapshot;
use super::class::class_name;
use super::frame::{Frame, Traceback};
use super::raw::RawTrace;
use super::statistic::Total;
use crate::symbols::crate_of;

/// By what [`Snapshot::statistics`] adds blocks up (CPython's `key_type`).
///
/// The first three are CPython's. Parses from their names: `"lineno"`, `"size-class"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyType {
    /// The file of the most recent frame.
    Filename,
    /// File and line of the most recent frame.
    Lineno,
    /// The whole traceback.
    Traceback,
    /// The function of the most recent frame.
    Function,
    /// The crate of the most recent frame.
    Crate,
    /// The thread that allocated.
    Thread,
    /// The size class of the block.
    SizeClass,
    /// The domain.
    Domain,
}

impl KeyType {
    /// All there are, CPython's first.
    pub const ALL: [Self; 8] = [
        Self::Filename,
        Self::Lineno,
        Self::Traceback,
        Self::Function,
        Self::Crate,
        Self::Thread,
        Self::SizeClass,
        Self::Domain,
    ];

    /// The name that parses to it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Filename => "filename",
            Self::Lineno => "lineno",
            Self::Traceback => "traceback",
            Self::Function => "function",
            Self::Crate => "crate",
            Self::Thread => "thread",
            Self::SizeClass => "size-class",
            Self::Domain => "domain",
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no [`KeyType`]'s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKeyType(String);

impl fmt::Display for UnknownKeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown key_type: '{}'; there are", self.0)?;
        for (i, key) in KeyType::ALL.iter().enumerate() {
            write!(f, "{} {key}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownKeyType {}

impl FromStr for KeyType {
    type Err = UnknownKeyType;

    fn from_str(name: &str) -> Result<Self, UnknownKeyType> {
        Self::ALL
            .into_iter()
            .find(|key| key.name() == name)
            .ok_or_else(|| UnknownKeyType(name.to_owned()))
    }
}

/// The sums of a snapshot, by traceback.
pub(crate) type Totals = HashMap<Traceback, Total>;

/// Adds up the blocks of a snapshot.
///
/// Blocks are added up by stack first, of which there are few, and only then by what the key
/// makes of the stack: so a million blocks cost a million additions, and few comparisons.
pub(crate) fn add_up(snapshot: &Snapshot, key: KeyType, cumulative: bool) -> Totals {
    match key {
        KeyType::Thread => by_block(snapshot, |trace| trace.thread, snapshot.thread_names()),
        KeyType::SizeClass => {
            let classes = snapshot.classes();
            by_block(snapshot, |trace| classes.of(trace.size as u64), class_name)
        }
        KeyType::Domain => by_block(snapshot, |trace| trace.domain, domain_name),
        _ => by_stack(snapshot, groups_of(key, cumulative)),
    }
}

/// The traces that [`add_up`] counts in one group.
pub(crate) fn members(
    snapshot: &Snapshot,
    key: KeyType,
    cumulative: bool,
    group: &Traceback,
) -> Vec<RawTrace> {
    let is_named = |name: String| one(Frame::named(name)) == *group;
    match key {
        KeyType::Thread => {
            let name = snapshot.thread_names();
            select(
                snapshot,
                |trace| trace.thread,
                |thread| is_named(name(thread)),
            )
        }
        KeyType::SizeClass => {
            let classes = snapshot.classes();
            let class = |trace: &RawTrace| classes.of(trace.size as u64);
            select(snapshot, class, |class| is_named(class_name(class)))
        }
        KeyType::Domain => select(
            snapshot,
            |trace| trace.domain,
            |domain| is_named(domain_name(domain)),
        ),
        _ => {
            let mut groups_of = groups_of(key, cumulative);
            let mut groups = Vec::new();
            select(
                snapshot,
                |trace| trace.stack,
                |stack| {
                    groups.clear();
                    groups_of(&snapshot.traceback_of(stack), &mut groups);
                    groups.contains(group)
                },
            )
        }
    }
}

/// The traces with a property that is wanted; each property is asked for once.
fn select<K: Hash + Eq + Copy>(
    snapshot: &Snapshot,
    property: impl Fn(&RawTrace) -> K,
    mut is_wanted: impl FnMut(K) -> bool,
) -> Vec<RawTrace> {
    let mut known: HashMap<K, bool> = HashMap::new();
    let mut is_selected = |trace: &RawTrace| {
        let property = property(trace);
        *known.entry(property).or_insert_with(|| is_wanted(property))
    };
    let traces = snapshot.raw_traces().iter().copied();
    traces.filter(|trace| is_selected(trace)).collect()
}

/// What adds a traceback's groups to a list, for a key that looks at tracebacks.
fn groups_of(key: KeyType, cumulative: bool) -> impl FnMut(&Traceback, &mut Vec<Traceback>) {
    let mut namer = Namer::new(key);
    move |traceback: &Traceback, groups: &mut Vec<Traceback>| match key {
        KeyType::Traceback => groups.push(traceback.clone()),
        _ if cumulative => groups.extend(traceback.iter().map(|frame| namer.group(frame))),
        _ => groups.extend(traceback.last().map(|frame| namer.group(frame))),
    }
}

fn domain_name(domain: u32) -> String {
    format!("domain {domain}")
}

/// Adds up by something each block says of itself.
fn by_block<K: Hash + Eq + Copy>(
    snapshot: &Snapshot,
    key: impl Fn(&RawTrace) -> K,
    name: impl Fn(K) -> String,
) -> Totals {
    let mut totals: HashMap<K, Total> = HashMap::new();
    for trace in snapshot.raw_traces() {
        totals.entry(key(trace)).or_default().add(trace);
    }
    let mut named = Totals::with_capacity(totals.len());
    for (key, total) in totals {
        let group = Traceback::new([Frame::named(name(key))], None);
        named.entry(group).or_default().merge(&total);
    }
    named
}

/// Adds up by groups of the traceback. A block counts once in each, however often the group
/// is in the list: CPython counts a recursive function once for every call of it.
fn by_stack(
    snapshot: &Snapshot,
    mut groups_of: impl FnMut(&Traceback, &mut Vec<Traceback>),
) -> Totals {
    let mut totals = Totals::new();
    let mut groups = Vec::new();
    for (stack, total) in snapshot.totals_by_stack() {
        groups.clear();
        groups_of(&snapshot.traceback_of(stack), &mut groups);
        groups.sort_unstable();
        groups.dedup();
        for group in groups.drain(..) {
            totals.entry(group).or_default().merge(&total);
        }
    }
    totals
}

/// Makes groups of frames, one group of equal frames.
struct Namer {
    key: KeyType,
    groups: HashMap<Frame, Traceback>,
}

impl Namer {
    fn new(key: KeyType) -> Self {
        Self {
            key,
            groups: HashMap::new(),
        }
    }

    fn group(&mut self, frame: &Frame) -> Traceback {
        if self.key == KeyType::Function {
            // Equal frames may be in different functions, where one is inlined into a line
            // of another: no use in remembering by frame.
            return one(function_of(frame));
        }
        if let Some(group) = self.groups.get(frame) {
            return group.clone();
        }
        let group = one(match self.key {
            KeyType::Filename => Frame::new(Arc::clone(frame.shared_filename()), 0, ""),
            KeyType::Crate => Frame::named(crate_of(frame)),
            _ => frame.clone(),
        });
        self.groups.insert(frame.clone(), group.clone());
        group
    }
}

fn function_of(frame: &Frame) -> Frame {
    if frame.function().is_empty() {
        frame.clone()
    } else {
        Frame::named(Arc::clone(frame.shared_function()))
    }
}

fn one(frame: Frame) -> Traceback {
    Traceback::new([frame], None)
}
