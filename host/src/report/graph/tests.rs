//! Graphs as they are written, and names that would like to be more than names.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]

use super::layout::Layout;
use super::*;

fn part(label: &str, inside: Option<Body>) -> Part {
    Part {
        task: "task".to_owned(),
        label: label.to_owned(),
        notes: vec!["sbom 0.1.0".to_owned()],
        tone: Tone::Good,
        matrix: false,
        conditional: false,
        untrusted: false,
        inside,
    }
}

fn edge(from: usize, to: usize, uses: bool) -> Edge {
    Edge { from, to, uses }
}

/// A diamond whose last part is a pipeline, and one part of `finally`.
fn graph(label: &str) -> Graph {
    let inner = Body { parts: vec![part(label, None)], finally_from: 1, edges: Vec::new() };
    let mut parts = vec![part("a", None), part("b", None), part("c", None), part(label, Some(inner))];
    parts[1].conditional = true;
    parts[2].matrix = true;
    parts[2].untrusted = true;
    parts.push(part("last", None));
    let edges = vec![edge(0, 1, true), edge(0, 2, false), edge(1, 3, true), edge(2, 3, false)];
    let body = Body { parts, finally_from: 4, edges };
    Graph { title: "pipeline p".to_owned(), description: "pipeline p: 4 tasks".to_owned(), body }
}

#[test]
fn every_part_stands_right_of_what_it_follows_and_on_no_other() {
    let graph = graph("d");
    let layout = Layout::of(&graph.body);
    let frames = &layout.frames;
    for edge in &graph.body.edges {
        assert!(frames[edge.from].x + frames[edge.from].width < frames[edge.to].x, "{edge:?} {frames:?}");
    }
    for (index, one) in frames.iter().enumerate() {
        assert!(one.x + one.width <= layout.width && one.y + one.height <= layout.height);
        for other in &frames[index + 1..] {
            let apart = one.x + one.width <= other.x
                || other.x + other.width <= one.x
                || one.y + one.height <= other.y
                || other.y + other.height <= one.y;
            assert!(apart, "{one:?} {other:?}");
        }
    }
    let inside = layout.inside[3].as_ref().unwrap();
    assert!(inside.width <= frames[3].width && inside.height <= frames[3].height);
}

#[test]
fn a_graph_that_goes_round_is_drawn_all_the_same() {
    let mut graph = graph("d");
    graph.body.edges.extend([edge(3, 0, true), edge(9, 0, true), edge(1, 1, true), edge(4, 0, true)]);
    assert!(svg(&graph).ends_with("</svg>\n"));
}

#[test]
fn a_graph_is_written_in_each_language() {
    insta::assert_snapshot!("graph_mermaid", mermaid(&graph("d")));
    insta::assert_snapshot!("graph_dot", dot(&graph("d")));
    insta::assert_snapshot!("graph_svg", svg(&graph("d")));
}

const HOSTILE: [&str; 9] = [
    "\"]; click n0 href \"javascript:alert(1)\"",
    "</text><script>alert(1)</script>",
    "\"; } digraph { x -> y",
    "\\\" -> \\",
    "a\nend\n  n9 --> n8",
    "#quot; & %%{init: {}}%% `**b**`",
    "]]> <!-- --> <?x?>",
    "\u{202e}\u{0}\u{1b}[31m\u{fffe}\u{2028}",
    "subgraph x ; end",
];

#[test]
fn no_name_is_more_than_a_name() {
    let plain = graph("name");
    let shape = |text: &str| text.lines().count();
    for name in HOSTILE {
        let hostile = graph(name);
        let text = mermaid(&hostile);
        assert_eq!(shape(&text), shape(&mermaid(&plain)), "{text}");
        // Outside of the two quotes of each label, nothing of it stands.
        for (line, other) in text.lines().zip(mermaid(&plain).lines()) {
            let outside = |line: &str| line.split('"').step_by(2).collect::<Vec<_>>().join("");
            assert_eq!(outside(line), outside(other), "{line}");
            assert!(!line.contains('`') && !line.contains("<s") && !line.contains("%%"), "{line}");
        }
        let text = dot(&hostile);
        assert_eq!(shape(&text), shape(&dot(&plain)), "{text}");
        assert_eq!(outside_strings(&text), outside_strings(&dot(&plain)), "{text}");
        assert_eq!(tags(&svg(&hostile)), tags(&svg(&plain)), "{name}");
    }
}

/// What of a text in Graphviz's language stands in no string.
fn outside_strings(text: &str) -> String {
    let (mut out, mut inside, mut escaped) = (String::new(), false, false);
    for c in text.chars() {
        match (inside, escaped, c) {
            (true, true, _) => escaped = false,
            (true, false, '\\') => escaped = true,
            (_, _, '"') => inside = !inside,
            (true, ..) => {}
            (false, ..) => out.push(c),
        }
    }
    assert!(!inside, "{text}");
    out
}

/// The names of all tags; fails where the document is not well-formed.
fn tags(text: &str) -> Vec<String> {
    let (mut found, mut open) = (Vec::new(), Vec::new());
    for after in text.split('<').skip(1) {
        let (tag, content) = after.split_once('>').unwrap();
        assert!(!content.contains('>'), "{content}");
        for part in content.split('&').skip(1) {
            assert!(part.split_once(';').is_some_and(|(entity, _)| entity.len() < 6), "{content}");
        }
        assert!(!content.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{fffe}'), "{content:?}");
        let name = tag.trim_end_matches('/').split(' ').next().unwrap();
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop().as_deref(), Some(name)),
            None if tag.ends_with('/') => {}
            None => open.push(name.to_owned()),
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        found.push(name.to_owned());
    }
    assert!(open.is_empty(), "{open:?}");
    found
}
