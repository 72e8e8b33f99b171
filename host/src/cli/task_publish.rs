//! `cofferdam task publish`: puts a task into a registry, and signs it there.

use std::path::Path;

use cofferdam_registry::{Digest, Layout, MAX_COMPONENT, Reference, SigningKey, TaskArtifact};
use serde::Serialize;

use super::commands::TaskPublishArgs;
use super::exit;
use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use super::publishing::{self, Place, place};
use crate::component::Component;
use crate::report::bytes;

/// A task that was published.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Published {
    pub(crate) reference: String,
    pub(crate) digest: Digest,
    pub(crate) component: Digest,
    pub(crate) size: usize,
    /// The key whose signature is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signed_by: Option<String>,
}

pub(crate) fn run(args: &TaskPublishArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let key = if args.sign { Some(home.signing_key()?) } else { None };
    let published = publish(&args.component, home, &place(args.to.as_deref())?, key.as_ref())?;
    printer.result(&published, |palette| {
        let name = palette.strong.apply_to(&published.reference);
        let signed = match &published.signed_by {
            Some(key) => format!("signed by key {key}"),
            None => "not signed; add --sign to sign it with your key".to_owned(),
        };
        let size = bytes(published.size as u64);
        format!("published {name} ({size})\n  {}\n  {signed}\n", published.digest)
    });
    Ok(exit::OK)
}

/// Publishes the task in a file, and signs it with a key.
pub(crate) fn publish(
    path: &Path,
    home: &Home,
    place: &Place,
    key: Option<&SigningKey>,
) -> Result<Published, Failure> {
    let bytes = super::read_file(path, MAX_COMPONENT)?;
    let component = Component::read(&path.display().to_string(), bytes)?;
    let metadata = &component.manifest.metadata;
    let artifact = TaskArtifact {
        name: metadata.name.as_str(),
        version: &metadata.version,
        description: &metadata.description,
        component: &component.bytes,
        imports: &component.imports,
        exports: &component.exports,
    };
    let names = (artifact.name, artifact.version);
    let make = |layout: &Layout| Ok(layout.publish(&artifact)?);
    let reference = publishing::publish(home, place, names, key, make)?;
    Ok(Published {
        digest: reference.digest.unwrap_or(component.digest),
        reference: Reference { digest: None, ..reference }.to_string(),
        component: component.digest,
        size: component.bytes.len(),
        signed_by: key.map(|key| key.public().id()),
    })
}
