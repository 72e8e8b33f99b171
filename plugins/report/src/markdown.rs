//! The page as Markdown (GitHub Flavored Markdown). Foreign text stands in code
//! spans, or with every character that could become markup as an entity: an
//! entity is never structure (CommonMark, section 2.5).

use std::fmt::Write;

use crate::page::{Page, Section, capital, counted};
use crate::visible;

/// The whole document.
pub(crate) fn render(page: &Page) -> String {
    let mut out = format!("# {}\n\n{}\n", plain(&page.title), page.summary());
    if let Some(subject) = &page.sbom.subject {
        let _ = write!(out, "\nof {}\n", code(subject));
    }
    verdict(page, &mut out);
    findings(page, &mut out);
    dependencies(page, &mut out);
    components(page, &mut out);
    out
}

fn verdict(page: &Page, out: &mut String) {
    let Some(verdict) = &page.verdict else { return };
    let _ = write!(
        out,
        "\n## Verdict\n\n**{}**: {} passed, {}, {}, at {}\n",
        verdict.result.as_str(),
        verdict.successes,
        counted(usize::try_from(verdict.failures).unwrap_or(usize::MAX), "failure"),
        counted(usize::try_from(verdict.warnings).unwrap_or(usize::MAX), "warning"),
        code(&verdict.timestamp)
    );
    if !verdict.note.is_empty() {
        let _ = write!(out, "\n{}\n", plain(&verdict.note));
    }
}

fn findings(page: &Page, out: &mut String) {
    out.push_str("\n## Findings\n");
    let levels = page.levels();
    if levels.is_empty() {
        out.push_str("\nnothing was found\n");
    }
    for (level, sections) in levels {
        let total: usize = sections.iter().map(|section| section.total).sum();
        let _ = write!(out, "\n### {} ({total})\n", capital(level.plural()));
        for section in sections {
            rule(&section, out);
        }
    }
}

fn rule(section: &Section<'_>, out: &mut String) {
    let _ = write!(
        out,
        "\n#### {}\n\n",
        if section.rule.is_empty() { "no rule".to_owned() } else { code(section.rule) }
    );
    if !section.title.is_empty() {
        let _ = write!(out, "{}\n\n", plain(section.title));
    }
    if !section.help.is_empty() {
        let _ = write!(out, "what to do: {}\n\n", plain(section.help));
    }
    if !section.rows.shown.is_empty() {
        out.push_str("| where | what |\n| --- | --- |\n");
    }
    for (place, message) in &section.rows.shown {
        let _ = writeln!(out, "| {} | {} |", code(place), plain(message));
    }
    rest(section.rows.rest, "finding", out);
}

fn dependencies(page: &Page, out: &mut String) {
    out.push_str("\n## Dependencies\n");
    if page.sbom.components.is_empty() {
        out.push_str("\nthe SBOM lists no component\n");
    } else {
        out.push_str("\n| ecosystem | components | without a digest |\n| --- | ---: | ---: |\n");
    }
    for (ecosystem, tally) in page.ecosystems() {
        let _ = writeln!(out, "| {} | {} | {} |", code(ecosystem), tally.components, tally.unpinned);
    }
    let lock_files = page.lock_files();
    if !lock_files.shown.is_empty() {
        out.push_str("\n### Lock files\n\n");
    }
    for path in &lock_files.shown {
        let _ = writeln!(out, "- {}", code(path));
    }
    rest(lock_files.rest, "lock file", out);
    let lists = [
        ("Without a digest", "nothing checks what is downloaded for these", page.unpinned()),
        ("Digests that differ", "two lock files pin different content for one version", page.conflicting()),
    ];
    for (heading, meaning, list) in lists {
        if list.shown.is_empty() {
            continue;
        }
        let _ = write!(out, "\n### {heading} ({})\n\n{meaning}\n\n", list.shown.len() + list.rest);
        for component in &list.shown {
            let _ = writeln!(out, "- {} {}", code(&component.name), code(&component.version));
        }
        rest(list.rest, "component", out);
    }
}

fn components(page: &Page, out: &mut String) {
    let components = page.components();
    if components.shown.is_empty() {
        return;
    }
    let _ = write!(out, "\n## Components ({})\n\n", components.shown.len() + components.rest);
    out.push_str("| name | version | needed | digest | purl |\n| --- | --- | --- | --- | --- |\n");
    for component in &components.shown {
        let purl = component.purl.as_deref().unwrap_or_default();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            code(&component.name),
            code(&component.version),
            component.relation.as_str(),
            component.pin.as_str(),
            code(purl)
        );
    }
    rest(components.rest, "component", out);
}

fn rest(count: usize, noun: &str, out: &mut String) {
    if count > 0 {
        let _ = write!(out, "\nand {} more, not listed here\n", counted(count, noun));
    }
}

/// Foreign text as code. A pipe or a backtick cannot be written safely inside
/// backticks in a table, and a tag would be one where the text is shown without
/// being rendered: such text becomes an element with entities.
fn code(text: &str) -> String {
    let text = visible::escape(text.trim());
    if text.is_empty() {
        "-".to_owned()
    } else if text.contains(['`', '|', '<']) {
        format!("<code>{}</code>", entities(&text))
    } else {
        format!("`{text}`")
    }
}

/// Foreign text as prose.
fn plain(text: &str) -> String {
    entities(&visible::escape(text))
}

fn entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (index, c) in text.char_indices() {
        let address = c == ':' && text.get(index..).is_some_and(|rest| rest.starts_with("://"));
        if address || "&<>|`*_[]\\~#@\"'!$".contains(c) {
            let _ = write!(out, "&#{};", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_become_markup() {
        assert_eq!(plain("<b>|`*_\n[x](y)"), "&#60;b&#62;&#124;&#96;&#42;&#95;&#92;u{a}&#91;x&#93;(y)");
        assert_eq!(code("a|b<i>"), "<code>a&#124;b&#60;i&#62;</code>");
        assert_eq!(code("x`y"), "<code>x&#96;y</code>");
        assert_eq!(code("@scope/a_b*\n"), "`@scope/a_b*`");
        assert_eq!(code("a\nb"), "`a\\u{a}b`");
        assert_eq!(code(" "), "-");
        assert_eq!(plain("see https://h.example.test @you"), "see https&#58;//h.example.test &#64;you");
    }
}
