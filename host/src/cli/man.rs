//! `cofferdam man`: a manual page for each command, made of what `--help` says.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use serde_json::json;

use super::commands::{Cli, ManArgs};
use super::exit;
use super::failure::Failure;
use super::printer::Printer;

pub(crate) fn run(args: &ManArgs, printer: &Printer) -> Result<u8, Failure> {
    let directory = &args.directory;
    std::fs::create_dir_all(directory).map_err(|error| Failure::io("create", directory, &error))?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut written = Vec::new();
    write_all(&command, &[], directory, &mut written)?;
    written.sort();
    printer.result(&json!({ "directory": directory, "pages": written }), |_| {
        let count = written.len();
        let program = format!("man {}", directory.join("cofferdam.1").display());
        format!("wrote {count} pages to {}; read them with: {program}\n", directory.display())
    });
    Ok(exit::OK)
}

/// Writes the page of a command, then those of the commands below it.
fn write_all(
    command: &Command,
    above: &[String],
    directory: &Path,
    written: &mut Vec<String>,
) -> Result<(), Failure> {
    let mut name = above.to_vec();
    name.push(command.get_name().to_owned());
    let file = format!("{}.1", name.join("-"));
    let text = page(command, &name).map_err(|error| Failure::io("write", &directory.join(&file), &error))?;
    super::write_file(&directory.join(&file), &text)?;
    written.push(file);
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        write_all(below, &name, directory, written)?;
    }
    Ok(())
}

fn page(command: &Command, name: &[String]) -> io::Result<Vec<u8>> {
    let title = name.join("-");
    let version = command.get_version().unwrap_or_default();
    let man = Man::new(command.clone()).title(title.to_uppercase()).source(format!("cofferdam {version}"));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let more = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    page.extend_from_slice(sections(&more).as_bytes());
    page.extend_from_slice(see_also(name).as_bytes());
    Ok(page)
}

/// What stands below a command's help: examples, and what else is to be known.
fn sections(text: &str) -> String {
    let mut out = String::new();
    for (index, block) in text.split("\n\n").filter(|block| !block.trim().is_empty()).enumerate() {
        let (heading, block) = match block.split_once('\n') {
            Some((first, rest)) if first.starts_with("Example") => (".SH EXAMPLES\n", rest),
            _ if index == 1 => (".SH NOTES\n", block),
            _ => (".PP\n", block),
        };
        // Lines stay as they are: commands are typed as they stand there.
        let lines: String = block.lines().map(|line| verbatim(line) + "\n").collect();
        let _ = write!(out, "{heading}.nf\n{lines}.fi\n");
    }
    out
}

fn see_also(name: &[String]) -> String {
    match name {
        [] | [_] => String::new(),
        [above @ .., _] => format!(".SH \"SEE ALSO\"\n{}(1)\n", verbatim(&above.join("-"))),
    }
}

/// A line that roff prints as it is.
fn verbatim(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    if line.starts_with('.') { format!("\\&{line}") } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_an_example_is_an_instruction_to_roff() {
        let text = "Examples:\n  a --b 'c'\n.x \\n\n\nMore:\nwords";
        let shown = ".SH EXAMPLES\n.nf\n  a \\-\\-b \\(aqc\\(aq\n\\&.x \\en\n.fi\n.SH NOTES\n.nf\nMore:\nwords\n.fi\n";
        assert_eq!(sections(text), shown);
    }
}
