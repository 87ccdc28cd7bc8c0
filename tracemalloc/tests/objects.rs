//! Object graphs of `cyclegc` that know where each object was made.

use std::sync::Mutex;

use cyclegc::objgraph::{self, Node};
use cyclegc::sync::{Gc, objgraph::SnapshotOptions};
use cyclegc::{EdgeTracer, Trace, Tracer};
use pymalloc::PyMalloc;

#[global_allocator]
static GLOBAL: PyMalloc = PyMalloc;

#[derive(Default)]
struct Server {
    sessions: Mutex<Vec<Gc<[u8; 100]>>>,
}

// SAFETY: what is owned is asked once.
unsafe impl Trace for Server {
    fn trace(&self, tracer: &mut Tracer<'_>) {
        tracer.value(&self.sessions);
    }
    fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
        tracer.field("sessions", &self.sessions);
    }
}

#[inline(never)]
fn open_session(server: &Server) {
    let session = Gc::new([0; 100]);
    server.sessions.lock().unwrap().push(session);
}

#[inline(never)]
fn read_image() -> cyclegc::Gc<[u8; 10_000]> {
    cyclegc::Gc::new([0; 10_000])
}

/// Whether a node was made by a function.
fn is_made_by(node: Node<'_>, function: &str) -> bool {
    let stack = node.stack();
    stack
        .first()
        .is_some_and(|made| made.function.contains(function))
}

/// Tracing is the process's: one test.
#[test]
fn a_graph_carries_the_stacks_of_a_traced_program() {
    // `PYMALLOC_TRACE` may have started it.
    tracemalloc::stop();
    assert!(tracemalloc::object_stacks().is_err());
    tracemalloc::start(25).unwrap();
    let server = Gc::new(Server::default());
    for _ in 0..3 {
        open_session(&server);
    }
    let image = read_image();
    let list = cyclegc::Gc::new((vec![image.clone()], [0; 50].map(cyclegc::Gc::new)));
    let stacks = tracemalloc::object_stacks().unwrap();
    let later = Gc::new(7);

    let options = SnapshotOptions::new().root(&server).root(&later);
    let graph = options.stacks(&stacks).snapshot();
    let node = graph.find(&server).unwrap();
    assert!(
        is_made_by(node, "a_graph_carries_the_stacks"),
        "{:?}",
        node.stack()
    );
    assert_eq!(node.links().len(), 3);
    for link in node.links() {
        let stack = link.target().stack();
        assert!(is_made_by(link.target(), "open_session"), "{stack:?}");
        assert!(stack[0].file.ends_with("objects.rs") && stack[0].line > 0);
        assert!(stack[1].function.contains("a_graph_carries_the_stacks"));
    }
    assert!(graph.find(&later).unwrap().stack().is_empty());

    let mut written = Vec::new();
    graph.write_heap_snapshot(&mut written).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&written).unwrap();
    assert!(json["snapshot"]["trace_function_count"].as_u64().unwrap() > 3);
    let strings = json["strings"].as_array().unwrap().iter();
    let is_there = |text: &str| text.contains("open_session");
    assert!(strings.filter_map(|text| text.as_str()).any(is_there));

    // Objects of one thread: those that have memory of their own.
    let graph = objgraph::SnapshotOptions::new().stacks(&stacks).snapshot();
    assert!(is_made_by(graph.find(&image).unwrap(), "read_image"));
    let is_known = |gc: &&cyclegc::Gc<i32>| !graph.find(*gc).unwrap().stack().is_empty();
    let known_count = list.1.iter().filter(is_known).count();
    let expected = if cfg!(cyclegc_alone) { 50..=50 } else { 0..=1 };
    assert!(expected.contains(&known_count));
    drop(list);
    tracemalloc::stop();
}
