//! `cofferdam task publish`: puts a task into a registry, and signs it there.

use std::path::Path;

use cofferdam_registry::{Digest, Layout, Location, MAX_COMPONENT, Reference, SigningKey, TaskArtifact};
use serde::Serialize;

use super::commands::TaskPublishArgs;
use super::exit;
use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
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
    let location = match &args.to {
        None => Location::Embedded,
        // `oci://` is a host, and no path.
        Some(to) => match to.strip_prefix("oci:").filter(|path| is_path(path)) {
            Some(path) => Location::Layout(path.into()),
            None => {
                let why = format!("`{to}` names no layout");
                return Err(Failure::usage(why, "write --to oci:PATH, with a directory for PATH"));
            }
        },
    };
    let published = publish(&args.component, home, location, key.as_ref())?;
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

fn is_path(text: &str) -> bool {
    !text.is_empty() && !text.contains(':') && !text.starts_with("//")
}

/// Publishes the task in a file, and signs it with a key.
pub(crate) fn publish(
    path: &Path,
    home: &Home,
    location: Location,
    key: Option<&SigningKey>,
) -> Result<Published, Failure> {
    let bytes = super::read_file(path, MAX_COMPONENT)?;
    let component = Component::read(&path.display().to_string(), bytes)?;
    let layout = match &location {
        Location::Embedded => Layout::open_or_create(&home.registry())?,
        Location::Layout(root) => Layout::open_or_create(root)?,
    };
    let metadata = &component.manifest.metadata;
    let digest = layout.publish(&TaskArtifact {
        name: metadata.name.as_str(),
        version: &metadata.version,
        description: &metadata.description,
        component: &component.bytes,
        imports: &component.imports,
        exports: &component.exports,
    })?;
    let (name, tag) = (metadata.name.to_string(), Some(metadata.version.clone()));
    let reference = Reference { location, name, tag, digest: Some(digest) };
    if let Some(key) = key {
        layout.sign(&reference, key)?;
    }
    Ok(Published {
        reference: Reference { digest: None, ..reference }.to_string(),
        digest,
        component: component.digest,
        size: component.bytes.len(),
        signed_by: key.map(|key| key.public().id()),
    })
}
