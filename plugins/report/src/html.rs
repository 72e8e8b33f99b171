//! The page as one HTML file: no script, no address to load anything from, and
//! a content policy that says so. Foreign text is escaped where it is written.

use std::fmt::Write;

use crate::bom::{Component, Pin};
use crate::page::{Listed, Page, Section, capital, counted};
use crate::sarif::Level;
use crate::verdict::{Outcome, Verdict};
use crate::visible;

const STYLE: &str = include_str!("style.css");

/// The whole document.
pub(crate) fn render(page: &Page) -> String {
    let title = text(&page.title);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n"
    );
    if let Some(subject) = &page.sbom.subject {
        let _ = writeln!(out, "<p class=\"subject\">of <code>{}</code></p>", text(subject));
    }
    let _ = writeln!(out, "<p>{}</p>\n</header>\n<main>", text(&page.summary()));
    if let Some(verdict) = &page.verdict {
        self::verdict(verdict, &mut out);
    }
    numbers(page, &mut out);
    findings(page, &mut out);
    dependencies(page, &mut out);
    components(page, &mut out);
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn verdict(verdict: &Verdict, out: &mut String) {
    let tone = match verdict.result {
        Outcome::Success => "good",
        Outcome::Failure | Outcome::Error => "error",
        Outcome::Warning => "warning",
        Outcome::Skipped => "note",
    };
    let _ = writeln!(
        out,
        "<section class=\"verdict {tone}\" aria-label=\"verdict\">\n<strong>{}</strong> \
         <span>{} passed, {} failed, {} warned</span> <time>{}</time>\n<p>{}</p>\n</section>",
        verdict.result.as_str(),
        verdict.successes,
        verdict.failures,
        verdict.warnings,
        text(&verdict.timestamp),
        text(&verdict.note)
    );
}

fn numbers(page: &Page, out: &mut String) {
    let tone = |count: usize, tone| if count > 0 { tone } else { "" };
    let (errors, warnings) = (page.findings.count(Level::Error), page.findings.count(Level::Warning));
    let unpinned = page.unpinned_count();
    out.push_str("<dl class=\"numbers\">\n");
    for (name, count, tone) in [
        ("errors", errors, tone(errors, "error")),
        ("warnings", warnings, tone(warnings, "warning")),
        ("components", page.sbom.components.len(), ""),
        ("without a digest", unpinned, tone(unpinned, "warning")),
        ("lock files", page.sbom.lock_files.len(), ""),
    ] {
        let _ = writeln!(out, "<div class=\"{tone}\"><dt>{name}</dt><dd>{count}</dd></div>");
    }
    out.push_str("</dl>\n");
}

fn findings(page: &Page, out: &mut String) {
    out.push_str("<section>\n<h2>Findings</h2>\n");
    let levels = page.levels();
    if levels.is_empty() {
        out.push_str("<p class=\"empty\">nothing was found</p>\n");
    }
    for (level, sections) in levels {
        let tone = match level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Note | Level::None => "note",
        };
        let total: usize = sections.iter().map(|section| section.total).sum();
        let _ = writeln!(out, "<h3 class=\"{tone}\">{} <span>{total}</span></h3>", capital(level.plural()));
        for section in sections {
            rule(&section, out);
        }
    }
    out.push_str("</section>\n");
}

fn rule(section: &Section<'_>, out: &mut String) {
    let name = if section.rule.is_empty() { "no rule".to_owned() } else { text(section.rule) };
    let _ = writeln!(out, "<h4><code>{name}</code> {}</h4>", text(section.title));
    if !section.help.is_empty() {
        let _ = writeln!(out, "<p class=\"help\">{}</p>", text(section.help));
    }
    let rows = section
        .rows
        .shown
        .iter()
        .map(|(place, message)| vec![format!("<code>{}</code>", text(place)), text(message)]);
    table(&format!("findings of {name}"), &["where", "what"], rows, out);
    rest(section.rows.rest, "finding", out);
}

fn dependencies(page: &Page, out: &mut String) {
    out.push_str("<section>\n<h2>Dependencies</h2>\n");
    if page.sbom.components.is_empty() {
        out.push_str("<p class=\"empty\">the SBOM lists no component</p>\n");
    }
    let rows = page.ecosystems().into_iter().map(|(ecosystem, tally)| {
        vec![text(ecosystem), tally.components.to_string(), tally.unpinned.to_string()]
    });
    table("components by ecosystem", &["ecosystem", "components", "without a digest"], rows, out);
    let lock_files = page.lock_files();
    if !lock_files.shown.is_empty() {
        out.push_str("<h3>Lock files</h3>\n");
        list(lock_files.shown.iter().map(|path| format!("<code>{}</code>", text(path))), out);
        rest(lock_files.rest, "lock file", out);
    }
    warned("Without a digest", "nothing checks what is downloaded for these", &page.unpinned(), out);
    let meaning = "two lock files pin different content for one version";
    warned("Digests that differ", meaning, &page.conflicting(), out);
    out.push_str("</section>\n");
}

fn warned(heading: &str, meaning: &str, components: &Listed<&Component>, out: &mut String) {
    if components.shown.is_empty() {
        return;
    }
    let total = components.shown.len() + components.rest;
    let _ = writeln!(out, "<h3 class=\"warning\">{heading} <span>{total}</span></h3>\n<p>{meaning}</p>");
    let items = components
        .shown
        .iter()
        .map(|component| format!("<code>{}</code> {}", text(&component.name), text(&component.version)));
    list(items, out);
    rest(components.rest, "component", out);
}

fn components(page: &Page, out: &mut String) {
    let components = page.components();
    if components.shown.is_empty() {
        return;
    }
    let total = components.shown.len() + components.rest;
    let _ = writeln!(out, "<section>\n<h2>Components <span>{total}</span></h2>");
    let rows = components.shown.iter().map(|component| {
        let purl = component.purl.as_deref().map(|purl| format!("<code>{}</code>", text(purl)));
        let digest = match component.pin {
            Pin::Missing => "<span class=\"missing\">missing</span>",
            Pin::Digest | Pin::Commit | Pin::Parent | Pin::Own => component.pin.as_str(),
        };
        vec![
            format!("<strong>{}</strong>", text(&component.name)),
            text(&component.version),
            component.relation.as_str().to_owned(),
            digest.to_owned(),
            purl.unwrap_or_else(|| "-".to_owned()),
        ]
    });
    table("every component", &["name", "version", "needed", "digest", "purl"], rows, out);
    rest(components.rest, "component", out);
    out.push_str("</section>\n");
}

/// A table of cells that are already markup. On a narrow screen each row
/// becomes a block, and the headings are repeated from `data-label`; the roles
/// say that it is a table even then.
fn table(caption: &str, headings: &[&str], rows: impl Iterator<Item = Vec<String>>, out: &mut String) {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return;
    }
    let _ = write!(out, "<table role=\"table\">\n<caption>{caption}</caption>\n<thead><tr role=\"row\">");
    for heading in headings {
        let _ = write!(out, "<th scope=\"col\" role=\"columnheader\">{heading}</th>");
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        out.push_str("<tr role=\"row\">");
        for (heading, cell) in headings.iter().zip(row) {
            let _ = write!(out, "<td role=\"cell\" data-label=\"{heading}\">{cell}</td>");
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n");
}

fn list(items: impl Iterator<Item = String>, out: &mut String) {
    out.push_str("<ul>\n");
    for item in items {
        let _ = writeln!(out, "<li>{item}</li>");
    }
    out.push_str("</ul>\n");
}

fn rest(count: usize, noun: &str, out: &mut String) {
    if count > 0 {
        let _ = writeln!(out, "<p class=\"rest\">and {} more, not listed here</p>", counted(count, noun));
    }
}

/// Foreign text as text or as a quoted attribute.
fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in visible::escape(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_become_markup() {
        assert_eq!(text("<a href=\"x\" b='y'>&\n"), "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;\\u{a}");
    }
}
