//! `cofferdam lock` and `cofferdam vendor`: what tags stand for, and copies of
//! what they stand for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use cofferdam_registry::{Digest, Layout};
use serde::Serialize;

use super::exit;
use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use super::{lint_files, plan};
use crate::plan::{Lock, Pin, Pinning, Registries, VENDOR, repository_directory};
use crate::report::visible;

/// Where copies are made that take the place of those in [`VENDOR`].
const ANEW: &str = "vendor.new";
/// Where those go first: at no time is there neither.
const ASIDE: &str = "vendor.old";

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cofferdam lock                            the pipelines below .cofferdam/\n  \
    cofferdam lock --update .cofferdam/build.yaml\n\n\
    `run` and `plan` pin what has no pin yet, too; with --locked they refuse it."
)]
pub(crate) struct LockArgs {
    /// Pipelines, or directories that hold some; left out, those below
    /// `.cofferdam/`.
    #[arg(value_name = "FILE|DIRECTORY")]
    paths: Vec<PathBuf>,
    /// Ask the registries anew what is pinned already, and fetch signatures that
    /// came later.
    #[arg(long)]
    update: bool,
    /// Remove the pins that none of these pipelines uses.
    #[arg(long)]
    prune: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cofferdam vendor && git add .cofferdam\n\n\
    Runs then ask no registry for what is in .cofferdam/vendor, an OCI image layout.")]
pub(crate) struct VendorArgs {
    /// Pipelines, or directories that hold some; left out, those below
    /// `.cofferdam/`.
    #[arg(value_name = "FILE|DIRECTORY")]
    paths: Vec<PathBuf>,
    /// Remove the copies of what none of these pipelines uses.
    #[arg(long)]
    prune: bool,
}

/// A pin, and what it was before.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PinView {
    reference: String,
    #[serde(flatten)]
    pin: Pin,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Pin>,
}

#[derive(Debug, Default, Serialize)]
struct LockView {
    pins: Vec<PinView>,
    /// What is in layouts in directories, and so has no pin.
    skipped: BTreeSet<String>,
    /// The pins that no pipeline used, and that are gone.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    removed: BTreeSet<String>,
}

#[derive(Debug, Serialize)]
struct VendorView {
    directory: String,
    artifacts: Vec<VendoredView>,
    /// What is in layouts in directories, and so is not copied.
    skipped: BTreeSet<String>,
    /// The copies that no pipeline used, and that are gone.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    removed: BTreeSet<String>,
}

#[derive(Debug, Serialize)]
struct VendoredView {
    reference: String,
    digest: Digest,
}

pub(crate) fn lock(args: &LockArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let pinning = if args.update { Pinning::Update } else { Pinning::Resolve };
    let mut view = LockView::default();
    // By the file the pins are in, which pipelines of several directories share.
    let mut used: BTreeMap<PathBuf, (PathBuf, BTreeSet<String>)> = BTreeMap::new();
    for file in lint_files::pipelines(&args.paths)? {
        let base = plan::base_of(&file)?;
        let before = Lock::load(&base)?;
        let resolver = plan::resolved(&file, home, pinning)?;
        for (reference, pin) in resolver.registries().pins() {
            let old = before.get(&reference).filter(|old| **old != pin).cloned();
            if !view.pins.iter().any(|seen| seen.reference == reference) {
                view.pins.push(PinView { reference, pin, before: old });
            }
        }
        view.skipped.extend(resolver.registries().in_layouts());
        let (_, names) = used.entry(repository_directory(&base)).or_insert((base, BTreeSet::new()));
        // Before they are written, after which there are none.
        names.extend(resolver.registries().used_pins());
        resolver.registries().save_pins()?;
    }
    for (base, names) in used.values().filter(|_| args.prune) {
        let mut lock = Lock::load(base)?;
        view.removed.extend(lock.retain(names).into_keys());
        lock.save()?;
    }
    view.pins.retain(|pin| !view.removed.contains(&pin.reference));
    printer.result(&view, |_| lock_text(&view) + &skipped_text(&view.skipped, "pinned"));
    Ok(exit::OK)
}

fn lock_text(view: &LockView) -> String {
    let gone =
        |reference: &String| format!("removed, since no pipeline here names it: {}\n", visible(reference));
    let mut text: String = view.removed.iter().map(gone).collect();
    if view.pins.is_empty() {
        return text + "no pipeline here names a task of a registry over HTTP: nothing to pin\n";
    }
    for PinView { reference, pin, before } in &view.pins {
        // Foreign text: the file may be somebody else's.
        let signer =
            |pin: &Pin| visible(pin.signed_by.as_deref().unwrap_or("nobody who is trusted")).into_owned();
        let reference = visible(reference);
        text.push_str(&format!("{reference}\n  {}\n  signed by {}\n", pin.digest, signer(pin)));
        if let Some(before) = before {
            text.push_str(&format!("  was {}, signed by {}\n", before.digest, signer(before)));
        }
    }
    text
}

pub(crate) fn vendor(args: &VendorArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let (mut views, mut skipped) = (Vec::new(), BTreeSet::new());
    let mut repositories = BTreeSet::new();
    for file in lint_files::pipelines(&args.paths)? {
        let resolver = plan::resolved(&file, home, Pinning::Resolve)?;
        let registries = resolver.registries();
        if let Some(repository) = registries.lock_directory() {
            let into = repository.join(if args.prune { ANEW } else { VENDOR });
            // What an interrupted one left.
            if repositories.insert(repository) && args.prune {
                remove(&into)?;
            }
            views.extend(copy(registries, &into)?);
        }
        skipped.extend(registries.in_layouts());
        registries.save_pins()?;
    }
    let mut removed = BTreeSet::new();
    for repository in repositories.iter().filter(|_| args.prune) {
        removed.extend(put_in_place(repository)?);
    }
    let mut view = VendorView { directory: String::new(), artifacts: Vec::new(), skipped, removed };
    for (directory, artifact) in views {
        view.directory = directory.with_file_name(VENDOR).display().to_string();
        if !view.artifacts.iter().any(|seen| seen.digest == artifact.digest) {
            view.artifacts.push(artifact);
        }
    }
    printer.result(&view, |_| {
        let copied = match view.artifacts.as_slice() {
            [] => "no pipeline here names a task of a registry over HTTP: nothing to copy\n".to_owned(),
            artifacts => {
                let lines = artifacts.iter().map(|artifact| format!("  {}\n", artifact.reference));
                format!("copied to {}\n{}", view.directory, lines.collect::<String>())
            }
        };
        let gone = |name: &String| format!("removed, since no pipeline here names it: {}\n", visible(name));
        let removed: String = view.removed.iter().map(gone).collect();
        removed + &copied + &skipped_text(&view.skipped, "copied")
    });
    Ok(exit::OK)
}

/// What is said of references that lead into directories.
fn skipped_text(skipped: &BTreeSet<String>, what: &str) -> String {
    let line = |reference| format!("not {what}, since it is in a directory: {}\n", visible(reference));
    skipped.iter().map(|reference| line(reference)).collect()
}

fn copy(registries: &Registries, into: &Path) -> Result<Vec<(PathBuf, VendoredView)>, Failure> {
    let mut copied = Vec::new();
    for (layout, reference) in registries.found() {
        let Some(digest) = reference.digest else { continue };
        Layout::open_or_create(into)?.copy_from(&layout, digest, reference.ref_name())?;
        copied.push((into.to_owned(), VendoredView { reference: reference.to_string(), digest }));
    }
    Ok(copied)
}

/// Puts the copies that were made anew in the place of the old ones, of which they
/// may have been taken. Says which of those are not among them.
fn put_in_place(repository: &Path) -> Result<BTreeSet<String>, Failure> {
    let (old, new) = (repository.join(VENDOR), repository.join(ANEW));
    let names = |path: &Path| -> Result<BTreeSet<String>, Failure> {
        if !path.exists() {
            return Ok(BTreeSet::new());
        }
        let names = Layout::open(path)?.names()?;
        Ok(names.into_iter().map(|(name, digest)| format!("{name}@{digest}")).collect())
    };
    // What is no layout is not removed.
    let before = names(&old)?;
    let after = names(&new)?;
    let rename = |from: &Path, to: &Path| match std::fs::rename(from, to) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::io("rename", from, &error))
        }
        Ok(()) | Err(_) => Ok(()),
    };
    let aside = repository.join(ASIDE);
    remove(&aside)?;
    rename(&old, &aside)?;
    rename(&new, &old)?;
    remove(&aside)?;
    Ok(before.difference(&after).cloned().collect())
}

fn remove(directory: &Path) -> Result<(), Failure> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::io("remove", directory, &error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
