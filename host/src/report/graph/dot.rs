//! A graph in Graphviz's language.
//! Source of the syntax: graphviz.org, "DOT Language".

use std::fmt::Write as _;

use super::{Body, Graph, Part, Tone};
use crate::report::words::visible;

/// A graph for `dot`.
#[must_use]
pub fn dot(graph: &Graph) -> String {
    let mut out = String::from("digraph {\n");
    let title = quoted(&[&graph.description]);
    let _ = writeln!(out, "  graph [rankdir=LR, compound=true, fontname=\"sans-serif\", label={title}];");
    out += "  node [shape=box, style=\"rounded,filled\", fillcolor=\"#ffffff\", fontname=\"sans-serif\"];\n";
    body(&mut out, &graph.body, "n", 1);
    out + "}\n"
}

fn body(out: &mut String, of: &Body, prefix: &str, depth: usize) {
    let indent = "  ".repeat(depth);
    for (index, one) in of.parts.iter().enumerate().take(of.finally_from) {
        part(out, one, &format!("{prefix}{index}"), depth);
    }
    for edge in of.sound_edges() {
        let mut options = Vec::new();
        let mut end = |index: usize, option: &str| {
            let id = format!("{prefix}{index}");
            // Only nodes can be joined; the edge is cut off at the border.
            match of.parts.get(index).is_some_and(|part| part.inside.is_some()) {
                true => {
                    options.push(format!("{option}=cluster_{id}"));
                    format!("{id}_a")
                }
                false => id,
            }
        };
        let (from, to) = (end(edge.from, "ltail"), end(edge.to, "lhead"));
        options.extend((!edge.uses).then(|| "style=dashed".to_owned()));
        let _ = writeln!(out, "{indent}{from} -> {to} [{}];", options.join(", "));
    }
    if of.parts.len() > of.finally_from {
        let _ = writeln!(
            out,
            "{indent}subgraph cluster_{prefix}f {{\n{indent}  label=\"finally\"; style=dashed;"
        );
        for (index, one) in of.parts.iter().enumerate().skip(of.finally_from) {
            part(out, one, &format!("{prefix}{index}"), depth + 1);
        }
        let _ = writeln!(out, "{indent}}}");
    }
}

fn part(out: &mut String, part: &Part, id: &str, depth: usize) {
    let indent = "  ".repeat(depth);
    let lines: Vec<&str> = std::iter::once(&part.label).chain(&part.notes).map(String::as_str).collect();
    let label = quoted(&lines);
    let colour = match part.tone {
        Tone::Plain => None,
        Tone::Good => Some("#d2f5dc"),
        Tone::Bad => Some("#ffd9d6"),
        Tone::Caution => Some("#fff1c4"),
        Tone::Faint => Some("#eaeef2"),
    };
    if let Some(inside) = &part.inside {
        let _ = writeln!(out, "{indent}subgraph cluster_{id} {{\n{indent}  label={label}; style=rounded;");
        let _ = writeln!(out, "{indent}  {id}_a [shape=point, style=invis, label=\"\"];");
        body(out, inside, &format!("{id}_"), depth + 1);
        let _ = writeln!(out, "{indent}}}");
        return;
    }
    let mut options = vec![format!("label={label}")];
    options.extend(colour.map(|colour| format!("fillcolor=\"{colour}\"")));
    options.extend(part.conditional.then(|| "shape=hexagon".to_owned()));
    options.extend((part.matrix && !part.conditional).then(|| "shape=box3d".to_owned()));
    options.extend(part.untrusted.then(|| "color=\"#cf222e\", style=\"dashed,filled\"".to_owned()));
    let _ = writeln!(out, "{indent}{id} [{}];", options.join(", "));
}

/// Lines as one string of the language.
fn quoted(lines: &[&str]) -> String {
    let escaped = lines.iter().map(|line| visible(line).replace('\\', "\\\\").replace('"', "\\\""));
    format!("\"{}\"", escaped.collect::<Vec<_>>().join("\\n"))
}
