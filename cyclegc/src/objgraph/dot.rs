//! DOT, Graphviz's language, as objgraph writes it.

use std::fmt::Write;

use super::drawing::{Drawing, Role};

pub(super) fn write(drawing: &Drawing) -> String {
    let mut text = String::new();
    // Writing to a `String` does not fail.
    let _ = write_to(drawing, &mut text);
    text
}

fn write_to(drawing: &Drawing, out: &mut String) -> std::fmt::Result {
    writeln!(out, "digraph ObjectGraph {{")?;
    writeln!(out, "  node[shape=box, style=filled, fillcolor=white];")?;
    for shape in &drawing.boxes {
        let name = &shape.name;
        let label = match shape.detail.as_str() {
            "" => quoted(&shape.title),
            detail => quoted(&format!("{}\n{detail}", shape.title)),
        };
        if shape.role == Role::Start {
            writeln!(out, "  {name}[fontcolor=red];")?;
        }
        writeln!(out, "  {name}[label={label}];")?;
        match shape.role {
            Role::Root => {
                writeln!(out, "  {name}[fillcolor=\"0.3,1,0.3\"];")?;
                writeln!(out, "  {name}[fontcolor=white];")?;
            }
            Role::More => {
                writeln!(out, "  {name}[shape=ellipse,style=dashed];")?;
            }
            Role::Start | Role::Plain => {
                let value = gradient(shape.depth, drawing.max_depth);
                writeln!(out, "  {name}[fillcolor=\"0,0,{value}\"];")?;
                if value < 0.5 {
                    writeln!(out, "  {name}[fontcolor=white];")?;
                }
            }
        }
        if shape.has_finalizer {
            writeln!(
                out,
                "  {name}->{name}_has_a_finalizer[color=red,style=dotted,len=0.25,weight=10];"
            )?;
            writeln!(
                out,
                "  {name}_has_a_finalizer[label=\"finalize\",shape=doublecircle,height=0.25,color=red,fillcolor=\"0,.5,1\",fontsize=6];"
            )?;
        }
    }
    for arrow in &drawing.arrows {
        let (from, to) = (
            &drawing.boxes[arrow.from].name,
            &drawing.boxes[arrow.to].name,
        );
        let style = if arrow.is_weak { ",style=dotted" } else { "" };
        writeln!(
            out,
            "  {from} -> {to} [label={},weight=2{style}];",
            quoted(&arrow.label)
        )?;
    }
    writeln!(out, "}}")
}

/// From white to dark gray, as the objects are farther away.
#[allow(clippy::cast_precision_loss, reason = "a shade of gray")]
fn gradient(depth: usize, max_depth: usize) -> f64 {
    let shade = 1.0 - 0.7 * depth as f64 / max_depth.max(1) as f64;
    (shade * 1e6).round() / 1e6
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", escaped.replace('\n', "\\n"))
}
