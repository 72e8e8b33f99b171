//! `cofferdam lock` and `cofferdam vendor`: what tags stand for, and copies of
//! what they stand for.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use cofferdam_registry::{Digest, Layout};
use serde::Serialize;

use super::exit;
use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use super::{lint_files, plan};
use crate::plan::{Lock, Pin, Pinning, Registries, VENDOR};
use crate::report::visible;

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
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cofferdam vendor && git add .cofferdam\n\n\
    Runs then ask no registry for what is in .cofferdam/vendor, an OCI image layout.")]
pub(crate) struct VendorArgs {
    /// Pipelines, or directories that hold some; left out, those below
    /// `.cofferdam/`.
    #[arg(value_name = "FILE|DIRECTORY")]
    paths: Vec<PathBuf>,
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
}

#[derive(Debug, Serialize)]
struct VendorView {
    directory: String,
    artifacts: Vec<VendoredView>,
    /// What is in layouts in directories, and so is not copied.
    skipped: BTreeSet<String>,
}

#[derive(Debug, Serialize)]
struct VendoredView {
    reference: String,
    digest: Digest,
}

pub(crate) fn lock(args: &LockArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let pinning = if args.update { Pinning::Update } else { Pinning::Resolve };
    let mut view = LockView::default();
    for file in lint_files::pipelines(&args.paths)? {
        let before = Lock::load(&plan::base_of(&file)?)?;
        let resolver = plan::resolved(&file, home, pinning)?;
        for (reference, pin) in resolver.registries().pins() {
            let old = before.get(&reference).filter(|old| **old != pin).cloned();
            if !view.pins.iter().any(|seen| seen.reference == reference) {
                view.pins.push(PinView { reference, pin, before: old });
            }
        }
        view.skipped.extend(resolver.registries().in_layouts());
        resolver.registries().save_pins()?;
    }
    printer.result(&view, |_| lock_text(&view) + &skipped_text(&view.skipped, "pinned"));
    Ok(exit::OK)
}

fn lock_text(view: &LockView) -> String {
    if view.pins.is_empty() {
        return "no pipeline here names a task of a registry over HTTP: nothing to pin\n".to_owned();
    }
    let mut text = String::new();
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
    for file in lint_files::pipelines(&args.paths)? {
        let resolver = plan::resolved(&file, home, Pinning::Resolve)?;
        views.extend(copy(resolver.registries())?);
        skipped.extend(resolver.registries().in_layouts());
        resolver.registries().save_pins()?;
    }
    let mut view = VendorView { directory: String::new(), artifacts: Vec::new(), skipped };
    for (directory, artifact) in views {
        view.directory = directory.display().to_string();
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
        copied + &skipped_text(&view.skipped, "copied")
    });
    Ok(exit::OK)
}

/// What is said of references that lead into directories.
fn skipped_text(skipped: &BTreeSet<String>, what: &str) -> String {
    let line = |reference| format!("not {what}, since it is in a directory: {}\n", visible(reference));
    skipped.iter().map(|reference| line(reference)).collect()
}

fn copy(registries: &Registries) -> Result<Vec<(PathBuf, VendoredView)>, Failure> {
    let Some(directory) = registries.lock_directory().map(|directory| directory.join(VENDOR)) else {
        return Ok(Vec::new());
    };
    let mut copied = Vec::new();
    for (layout, reference) in registries.found() {
        let Some(digest) = reference.digest else { continue };
        Layout::open_or_create(&directory)?.copy_from(&layout, digest, reference.ref_name())?;
        copied.push((directory.clone(), VendoredView { reference: reference.to_string(), digest }));
    }
    Ok(copied)
}
