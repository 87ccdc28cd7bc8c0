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
use super::graph::{Link, ObjectGraph};
use super::json::quoted;
use super::names::short_type_name;

const META: &str = r#"{"node_fields":["type","name","id","self_size","edge_count","trace_node_id","detachedness"],"node_types":[["hidden","array","string","object","code","closure","regexp","number","native","synthetic","concatenated string","sliced string","symbol","bigint","object shape"],"string","number","number","number","number","number"],"edge_fields":["type","name_or_index","to_node"],"edge_types":[["context","element","property","internal","hidden","shortcut","weak"],"string_or_number","node"],"trace_function_info_fields":["function_id","name","script_name","script_id","line","column"],"trace_node_fields":["id","function_info_index","count","size","children"],"sample_fields":["timestamp_us","last_assigned_id"],"location_fields":["object_index","script_id","line","column"]}"#;

const NODE_FIELDS: usize = 7;
const OBJECT: u32 = 3;
const SYNTHETIC: u32 = 9;
const ELEMENT: u32 = 1;
const PROPERTY: u32 = 2;
const WEAK: u32 = 6;

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

/// A node that stands for a reason to be there.
struct Group {
    name: &'static str,
    members: Vec<u32>,
}

struct Writer<'g, W> {
    graph: &'g ObjectGraph,
    out: &'g mut W,
    groups: Vec<Group>,
    strings: Vec<String>,
    /// Numbers of the strings that link names are.
    link_strings: HashMap<(u32, u32), u32>,
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
        let types = graph.types.iter().map(|entry| short_type_name(&entry.name));
        Writer {
            graph,
            out,
            groups,
            strings: types.collect(),
            link_strings: HashMap::new(),
        }
    }

    fn write(mut self) -> io::Result<()> {
        let stacks = &self.graph.stacks;
        let function_count = match stacks.all_frames().len() {
            0 => 0,
            count => count + 1,
        };
        let memberships: usize = self.groups.iter().map(|group| group.members.len()).sum();
        write!(
            self.out,
            "{{\"snapshot\":{{\"meta\":{META},\"node_count\":{},\"edge_count\":{},\
             \"trace_function_count\":{function_count}}},\n\"nodes\":[",
            self.graph.len() + self.groups.len() + 1,
            self.graph.link_count() + self.groups.len() + memberships,
        )?;
        self.write_nodes()?;
        write!(self.out, "],\n\"edges\":[")?;
        self.write_edges()?;
        write!(self.out, "],\n\"trace_function_infos\":[")?;
        if function_count > 0 {
            self.write_functions()?;
        }
        write!(self.out, "],\n\"trace_tree\":[")?;
        if function_count > 0 {
            self.write_calls()?;
        }
        write!(
            self.out,
            "],\n\"samples\":[],\n\"locations\":[],\n\"strings\":["
        )?;
        for (index, string) in self.strings.iter().enumerate() {
            let comma = if index == 0 { "" } else { ",\n" };
            write!(self.out, "{comma}{}", quoted(string))?;
        }
        writeln!(self.out, "]}}")
    }

    fn string(&mut self, text: &str) -> usize {
        self.strings.push(text.to_owned());
        self.strings.len() - 1
    }

    fn write_nodes(&mut self) -> io::Result<()> {
        let root_name = self.string("");
        write!(
            self.out,
            "{SYNTHETIC},{root_name},1,0,{},0,0",
            self.groups.len()
        )?;
        let groups: Vec<_> = self
            .groups
            .iter()
            .map(|g| (g.name, g.members.len()))
            .collect();
        for (index, (name, count)) in groups.into_iter().enumerate() {
            let name = self.string(name);
            // Even, so that no object has it.
            let id = 2 * (index + 1);
            write!(self.out, "\n,{SYNTHETIC},{name},{id},0,{count},0,0")?;
        }
        for node in self.graph.nodes() {
            let entry = node.entry();
            let id = 2 * u64::from(entry.id.number()) + 1;
            let size = u32::try_from(entry.size_bytes).unwrap_or(u32::MAX);
            let stack = match entry.stack {
                0 => 0,
                call => call + 1,
            };
            write!(
                self.out,
                "\n,{OBJECT},{},{id},{size},{},{stack},0",
                entry.type_number,
                node.links().len(),
            )?;
        }
        Ok(())
    }

    fn write_edges(&mut self) -> io::Result<()> {
        let mut comma = "";
        let first_object = self.groups.len() + 1;
        for index in 0..self.groups.len() {
            write!(
                self.out,
                "{comma}{ELEMENT},{index},{}",
                (index + 1) * NODE_FIELDS
            )?;
            comma = "\n,";
        }
        for group in &self.groups {
            for (index, member) in group.members.iter().enumerate() {
                let target = (first_object + *member as usize) * NODE_FIELDS;
                write!(self.out, "\n,{ELEMENT},{index},{target}")?;
            }
        }
        for node in self.graph.nodes() {
            for link in node.links() {
                let (kind, name) = self.edge_name(link);
                let target = (first_object + link.target().index()) * NODE_FIELDS;
                write!(self.out, "\n,{kind},{name},{target}")?;
            }
        }
        Ok(())
    }

    /// Kind, and index or number of the string.
    fn edge_name(&mut self, link: Link<'_>) -> (u32, u32) {
        let (text, index) = link.name_parts();
        if let ("", Some(index), false) = (text, index, link.is_weak()) {
            return (ELEMENT, index);
        }
        let kind = if link.is_weak() { WEAK } else { PROPERTY };
        let strings = &mut self.strings;
        let string = *self.link_strings.entry(link.name_key()).or_insert_with(|| {
            let name = link.name();
            // DevTools writes the dot itself.
            strings.push(name.strip_prefix('.').unwrap_or(&name).to_owned());
            u32::try_from(strings.len() - 1).unwrap_or(u32::MAX)
        });
        (kind, string)
    }

    fn write_functions(&mut self) -> io::Result<()> {
        let frames = self.graph.stacks.all_frames();
        let root_name = self.string("(root)");
        let no_file = self.string("");
        write!(self.out, "0,{root_name},{no_file},0,-1,-1")?;
        let mut scripts = HashMap::new();
        for (index, frame) in frames.iter().enumerate() {
            let name = match frame.function.as_str() {
                "" => self.string("(function)"),
                name => self.string(name),
            };
            let count = scripts.len() + 1;
            let (script, file) = *scripts
                .entry(frame.file.as_str())
                .or_insert_with(|| (count, self.strings.len()));
            if file == self.strings.len() {
                self.string(&frame.file);
            }
            // From 0 there.
            let line = frame.line.saturating_sub(1);
            let column = frame.column.saturating_sub(1);
            write!(
                self.out,
                "\n,{},{name},{file},{script},{line},{column}",
                index + 1
            )?;
        }
        Ok(())
    }

    /// The calls, each in its caller's list, with the objects they made.
    fn write_calls(&mut self) -> io::Result<()> {
        let calls = self.graph.stacks.all_calls();
        let mut sums = vec![(0_usize, 0_usize); calls.len() + 1];
        for node in &self.graph.nodes {
            let sum = &mut sums[node.stack as usize];
            sum.0 += 1;
            sum.1 += node.size_bytes;
        }
        let mut callees = vec![Vec::new(); calls.len() + 1];
        for (index, (_, caller)) in calls.iter().enumerate() {
            callees[*caller as usize].push(index + 1);
        }
        write!(self.out, "1,0,0,0,[")?;
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
                write!(self.out, "]")?;
                comma = ",";
                continue;
            }
            let (count, size) = sums[call];
            let frame = calls[call - 1].0 + 1;
            write!(self.out, "{comma}{},{frame},{count},{size},[", call + 1)?;
            comma = "";
            push(&mut waiting, call);
        }
        Ok(())
    }
}
