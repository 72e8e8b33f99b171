//! `cofferdam task list`: every task of a layout, and by which rule it is
//! trusted. Runs nothing of any.

use std::path::{Path, PathBuf};

use clap::Args;
use cofferdam_registry::{Digest, Layout, Location, Reference, Remote};
use serde::Serialize;

use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use super::{exit, registries};
use crate::plan::{Pinning, RegistryResolver};
use crate::report::{TaskLine, TaskList, task_list_text};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam task list\n  cofferdam task list oci:vendor/registry\n  \
    cofferdam task list registry.example/team/sbom")]
pub(crate) struct TaskListArgs {
    /// A layout, or a task of a registry, whose tags are listed; left out, the
    /// embedded registry.
    #[arg(value_name = "oci:PATH|HOST/PATH/NAME")]
    layout: Option<String>,
}

/// The tags of a task in a registry over HTTP.
#[derive(Debug, Serialize)]
struct TagsView {
    reference: String,
    tags: Vec<String>,
}

pub(crate) fn run(args: &TaskListArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let path = |layout: &str| match layout.strip_prefix("oci:") {
        Some(path) if !path.is_empty() && !path.starts_with("//") => Some(PathBuf::from(path)),
        Some(_) | None => None,
    };
    let (root, prefix) = match &args.layout {
        None => (home.registry(), String::new()),
        Some(layout) => match path(layout) {
            Some(path) => (path, format!("{layout}:")),
            None => return tags(layout, home, printer),
        },
    };
    let mut list = TaskList { layout: root.display().to_string(), tasks: Vec::new(), pipelines: Vec::new() };
    // Before anything is published, there is none; one that is named must be there.
    if args.layout.is_some() || root.exists() {
        let here = std::env::current_dir().map_err(|error| Failure::unreadable(Path::new("."), &error))?;
        let resolver = registries::resolver(home, &here, Pinning::Resolve, false)?;
        let layout = Layout::open(&root)?;
        for (digest, names) in by_digest(&layout)? {
            if layout.is_bundle(digest) {
                list.pipelines.extend(names);
                continue;
            }
            list.tasks.push(line(digest, names, &prefix, &resolver)?);
        }
        list.tasks.sort_by_cached_key(TaskLine::order);
        list.pipelines.sort();
    }
    printer.result(&list, |palette| task_list_text(&list, palette));
    let whole = list.tasks.iter().all(|task| task.problem.is_none());
    Ok(if whole { exit::OK } else { exit::RUN_FAILED })
}

/// Lists the tags of a task in a registry over HTTP, without those that hold
/// signatures.
fn tags(written: &str, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let reference = Reference::parse(written, Path::new("/")).ok();
    let Some(Reference { location: Location::Remote(host), name, digest: None, .. }) = reference else {
        let help = "write oci:PATH, HOST/PATH/NAME, or nothing for the tasks of this installation";
        return Err(Failure::usage(format!("`{written}` is no layout, and no task of a registry"), help));
    };
    let remote = registries::wait(Remote::open(&host, &registries::settings(home)?))??;
    let mut tags = registries::wait(remote.tags(&name))??;
    tags.retain(|tag| !tag.starts_with("sha256-"));
    let view = TagsView { reference: format!("{host}/{name}"), tags };
    printer.result(&view, |_| view.tags.iter().map(|tag| format!("{}:{tag}\n", view.reference)).collect());
    Ok(exit::OK)
}

/// The digests that have names, each with those.
fn by_digest(layout: &Layout) -> Result<Vec<(Digest, Vec<String>)>, Failure> {
    let mut found: Vec<(Digest, Vec<String>)> = Vec::new();
    for (name, digest) in layout.names()? {
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
    resolver: &RegistryResolver,
) -> Result<TaskLine, Failure> {
    let here = std::env::current_dir().map_err(|error| Failure::unreadable(Path::new("."), &error))?;
    let first = names.first().map(String::as_str).unwrap_or_default();
    let found = match Reference::parse(&format!("{prefix}{first}@{digest}"), &here) {
        Ok(reference) => resolver.pull(&reference).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    Ok(match found {
        Ok(found) => TaskLine::new(digest, names, &found.identity, found.component.bytes.len()),
        Err(problem) => TaskLine::unreadable(digest, names, problem),
    })
}
