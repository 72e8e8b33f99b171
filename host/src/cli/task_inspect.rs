//! `cofferdam task inspect`: a task's contract, imports, size, digest and
//! signatures, from a file or a registry. Runs nothing of it.

use std::path::Path;

use cofferdam_registry::{Attestation, MAX_COMPONENT, Reference, certified_identity, claimed_key};

use super::commands::TaskInspectArgs;
use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use super::{exit, registries};
use crate::component::Component;
use crate::plan::Pinning;
use crate::report::{AttachedView, TaskDescription, task_text};

pub(crate) fn run(args: &TaskInspectArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let described = describe(&args.subject, home)?;
    printer.result(&described, |palette| task_text(&described, palette));
    Ok(exit::OK)
}

/// A task in a file or a registry.
pub(crate) fn describe(subject: &str, home: &Home) -> Result<TaskDescription, Failure> {
    let file = Path::new(subject);
    if file.is_dir() {
        return Err(directory(subject, file));
    }
    if file.exists() || subject.starts_with(['/', '.']) || subject.ends_with(".wasm") {
        from_file(file)
    } else {
        from_registry(subject, home)
    }
}

/// What to give instead of a directory.
fn directory(subject: &str, directory: &Path) -> Failure {
    let has = |name: &str| directory.join(name).is_file();
    let help = if has("oci-layout") {
        format!("name a task in it: oci:{subject}:NAME; all of them: cofferdam task list oci:{subject}")
    } else if has("task.yaml") {
        format!("build it first: cofferdam task build {subject}; then give the file, NAME.wasm")
    } else {
        "give the file of a task, NAME.wasm, or a reference: NAME, HOST/PATH/NAME:TAG, oci:PATH:NAME"
            .to_owned()
    };
    let here = if subject.contains('/') || subject.starts_with('.') {
        String::new()
    } else {
        format!("; the task of this installation: cofferdam.local/{subject}")
    };
    Failure::usage(format!("{subject} is a directory, and no task"), help + &here)
}

fn view(one: &Attestation) -> AttachedView {
    let identity = || {
        let identity = certified_identity(&one.bundle)?;
        Some(format!("{} ({})", identity.subject, identity.issuer))
    };
    AttachedView {
        predicate_type: one.statement.predicate_type.clone(),
        bundle: one.digest,
        names_it: one.names_it,
        names: claimed_key(&one.bundle).map(|key| format!("key {key}")).or_else(identity),
    }
}

fn from_file(file: &Path) -> Result<TaskDescription, Failure> {
    let bytes = super::read_file(file, MAX_COMPONENT)?;
    let name = file.display().to_string();
    let component = Component::read(&name, bytes)?;
    Ok(TaskDescription::new(name, &component))
}

fn from_registry(subject: &str, home: &Home) -> Result<TaskDescription, Failure> {
    let here = std::env::current_dir().map_err(|error| Failure::unreadable(Path::new("."), &error))?;
    let resolver = registries::resolver(home, &here, Pinning::Resolve, false)?;
    let reference = Reference::parse(subject, &here)?;
    let pinned = resolver.registries().tag_pin(&reference).map(Into::into);
    let found = resolver.glance(&reference)?;
    Ok(TaskDescription {
        task: found.reference,
        digest: Some(found.head.digest),
        component: found.head.component_digest,
        size: found.head.size,
        pinned,
        trust: Some(found.trust),
        signatures: found.bundles.sound.iter().filter_map(|bundle| claimed_key(bundle)).collect(),
        attestations: found.attestations.iter().map(view).collect(),
        imports: found.head.imports,
        manifest: found.manifest,
    })
}
