//! A graph as a Mermaid flowchart, which GitHub and GitLab draw in Markdown.
//! Source of the syntax: mermaid.js.org, "Flowcharts - Basic Syntax".

use std::fmt::Write as _;

use super::{Body, Graph, Part, Tone};
use crate::report::words::visible;

/// What a tone looks like: fill, stroke and text that can be read in light and
/// in dark.
const CLASSES: [(&str, &str); 5] = [
    ("good", "fill:#1a7f37,stroke:#1a7f37,color:#ffffff"),
    ("bad", "fill:#cf222e,stroke:#cf222e,color:#ffffff"),
    ("caution", "fill:#9a6700,stroke:#9a6700,color:#ffffff"),
    ("faint", "fill:#6e7781,stroke:#6e7781,color:#ffffff"),
    ("untrusted", "stroke:#cf222e,stroke-width:2px,stroke-dasharray:6 4"),
];

/// A graph as Mermaid.
#[must_use]
pub fn mermaid(graph: &Graph) -> String {
    let mut out = String::from("flowchart LR\n");
    let _ = writeln!(out, "  accTitle: {}", quoted(&graph.title));
    let _ = writeln!(out, "  accDescr: {}", quoted(&graph.description));
    let mut classes: Vec<(&'static str, String)> = Vec::new();
    body(&mut out, &graph.body, "n", 1, &mut classes);
    for (class, style) in CLASSES {
        let members: Vec<&str> =
            classes.iter().filter(|(name, _)| *name == class).map(|(_, id)| id.as_str()).collect();
        if !members.is_empty() {
            let _ = writeln!(out, "  classDef {class} {style}\n  class {} {class}", members.join(","));
        }
    }
    out
}

fn body(out: &mut String, of: &Body, prefix: &str, depth: usize, classes: &mut Vec<(&'static str, String)>) {
    let indent = "  ".repeat(depth);
    for (index, one) in of.parts.iter().enumerate().take(of.finally_from) {
        part(out, one, &format!("{prefix}{index}"), depth, classes);
    }
    for edge in of.sound_edges() {
        let arrow = if edge.uses { "-->" } else { "-.->" };
        let _ = writeln!(out, "{indent}{prefix}{} {arrow} {prefix}{}", edge.from, edge.to);
    }
    if of.parts.len() > of.finally_from {
        let _ = writeln!(out, "{indent}subgraph {prefix}f[\"finally\"]");
        for (index, one) in of.parts.iter().enumerate().skip(of.finally_from) {
            part(out, one, &format!("{prefix}{index}"), depth + 1, classes);
        }
        let _ = writeln!(out, "{indent}end");
    }
}

fn part(out: &mut String, part: &Part, id: &str, depth: usize, classes: &mut Vec<(&'static str, String)>) {
    let indent = "  ".repeat(depth);
    let lines = std::iter::once(&part.label).chain(&part.notes).map(|line| quoted(line));
    let label = lines.collect::<Vec<_>>().join("<br/>");
    let tone = match part.tone {
        Tone::Plain => None,
        Tone::Good => Some("good"),
        Tone::Bad => Some("bad"),
        Tone::Caution => Some("caution"),
        Tone::Faint => Some("faint"),
    };
    // A pipeline is not filled: what stands in it is.
    let tone = tone.filter(|_| part.inside.is_none());
    classes.extend(tone.map(|tone| (tone, id.to_owned())));
    classes.extend(part.untrusted.then(|| ("untrusted", id.to_owned())));
    if let Some(inside) = &part.inside {
        let _ = writeln!(out, "{indent}subgraph {id}[\"{label}\"]");
        body(out, inside, &format!("{id}_"), depth + 1, classes);
        let _ = writeln!(out, "{indent}end");
        return;
    }
    let (open, close) = match (part.conditional, part.matrix) {
        (true, _) => ("{{", "}}"),
        (false, true) => ("[[", "]]"),
        (false, false) => ("[", "]"),
    };
    let _ = writeln!(out, "{indent}{id}{open}\"{label}\"{close}");
}

/// Text as it can stand between quotes: whatever Mermaid or a browser could
/// take for more than text is written by its number.
fn quoted(text: &str) -> String {
    let mut safe = String::new();
    for c in visible(text).chars() {
        let plain = c.is_alphanumeric() || " _.,:/()[]=+-".contains(c);
        if plain {
            safe.push(c);
        } else {
            let _ = write!(safe, "#{};", u32::from(c));
        }
    }
    safe
}
