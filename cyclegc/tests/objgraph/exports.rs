//! What is written for other programs, read by them.

use std::collections::BTreeMap;
use std::process::Command;

use cyclegc::objgraph::{
    self, ClassTracker, CollectorLog, Explorer, Frame, GraphBuilder, NodeInfo, ObjectGraph,
    SnapshotOptions,
};
use cyclegc::{AnyGc, Gc};

use super::node;

/// A graph with all that a file can have in it.
fn sample() -> (Gc<super::Node>, ObjectGraph) {
    let top = node("top");
    for _ in 0..3 {
        let child = node("child");
        child.parent.replace(Some(Gc::downgrade(&top)));
        top.children.borrow_mut().push(child);
    }
    let ring = node("ring");
    ring.left.replace(Some(ring.clone()));
    drop(ring);
    let map = Gc::new(BTreeMap::from([("</script>\"\u{1}", AnyGc::from(&top))]));
    let list = Gc::new(vec![map]);
    top.left.replace(Some(node("left")));
    let graph = objgraph::snapshot();
    drop(list);
    (top, graph)
}

fn heap_snapshot(graph: &ObjectGraph) -> String {
    let mut written = Vec::new();
    graph.write_heap_snapshot(&mut written).expect("a vector");
    String::from_utf8(written).expect("text")
}

/// That reader knows no stacks, which a graph with provenance has.
#[cfg(not(cyclegc_provenance))]
#[test]
fn microsofts_reader_finds_the_same_graph_and_retained_sizes() {
    let (top, graph) = sample();
    let text = heap_snapshot(&graph);
    let read = v8_heap_parser::decode_str(&text).expect("it is read");
    let groups = 3; // the root, outside, garbage
    assert_eq!(read.nodes().len(), graph.len() + groups);
    let dominators = graph.dominators();
    for node in graph.nodes() {
        let index = node.index() + groups;
        let there = read.get_node(index).expect("a node");
        assert_eq!(there.name(), node.short_type_name());
        assert_eq!(there.id, 2 * node.id().number() + 1);
        assert_eq!(there.self_size as usize, node.size());
        assert!(matches!(there.typ, v8_heap_parser::NodeType::Object));
        let retained = usize::try_from(read.retained_size(index)).expect("small");
        assert_eq!(retained, dominators.retained_size(node), "{node}");
    }
    let edges = graph.nodes().flat_map(|node| node.links());
    for link in edges {
        let from = link.source().index() + groups;
        let to = link.target().index() + groups;
        assert!(read.children(from).contains(&to), "{link:?}");
    }
    drop(top);
}

#[test]
fn the_keys_come_in_the_order_that_devtools_scans_for() {
    let (top, graph) = sample();
    let text = heap_snapshot(&graph);
    let keys = [
        "\"snapshot\"",
        "\"nodes\":",
        "\"edges\":",
        "\"trace_function_infos\":",
        "\"trace_tree\":",
        "\"samples\":",
        "\"locations\":",
        "\"strings\":",
    ];
    let places: Vec<_> = keys
        .iter()
        .map(|key| text.find(key).expect("a key"))
        .collect();
    assert!(places.is_sorted());
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let count = |key: &str| json["snapshot"][key].as_u64().expect("a number") as usize;
    assert_eq!(
        json["nodes"].as_array().expect("nodes").len(),
        7 * count("node_count")
    );
    assert_eq!(
        json["edges"].as_array().expect("edges").len(),
        3 * count("edge_count")
    );
    // All numbers fit 32 bits.
    for key in ["nodes", "edges"] {
        let numbers = json[key].as_array().expect("numbers").iter();
        assert!(
            numbers
                .map(|n| n.as_u64().expect("a number"))
                .all(|n| n <= u64::from(u32::MAX))
        );
    }
    drop(top);
}

#[test]
fn allocation_stacks_are_written_as_a_tree() {
    let top = node("top");
    top.left.replace(Some(node("left")));
    let main = Frame::at("src/main.rs", 3).function("main");
    let stack_of = |address: usize| {
        let inner = Frame::at("src/node.rs", if address == 0 { 1 } else { 7 }).function("node");
        vec![inner, main.clone()]
    };
    let graph = SnapshotOptions::new().stacks(&stack_of).snapshot();
    let frames = graph.find(&top).expect("there").stack();
    assert_eq!(frames.iter().map(|f| f.line).collect::<Vec<_>>(), [7, 3]);
    let json: serde_json::Value = serde_json::from_str(&heap_snapshot(&graph)).expect("JSON");
    assert_eq!(json["snapshot"]["trace_function_count"], 3);
    let bytes = graph.total_bytes();
    // main called node, which made both objects.
    let (main_frame, node_frame) = (1, 2);
    let tree = serde_json::json!([
        1,
        0,
        0,
        0,
        [2, main_frame, 0, 0, [3, node_frame, 2, bytes, []]]
    ]);
    assert_eq!(json["trace_tree"], tree);
    let stack = &json["nodes"].as_array().expect("nodes")[7 * 2 + 5];
    assert_eq!(*stack, 3);
}

/// DevTools names what is called so by its properties.
#[test]
fn a_type_called_object_keeps_its_name() {
    let mut builder = GraphBuilder::new();
    builder.node(NodeInfo::new("app::Object", 8).ref_count(1));
    builder.node(NodeInfo::new("Object", 8).ref_count(1));
    let text = heap_snapshot(&builder.finish());
    assert!(
        text.contains("\"strings\":[\"app::Object\",\n\"struct Object\""),
        "{text}"
    );
}

#[test]
fn an_object_of_many_gigabytes_is_shown_as_four() {
    let mut builder = GraphBuilder::new();
    builder.node(NodeInfo::new("Huge", 1 << 40).ref_count(1));
    let text = heap_snapshot(&builder.finish());
    assert!(text.contains(",4294967295,0,0,0]"), "{text}");
}

/// The data in a page.
fn data(page: &str) -> serde_json::Value {
    let (_, rest) = page.split_once("id=\"data\">").expect("data");
    let (json, _) = rest.split_once("</script>").expect("an end");
    serde_json::from_str(json).expect("JSON")
}

fn page(explorer: &Explorer<'_>) -> String {
    let mut written = Vec::new();
    explorer.write(&mut written).expect("a vector");
    String::from_utf8(written).expect("text")
}

#[test]
fn the_page_has_all_of_a_small_graph_and_nothing_from_elsewhere() {
    let log = CollectorLog::start();
    let mut tracker = ClassTracker::new();
    tracker.create_snapshot("start");
    let (top, graph) = sample();
    cyclegc::collect();
    tracker.create_snapshot("end");
    let title = "a <b> & \"c\"";
    let explorer = Explorer::new(&graph)
        .title(title)
        .growth(&tracker)
        .collector(&log);
    let page = page(&explorer);
    let data = data(&page);
    assert_eq!(data["title"], title);
    assert!(page.contains("<title>a &lt;b> &amp; \"c\"</title>"));
    assert_eq!(data["nodes"].as_array().expect("nodes").len(), graph.len());
    assert_eq!(
        data["links"].as_array().expect("links").len(),
        graph.link_count()
    );
    assert_eq!(data["garbage"][0], 1);
    assert_eq!(data["cycles"].as_array().expect("cycles").len(), 1);
    assert_eq!(data["growth"].as_array().expect("growth").len(), 2);
    assert_eq!(data["pauses"].as_array().expect("pauses").len(), 1);
    for outside in ["src=", "href=", "@import", "fetch("] {
        assert!(!page.contains(outside), "{outside}");
    }
    drop(top);
}

#[test]
fn a_page_of_a_large_graph_has_what_retains_most() {
    let list = Gc::new((0..5000).map(|_| super::chain(3)).collect::<Vec<_>>());
    let graph = objgraph::snapshot();
    let page = page(&Explorer::new(&graph).limit(100));
    assert!(page.len() < 200_000, "{}", page.len());
    let data = data(&page);
    let nodes = data["nodes"].as_array().expect("nodes");
    assert!((100..=250).contains(&nodes.len()), "{}", nodes.len());
    assert_eq!(nodes[0][3], graph.total_bytes());
    // Each one's dominator is there, too, and comes before.
    for (place, node) in nodes.iter().enumerate().skip(1) {
        let dominator = node[7].as_i64().expect("a number");
        assert!(dominator >= 0 && usize::try_from(dominator).expect("small") < place);
    }
    drop(list);
}

/// The page's script runs where there is a browser.
#[test]
fn the_page_shows_itself_in_a_browser() {
    let Ok(browser) = std::env::var("CYCLEGC_TEST_BROWSER") else {
        eprintln!("not run: CYCLEGC_TEST_BROWSER names no Chromium");
        return;
    };
    let (top, graph) = sample();
    let folder = std::env::temp_dir().join(format!("cyclegc-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("page.html");
    Explorer::new(&graph).save(&file).expect("a file");
    for (view, text) in [
        ("Objects", "1 handle outside"),
        ("Types", "Node"),
        ("Cycles", "an object that refers to itself"),
        ("Treemap", "Bytes by type"),
        ("Growth", "No ClassTracker was given"),
        ("Collector", "Objects by generation"),
    ] {
        let output = Command::new(&browser)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
            ])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
            ])
            .args(["--disable-sync", "--dump-dom"])
            .arg(format!(
                "--user-data-dir={}",
                folder.join("profile").display()
            ))
            .arg(format!("file://{}#{view}", file.display()))
            .output()
            .expect("it starts");
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(shown.contains(text), "{view}: {text} is not in\n{shown}");
    }
    std::fs::remove_dir_all(&folder).expect("it is ours");
    drop(top);
}
