//! `cofferdam task list`: every task of a layout, or every version of a task in a
//! registry, and by which rule it is trusted. Runs nothing of any.

use std::path::{Path, PathBuf};

use clap::Args;
use cofferdam_registry::{Digest, Layout, LayoutError, Location, Reference};

use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use super::{exit, registries};
use crate::plan::{Glance, Pinning, RegistryResolver, ResolveError};
use crate::report::{TaskLine, TaskList, TaskTold, task_list_text};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam task list\n  cofferdam task list oci:vendor/registry\n  \
    cofferdam task list registry.example/team/sbom")]
pub(crate) struct TaskListArgs {
    /// A layout, or a task of a registry, whose versions are listed; left out, the
    /// embedded registry.
    #[arg(value_name = "oci:PATH|HOST/PATH/NAME")]
    layout: Option<String>,
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
    }
    Ok(show(list, printer))
}

fn show(mut list: TaskList, printer: &Printer) -> u8 {
    list.tasks.sort_by_cached_key(TaskLine::order);
    list.pipelines.sort();
    printer.result(&list, |palette| task_list_text(&list, palette));
    let whole = list.tasks.iter().all(|task| task.problem.is_none());
    if whole { exit::OK } else { exit::RUN_FAILED }
}

/// Lists what a registry over HTTP has under the tags of a repository, as far as
/// it is known without the code.
fn tags(written: &str, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let reference = Reference::parse(written, Path::new("/")).ok();
    let Some(Reference { location: Location::Remote(host), name, digest: None, .. }) = reference else {
        let help = "write oci:PATH, HOST/PATH/NAME, or nothing for the tasks of this installation";
        return Err(Failure::usage(format!("`{written}` is no layout, and no task of a registry"), help));
    };
    let here = std::env::current_dir().map_err(|error| Failure::unreadable(Path::new("."), &error))?;
    // What tags stand for now, whatever the repository here pins.
    let resolver = registries::resolver(home, &here, Pinning::Update, false)?;
    let mut found: Vec<(Reference, Vec<String>)> = Vec::new();
    let mut list = TaskList { layout: format!("{host}/{name}"), tasks: Vec::new(), pipelines: Vec::new() };
    for (tagged, digest) in resolver.registries().tags(&host, &name)? {
        let tag = format!("{}:{}", tagged.task_name(), tagged.tag.as_deref().unwrap_or_default());
        let pinned = match digest {
            Ok(digest) => tagged.pinned(digest),
            Err(error) => {
                list.tasks.push(TaskLine::unreadable(None, vec![tag], error.to_string()));
                continue;
            }
        };
        match found.iter_mut().find(|(known, _)| known.digest == pinned.digest) {
            Some((_, names)) => names.push(tag),
            None => found.push((pinned, vec![tag])),
        }
    }
    for (reference, names) in found {
        match resolver.glance_alone(&reference) {
            Ok(found) => list.tasks.push(glanced(names, found)),
            Err(ResolveError::Registry(LayoutError::OtherKind { .. })) => list.pipelines.extend(names),
            Err(error) => list.tasks.push(TaskLine::unreadable(reference.digest, names, error.to_string())),
        }
    }
    Ok(show(list, printer))
}

fn glanced(names: Vec<String>, found: Glance) -> TaskLine {
    let Glance { reference, head, manifest, trust, .. } = found;
    let told = TaskTold {
        name: manifest.metadata.name.to_string(),
        version: manifest.metadata.version,
        reference,
        component: head.component_digest,
        size: head.size,
        trust,
    };
    TaskLine { names, digest: Some(head.digest), told: Some(told), problem: None }
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
        Ok(found) => TaskLine::new(digest, names, &found.identity, found.component.bytes.len() as u64),
        Err(problem) => TaskLine::unreadable(Some(digest), names, problem),
    })
}
