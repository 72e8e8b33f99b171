//! `cofferdam task new`: a task that builds, with its tests, its README and its
//! CI, and everything of Cofferdam's that it is built with.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use cofferdam_manifest::Name;
use serde::Serialize;

use super::failure::Failure;
use super::printer::Printer;
use super::task_files::{self, Text};
use super::{exit, export, toolchain};

/// What templates call the task.
const PLACEHOLDER: &str = "my-task";

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam task new count-lines --lang rust\n  \
    cofferdam task new check-links --lang js --directory tasks/check-links")]
pub(crate) struct TaskNewArgs {
    /// The name of the task: lower-case letters, digits and `-`.
    #[arg(value_name = "NAME", value_parser = name)]
    pub(crate) name: Name,
    /// The language it is written in.
    #[arg(long, value_enum)]
    pub(crate) lang: Language,
    /// Where to write it; left out, a new directory of its name.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) directory: Option<PathBuf>,
}

/// A language that tasks can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// Rust, compiled by cargo.
    Rust,
    /// JavaScript, inside QuickJS.
    Js,
    /// Python, inside CPython.
    Python,
    /// C, with the C library.
    C,
}

fn name(text: &str) -> Result<Name, cofferdam_manifest::InvalidName> {
    text.to_owned().try_into()
}

/// What was written.
#[derive(Debug, Serialize)]
struct Made<'a> {
    task: &'a str,
    directory: &'a Path,
    files: usize,
}

pub(crate) fn run(args: &TaskNewArgs, printer: &Printer) -> Result<u8, Failure> {
    let name = args.name.as_str();
    let directory = args.directory.clone().unwrap_or_else(|| name.into());
    export::make_new(&directory)?;
    let files = args.lang.files();
    for (path, text) in &files {
        let path = directory.join(path);
        let parent = path.parent().unwrap_or(&directory);
        fs::create_dir_all(parent).map_err(|error| Failure::io("create", parent, &error))?;
        super::write_file(&path, text.replace(PLACEHOLDER, name).as_bytes())?;
    }
    let made = Made { task: name, directory: &directory, files: files.len() };
    printer.result(&made, |palette| {
        let shown = directory.display();
        let mut text = format!("made {} in {shown}\n", palette.strong.apply_to(name));
        if let Some(tools) = args.lang.tools() {
            text += &format!("next: (cd {shown} && {tools})\n");
        }
        text + &format!("next: cofferdam task test {shown}\n")
    });
    Ok(exit::OK)
}

impl Language {
    /// Everything that a task in it begins with.
    fn files(self) -> Vec<Text> {
        let parts: &[&[Text]] = match self {
            Self::Rust => {
                &[task_files::RUST, task_files::CONTRACT, task_files::RUST_SDK, &[task_files::RUST_WORKSPACE]]
            }
            Self::Js => &[task_files::JAVASCRIPT],
            Self::Python => &[task_files::PYTHON, task_files::CONTRACT],
            Self::C => &[task_files::C, task_files::CONTRACT],
        };
        parts.concat()
    }

    /// What installs its tools, where that is done for each task.
    fn tools(self) -> Option<&'static str> {
        match self {
            Self::Rust => None,
            Self::Js => Some(toolchain::NPM),
            Self::Python | Self::C => Some(toolchain::PIP),
        }
    }
}
