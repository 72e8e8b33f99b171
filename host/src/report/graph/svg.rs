//! A graph as a drawing that can be read in light and in dark, and aloud.

use std::fmt::Write as _;

use super::layout::{Frame, LINE, LONGEST, Layout, PADDING};
use super::{Body, Graph, Part, Tone};
use crate::report::words::visible;

const MARGIN: usize = 16;
const STYLE: &str = "\
text{font:13px ui-sans-serif,system-ui,sans-serif;fill:#1f2328}.note{font-size:11px;fill:#57606a}\
rect{fill:#fff;stroke:#8c959f}.paper{fill:#fff;stroke:none}.group{fill:#f6f8fa}.finally{fill:none;stroke-dasharray:6 4}\
path{fill:none;stroke:#57606a;stroke-width:1.5}.waits{stroke-dasharray:5 4}.head{fill:#57606a;stroke:none}\
.good>rect{fill:#d2f5dc;stroke:#1a7f37}.bad>rect{fill:#ffd9d6;stroke:#cf222e}\
.caution>rect{fill:#fff1c4;stroke:#9a6700}.faint>rect{fill:#eaeef2}\
.untrusted>rect{stroke:#cf222e;stroke-width:2;stroke-dasharray:6 4}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.note{fill:#9ea7b3}\
rect{fill:#161b22;stroke:#6e7681}.paper{fill:#0d1117}.group{fill:#10151c}path{stroke:#8b949e}.head{fill:#8b949e}\
.good>rect{fill:#0f3d1e;stroke:#3fb950}.bad>rect{fill:#4c1417;stroke:#f85149}\
.caution>rect{fill:#3f2f06;stroke:#d29922}.faint>rect{fill:#21262d}.untrusted>rect{stroke:#f85149}}";

/// A graph as SVG.
#[must_use]
pub fn svg(graph: &Graph) -> String {
    let layout = Layout::of(&graph.body);
    let (width, height) = (layout.width + 2 * MARGIN, layout.height + 2 * MARGIN);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\" aria-labelledby=\"title description\">\n\
         <title id=\"title\">{}</title>\n<desc id=\"description\">{}</desc>\n<style>{}</style>\n\
         <defs><marker id=\"head\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
         orient=\"auto\"><path class=\"head\" d=\"M0 0L8 4L0 8z\"/></marker></defs>\n\
         <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n",
        text(&graph.title),
        text(&graph.description),
        STYLE.replace('>', "&gt;"),
    );
    draw(&mut out, &graph.body, &layout, (MARGIN, MARGIN));
    out + "</svg>\n"
}

/// Draws the parts of one pipeline, whose corner is given.
fn draw(out: &mut String, body: &Body, layout: &Layout, corner: (usize, usize)) {
    let at = |frame: &Frame| Frame { x: frame.x + corner.0, y: frame.y + corner.1, ..*frame };
    // Below the parts: an edge that passes one goes behind it.
    for edge in body.sound_edges() {
        let (Some(from), Some(to)) = (layout.frames.get(edge.from), layout.frames.get(edge.to)) else {
            continue;
        };
        let (from, to) = (at(from), at(to));
        let (x1, y1) = (from.x + from.width, from.y + from.height / 2);
        let (x2, y2) = (to.x, to.y + to.height / 2);
        let bend = x2.saturating_sub(x1) / 2;
        let class = if edge.uses { "uses" } else { "waits" };
        let (bend1, bend2) = (x1 + bend, x2.saturating_sub(bend));
        let _ = writeln!(
            out,
            "<path class=\"{class}\" d=\"M{x1} {y1}C{bend1} {y1} {bend2} {y2} {x2} {y2}\" marker-end=\"url(#head)\"/>"
        );
    }
    if let Some(Frame { x, y, width, height }) = layout.finally.as_ref().map(at) {
        let (tx, ty) = (x + PADDING, y + LINE);
        let _ = writeln!(
            out,
            "<rect class=\"finally\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"8\"/>\
             <text class=\"note\" x=\"{tx}\" y=\"{ty}\">finally</text>"
        );
    }
    for ((part, frame), inside) in body.parts.iter().zip(&layout.frames).zip(&layout.inside) {
        draw_part(out, part, &at(frame), inside.as_ref());
    }
}

fn draw_part(out: &mut String, part: &Part, frame: &Frame, inside: Option<&Layout>) {
    let tone = match part.tone {
        Tone::Plain => "plain",
        Tone::Good => "good",
        Tone::Bad => "bad",
        Tone::Caution => "caution",
        Tone::Faint => "faint",
    };
    let untrusted = if part.untrusted { " untrusted" } else { "" };
    let Frame { x, y, width, height } = *frame;
    let whole: Vec<&str> =
        [&part.task, &part.label].into_iter().chain(&part.notes).map(String::as_str).collect();
    let _ = writeln!(out, "<g class=\"{tone}{untrusted}\"><title>{}</title>", text(&whole.join(", ")));
    if part.matrix {
        // As one of several sheets.
        let (x, y) = (x + 4, y + 4);
        let _ = writeln!(out, "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"8\"/>");
    }
    let round = if part.conditional { 22 } else { 6 };
    let class = if inside.is_some() { " class=\"group\"" } else { "" };
    let _ = writeln!(
        out,
        "<rect{class} x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{round}\"/>"
    );
    let mut below = y + PADDING;
    for (index, line) in std::iter::once(&part.label).chain(&part.notes).enumerate() {
        let class = if index == 0 { "" } else { " class=\"note\"" };
        let (x, y) = (x + PADDING, below + 13);
        let _ = writeln!(out, "<text{class} x=\"{x}\" y=\"{y}\">{}</text>", text(&short(line)));
        below += LINE;
    }
    if let (Some(body), Some(layout)) = (&part.inside, inside) {
        draw(out, body, layout, (x + PADDING, below + PADDING));
    }
    out.push_str("</g>\n");
}

fn short(line: &str) -> String {
    if line.chars().count() <= LONGEST {
        return line.to_owned();
    }
    line.chars().take(LONGEST - 1).chain(['…']).collect()
}

/// Text as XML: nothing in it is markup, and nothing that XML forbids.
fn text(text: &str) -> String {
    let mut safe = String::new();
    for c in visible(text).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // XML 1.0, section 2.2.
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            c if c.is_control() => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}
