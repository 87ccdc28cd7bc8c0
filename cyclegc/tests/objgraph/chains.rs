//! Chains, and why an object is alive.

use cyclegc::objgraph::{self, DrawOptions};
use cyclegc::{AnyGc, Gc};

use super::{Node, node};

#[test]
fn chains_are_the_shortest() {
    let (a, b, c, d) = (node("a"), node("b"), node("c"), node("d"));
    a.left.replace(Some(b.clone()));
    b.left.replace(Some(c.clone()));
    c.left.replace(Some(d.clone()));
    a.children.borrow_mut().push(c.clone());
    let (id_a, id_d) = {
        let graph = objgraph::snapshot();
        (
            graph.find(&a).expect("there").id(),
            graph.find(&d).expect("there").id(),
        )
    };
    let way = objgraph::find_ref_chain(&a, |node| node.id() == id_d);
    assert_eq!(way.objects(), [&a, &c, &d].map(AnyGc::from));
    let back = objgraph::find_backref_chain(&d, |node| node.id() == id_a);
    assert_eq!(way.objects(), back.objects());
    assert_eq!(back.steps[0].link.as_deref(), Some(".children[0]"));
    let none = objgraph::find_backref_chain(&a, |node| node.type_name() == "u8");
    assert_eq!(
        none.objects(),
        [AnyGc::from(&a)],
        "as in Python, the object itself"
    );
    assert_eq!(objgraph::find_ref_chain(&a, |_| true).steps.len(), 1);
}

#[test]
fn chains_end_at_the_given_depth() {
    let first = super::chain(30);
    let is_last = |node: objgraph::Node<'_>| node.links().len() == 0;
    assert_eq!(objgraph::find_ref_chain(&first, is_last).steps.len(), 1);
    let graph = objgraph::snapshot();
    let start = graph.find(&first).expect("there");
    assert_eq!(graph.ref_chain(start, 28, is_last).steps.len(), 1);
    assert_eq!(graph.ref_chain(start, 29, is_last).steps.len(), 30);
}

#[test]
fn why_alive_says_who_holds_it_and_how_often() {
    let root = node("root");
    let inner = node("inner");
    root.children.borrow_mut().push(node("between"));
    root.children.borrow()[0].left.replace(Some(inner.clone()));
    let second = root.clone();
    let why = objgraph::why_alive(&inner);
    assert!(why.is_reachable);
    assert_eq!(why.outside_count(), 2);
    let [first, between, last] = [0, 1, 2].map(|step: usize| why.chain.steps[step].id);
    let expected = format!(
        "Node {last} is alive because of this chain:\n\
         Node {first}, held from outside by 2 handles\n  .children[0]\n\
         \x20 Node {between}\n    .left\n    Node {last}\n"
    );
    assert!(why.to_string().starts_with(&expected), "{why}");
    drop((root, second));
    let why = objgraph::why_alive(&inner);
    assert!(!why.is_reachable);
    assert!(why.to_string().contains("not held from outside"), "{why}");
    let other = inner.clone();
    let why = objgraph::why_alive(&inner);
    assert!(
        why.to_string()
            .ends_with("is held from outside by 1 handle.\n"),
        "{why}"
    );
    drop(other);
}

#[test]
fn a_handle_that_is_a_field_can_ask() {
    let root = node("root");
    root.children.borrow_mut().push(node("child"));
    let why = objgraph::why_alive(&root.children.borrow()[0]);
    assert_eq!(why.chain.steps[0].link.as_deref(), Some(".children[0]"));
    assert_eq!(why.outside_count(), 1);
}

#[test]
fn drawings_have_what_objgraph_draws() {
    let top = node("top");
    for _ in 0..15 {
        top.children.borrow_mut().push(node("child"));
    }
    top.left.replace(Some(top.clone()));
    let graph = objgraph::snapshot();
    let start = graph.find(&top).expect("there");
    let dot = graph.draw_refs(&[start], &DrawOptions::default()).dot();
    let id = start.id().number();
    // The lines that Python's objgraph 3.6 writes for such a graph.
    for line in [
        "digraph ObjectGraph {",
        "  node[shape=box, style=filled, fillcolor=white];",
        &format!("  o{id}[fontcolor=red];"),
        &format!("  o{id}[fillcolor=\"0,0,1\"];"),
        &format!("  o{id} -> o{id} [label=\".left\",weight=2];"),
        "}",
    ] {
        assert!(
            dot.lines().any(|l| l == line),
            "{line} is missing in\n{dot}"
        );
    }
    assert!(dot.contains("6 more references"), "{dot}");
    let few = DrawOptions {
        filter: Some(&|node: objgraph::Node<'_>| node.is_root()),
        refcounts: true,
        extra_info: Some(&|node: objgraph::Node<'_>| Some(format!("<{}>", node.size()))),
        ..DrawOptions::default()
    };
    let drawing = graph.draw_refs(&[start], &few);
    assert_eq!(drawing.box_count(), 1);
    assert!(drawing.dot().contains("Node [2]\\n<"), "{}", drawing.dot());
    assert!(drawing.svg().contains("&lt;"), "text is escaped");
    let child: Gc<Node> = top.children.borrow()[0].clone();
    let backrefs = objgraph::show_backrefs(&child);
    assert_eq!(backrefs.box_count(), 2);
    assert!(
        backrefs.dot().contains("fillcolor=\"0.3,1,0.3\""),
        "a root is green"
    );
}
