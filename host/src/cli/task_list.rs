//! `cofferdam task list`: every task of a layout, and by which rule it is
//! trusted. Runs nothing of any.

use std::path::{Path, PathBuf};

use cofferdam_registry::{Digest, Layout, Reference};

use super::commands::TaskListArgs;
use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use super::{exit, registries};
use crate::plan::{Pinning, RegistryResolver};
use crate::report::{TaskLine, TaskList, task_list_text};

pub(crate) fn run(args: &TaskListArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let (root, prefix) = match &args.layout {
        None => (home.registry(), String::new()),
        Some(layout) => {
            let path = layout.strip_prefix("oci:").filter(|path| !path.is_empty()).ok_or_else(|| {
                let message = format!("`{layout}` is no layout");
                Failure::usage(message, "write oci:PATH, or nothing for the tasks of this installation")
            })?;
            (PathBuf::from(path), format!("{layout}:"))
        }
    };
    let mut list = TaskList { layout: root.display().to_string(), tasks: Vec::new() };
    // Before anything is published, there is none; one that is named must be there.
    if args.layout.is_some() || root.exists() {
        let here = std::env::current_dir().map_err(|error| Failure::unreadable(Path::new("."), &error))?;
        let resolver = registries::resolver(home, &here, Pinning::Resolve, false)?;
        for (digest, names) in by_digest(&root)? {
            list.tasks.push(line(digest, names, &prefix, (&resolver, &here)));
        }
        list.tasks.sort_by_cached_key(crate::report::TaskLine::order);
    }
    printer.result(&list, |palette| task_list_text(&list, palette));
    let whole = list.tasks.iter().all(|task| task.problem.is_none());
    Ok(if whole { exit::OK } else { exit::RUN_FAILED })
}

/// The digests that have names, each with those.
fn by_digest(root: &Path) -> Result<Vec<(Digest, Vec<String>)>, Failure> {
    let mut found: Vec<(Digest, Vec<String>)> = Vec::new();
    for (name, digest) in Layout::open(root)?.names()? {
        match found.iter_mut().find(|(known, _)| *known == digest) {
            Some((_, names)) => names.push(name),
            None => found.push((digest, vec![name])),
        }
    }
    Ok(found)
}

/// One task; what is wrong with it, where it cannot be read.
fn line(
    digest: Digest,
    names: Vec<String>,
    prefix: &str,
    (resolver, here): (&RegistryResolver, &Path),
) -> TaskLine {
    let first = names.first().map(String::as_str).unwrap_or_default();
    let found = match Reference::parse(&format!("{prefix}{first}@{digest}"), here) {
        Ok(reference) => resolver.pull(&reference).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match found {
        Ok(found) => TaskLine::new(digest, names, &found.identity, found.component.bytes.len()),
        Err(problem) => TaskLine::unreadable(digest, names, problem),
    }
}
