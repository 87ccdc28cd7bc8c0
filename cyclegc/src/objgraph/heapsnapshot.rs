//! `.heapsnapshot`: the format of Chrome's DevTools.
//!
//! The loader scans for its keys in a fixed order, so they are written in it. Numbers are
//! 32 bits there: objects are named by their numbers, not their addresses. Odd ones, as
//! V8's; even ones are its embedder's.
//!
//! ```text
//!  (root) --> (outside) --> every object that a handle from outside holds
//!         --> (saved garbage), (garbage) --> the first of each that nothing else leads to
//! ```
//!
//! Written as it goes: besides the graph there is only a table of strings.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::dominators::roots;
use super::graph::ObjectGraph;
use super::hash::FastHash;
use super::json::quoted;
use super::names::short_type_name;
use super::node::Link;
use super::output::Output;

const META: &str = r#"{"node_fields":["type","name","id","self_size","edge_count","trace_node_id","detachedness"],"node_types":[["hidden","array","string","object","code","closure","regexp","number","native","synthetic","concatenated string","sliced string","symbol","bigint","object shape"],"string","number","number","number","number","number"],"edge_fields":["type","name_or_index","to_node"],"edge_types":[["context","element","property","internal","hidden","shortcut","weak"],"string_or_number","node"],"trace_function_info_fields":["function_id","name","script_name","script_id","line","column"],"trace_node_fields":["id","function_info_index","count","size","children"],"sample_fields":["timestamp_us","last_assigned_id"],"location_fields":["object_index","script_id","line","column"]}"#;

const NODE_FIELDS: u64 = 7;
const OBJECT: u64 = 3;
const SYNTHETIC: u64 = 9;
const ELEMENT: u64 = 1;
const PROPERTY: u64 = 2;
const WEAK: u64 = 6;

impl ObjectGraph {
    /// Writes the graph for Chrome's DevTools: *Memory*, *Load profile*. Visual Studio
    /// Code and memlab open it, too.
    ///
    /// Types are constructors there, links properties; `Distance` counts from the handles
    /// outside. Garbage hangs under a node of that name. Where objects were made, if the
    /// snapshot knows, is shown as *Allocation stack*. An object of 4 GiB or more is
    /// shown as one of 4 GiB.
    ///
    /// Costs about 0.3 microseconds and 50 bytes of output for each object and link, and
    /// little memory.
    ///
    /// # Errors
    ///
    /// What `out` reports.
    ///
    /// ```
    /// use cyclegc::{Gc, objgraph};
    ///
    /// let list = Gc::new(vec![Gc::new('x')]);
    /// let mut out = Vec::new();
    /// objgraph::snapshot().write_heap_snapshot(&mut out)?;
    /// assert!(out.starts_with(b"{\"snapshot\":{\"meta\":{\"node_fields\":"));
    /// # drop(list);
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn write_heap_snapshot(&self, out: &mut impl Write) -> io::Result<()> {
        Writer::new(self, out).write()
    }

    /// As [`Self::write_heap_snapshot`], to a file, whose name must end with
    /// `.heapsnapshot` for DevTools to take it.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    ///
    /// ```no_run
    /// cyclegc::objgraph::snapshot().save_heap_snapshot("now.heapsnapshot")?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn save_heap_snapshot(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let mut out = BufWriter::with_capacity(1 << 16, File::create(path)?);
        self.write_heap_snapshot(&mut out)?;
        out.flush()
    }
}

/// What DevTools calls objects of a type. To it an `Object` is one without a constructor,
/// which it names by its properties.
fn constructor(type_name: &str) -> String {
    match short_type_name(type_name).as_str() {
        "Object" if type_name == "Object" => "struct Object".to_owned(),
        "Object" => type_name.to_owned(),
        short => short.to_owned(),
    }
}

/// A node that stands for a reason to be there.
struct Group {
    name: &'static str,
    members: Vec<u32>,
}

struct Writer<'g, W> {
    graph: &'g ObjectGraph,
    out: Output<'g, W>,
    groups: Vec<Group>,
    strings: Vec<String>,
    /// Numbers of the strings that link names are.
    link_strings: HashMap<(u32, u32), u64, FastHash>,
}

impl<'g, W: Write> Writer<'g, W> {
    fn new(graph: &'g ObjectGraph, out: &'g mut W) -> Self {
        let mut groups: Vec<Group> = ["(outside)", "(saved garbage)", "(garbage)"]
            .map(|name| Group {
                name,
                members: Vec::new(),
            })
            .into();
        for root in roots(graph) {
            let node = graph.node(root as usize);
            let group = match (node.is_root(), node.is_saved()) {
                (true, _) => 0,
                (false, true) => 1,
                (false, false) => 2,
            };
            groups[group].members.push(root);
        }
        groups.retain(|group| !group.members.is_empty());
        let types = graph.types.iter().map(|entry| constructor(&entry.name));
        Writer {
            graph,
            out: Output::new(out),
            groups,
            strings: types.collect(),
            link_strings: HashMap::default(),
        }
    }

    fn write(mut self) -> io::Result<()> {
        let stacks = &self.graph.stacks;
        let function_count = match stacks.all_frames().len() {
            0 => 0,
            count => count + 1,
        };
        let memberships: usize = self.groups.iter().map(|group| group.members.len()).sum();
        self.out.format(format_args!(
            "{{\"snapshot\":{{\"meta\":{META},\"node_count\":{},\"edge_count\":{},\
             \"trace_function_count\":{function_count}}},\n\"nodes\":[",
            self.graph.len() + self.groups.len() + 1,
            self.graph.link_count() + self.groups.len() + memberships,
        ))?;
        self.write_nodes()?;
        self.out.text("],\n\"edges\":[")?;
        self.write_edges()?;
        self.out.text("],\n\"trace_function_infos\":[")?;
        if function_count > 0 {
            self.write_functions()?;
        }
        self.out.text("],\n\"trace_tree\":[")?;
        if function_count > 0 {
            self.write_calls()?;
        }
        self.out
            .text("],\n\"samples\":[],\n\"locations\":[],\n\"strings\":[")?;
        for (index, string) in self.strings.iter().enumerate() {
            let comma = if index == 0 { "" } else { ",\n" };
            self.out.format(format_args!("{comma}{}", quoted(string)))?;
        }
        self.out.text("]}\n")?;
        self.out.finish()
    }

    fn string(&mut self, text: &str) -> u64 {
        self.strings.push(text.to_owned());
        self.strings.len() as u64 - 1
    }

    fn write_nodes(&mut self) -> io::Result<()> {
        let root_name = self.string("");
        let group_count = self.groups.len() as u64;
        self.out
            .numbers([SYNTHETIC, root_name, 1, 0, group_count, 0, 0])?;
        for index in 0..self.groups.len() {
            let name = self.string(self.groups[index].name);
            let count = self.groups[index].members.len() as u64;
            // Even, so that no object has it.
            let id = 2 * (index as u64 + 1);
            self.out.text("\n,")?;
            self.out.numbers([SYNTHETIC, name, id, 0, count, 0, 0])?;
        }
        for node in self.graph.nodes() {
            let entry = node.entry();
            let name = u64::from(entry.type_number);
            let id = 2 * u64::from(entry.id.number()) + 1;
            let size = (entry.size_bytes as u64).min(u64::from(u32::MAX));
            let link_count = node.links().len() as u64;
            let call = match entry.stack {
                0 => 0,
                call => u64::from(call) + 1,
            };
            self.out.text("\n,")?;
            self.out
                .numbers([OBJECT, name, id, size, link_count, call, 0])?;
        }
        Ok(())
    }

    fn write_edges(&mut self) -> io::Result<()> {
        let first_object = self.groups.len() as u64 + 1;
        for index in 0..first_object - 1 {
            self.out.text(if index == 0 { "" } else { "\n," })?;
            self.out
                .numbers([ELEMENT, index, (index + 1) * NODE_FIELDS])?;
        }
        for group in &self.groups {
            for (index, member) in group.members.iter().enumerate() {
                let target = (first_object + u64::from(*member)) * NODE_FIELDS;
                self.out.text("\n,")?;
                self.out.numbers([ELEMENT, index as u64, target])?;
            }
        }
        for node in self.graph.nodes() {
            for link in node.links() {
                let (kind, name) = self.edge_name(link);
                let target = (first_object + link.target().index() as u64) * NODE_FIELDS;
                self.out.text("\n,")?;
                self.out.numbers([kind, name, target])?;
            }
        }
        Ok(())
    }

    /// Kind, and index or number of the string.
    fn edge_name(&mut self, link: Link<'_>) -> (u64, u64) {
        let (text, index) = link.name_parts();
        if let ("", Some(index), false) = (text, index, link.is_weak()) {
            return (ELEMENT, u64::from(index));
        }
        let kind = if link.is_weak() { WEAK } else { PROPERTY };
        let strings = &mut self.strings;
        let string = *self.link_strings.entry(link.name_key()).or_insert_with(|| {
            let name = link.name();
            // DevTools writes the dot itself.
            strings.push(name.strip_prefix('.').unwrap_or(&name).to_owned());
            strings.len() as u64 - 1
        });
        (kind, string)
    }

    fn write_functions(&mut self) -> io::Result<()> {
        let frames = self.graph.stacks.all_frames();
        let (root_name, no_file) = (self.string("(root)"), self.string(""));
        self.out.numbers([0, root_name, no_file, 0, 0, 0])?;
        let mut scripts = HashMap::new();
        for (index, frame) in frames.iter().enumerate() {
            let name = match frame.function.as_str() {
                "" => self.string("(function)"),
                name => self.string(name),
            };
            let next = scripts.len() as u64 + 1;
            let file = frame.file.as_str();
            let (script, file) = match scripts.get(file) {
                Some(known) => *known,
                None => *scripts.entry(file).or_insert((next, self.string(file))),
            };
            // From 0 there.
            let line = u64::from(frame.line.saturating_sub(1));
            let column = u64::from(frame.column.saturating_sub(1));
            self.out.text("\n,")?;
            self.out
                .numbers([index as u64 + 1, name, file, script, line, column])?;
        }
        Ok(())
    }

    /// The calls, each in its caller's list, with the objects they made.
    fn write_calls(&mut self) -> io::Result<()> {
        let calls = self.graph.stacks.all_calls();
        let mut sums = vec![(0_u64, 0_u64); calls.len() + 1];
        for node in &self.graph.nodes {
            let sum = &mut sums[node.stack as usize];
            sum.0 += 1;
            sum.1 += node.size_bytes as u64;
        }
        let mut callees = vec![Vec::new(); calls.len() + 1];
        for (index, (_, caller)) in calls.iter().enumerate() {
            callees[*caller as usize].push(index + 1);
        }
        self.out.text("1,0,0,0,[")?;
        // Calls to write, and 0 for the end of a list.
        let mut waiting = Vec::new();
        let push = |waiting: &mut Vec<usize>, call: usize| {
            waiting.push(0);
            waiting.extend(callees[call].iter().rev());
        };
        push(&mut waiting, 0);
        let mut comma = "";
        while let Some(call) = waiting.pop() {
            if call == 0 {
                self.out.text("]")?;
                comma = ",";
                continue;
            }
            let (count, size) = sums[call];
            let frame = u64::from(calls[call - 1].0) + 1;
            self.out.text(comma)?;
            self.out.numbers([call as u64 + 1, frame, count, size])?;
            self.out.text(",[")?;
            comma = "";
            push(&mut waiting, call);
        }
        Ok(())
    }
}
