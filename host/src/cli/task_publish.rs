//! `cofferdam task publish`: puts a task into a registry, and signs it there.

use std::path::{Path, PathBuf};

use clap::Args;
use cofferdam_registry::{
    Digest, Layout, Location, MAX_COMPONENT, Reference, Remote, RemoteError, SigningKey, TaskArtifact,
};
use serde::Serialize;

use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use super::{exit, registries, task_build};
use crate::component::Component;
use crate::report::bytes;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam task publish sbom.wasm --sign\n  \
    cofferdam task publish my-task --sign\n  \
    cofferdam task publish sbom.wasm --to registry.example/tasks --sign\n  \
    cofferdam task publish sbom.wasm --to oci:vendor/registry")]
pub(crate) struct TaskPublishArgs {
    /// The task, or the directory with its `task.yaml`, which is built first.
    #[arg(value_name = "FILE|DIRECTORY")]
    pub(crate) component: PathBuf,
    /// Sign it with your key.
    #[arg(long)]
    pub(crate) sign: bool,
    /// Below what the task's own name goes: HOST/PATH of a registry, or a layout,
    /// as oci:PATH; left out, the embedded registry.
    #[arg(long, value_name = "HOST/PATH|oci:PATH")]
    pub(crate) to: Option<String>,
}

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
    let built = task_build::file_of(&args.component, None)?;
    let published = publish(built.path(), home, &place(args.to.as_deref())?, key.as_ref())?;
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

/// Where tasks are published: a registry, and what goes before their own names
/// there.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) location: Location,
    /// Ends in `/`, unless it is empty.
    pub(crate) path: String,
}

impl Place {
    pub(crate) const EMBEDDED: Self = Self { location: Location::Embedded, path: String::new() };
}

fn place(to: Option<&str>) -> Result<Place, Failure> {
    let Some(to) = to else { return Ok(Place::EMBEDDED) };
    let refuse = |why: &str| {
        let help = "write --to HOST/PATH for a registry, or --to oci:PATH for a directory; the task's own name \
                    follows there";
        Err(Failure::usage(format!("`{to}` names no registry: {why}"), help))
    };
    // `oci://` is a host, and no path.
    if let Some(path) = to.strip_prefix("oci:").filter(|path| !path.starts_with("//")) {
        if path.is_empty() || path.contains(':') {
            return refuse("the path is empty, or has a `:`");
        }
        return Ok(Place { location: Location::Layout(path.into()), path: String::new() });
    }
    // A task's name takes the place of `name`, and its version that of a tag.
    let to = to.trim_end_matches('/');
    let written = if to.starts_with("oci://") { format!("{to}/name") } else { format!("oci://{to}/name") };
    match Reference::parse(&written, Path::new("/")) {
        Ok(Reference { location: location @ Location::Remote(_), name, .. }) => {
            let path = name.strip_suffix("name").unwrap_or_default().to_owned();
            Ok(Place { location, path })
        }
        Ok(_) => refuse("the embedded registry needs no --to"),
        Err(_) => refuse("it is no host with a path"),
    }
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
    // For a registry over HTTP it is made whole here before anything is sent.
    let staging =
        tempfile::tempdir().map_err(|error| Failure::io("create", &std::env::temp_dir(), &error))?;
    let layout = match &place.location {
        Location::Embedded => Layout::open_or_create(&home.registry())?,
        Location::Layout(root) => Layout::open_or_create(root)?,
        Location::Remote(_) => Layout::open_or_create(staging.path())?,
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
    let (name, tag) = (format!("{}{}", place.path, metadata.name), Some(metadata.version.clone()));
    let reference = Reference { location: place.location.clone(), name, tag, digest: Some(digest) };
    let sign = || key.map_or(Ok(false), |key| layout.sign(&reference, key));
    if let Location::Remote(host) = &place.location {
        let settings = registries::settings(home)?;
        let tags = [metadata.version.clone(), "latest".to_owned()];
        registries::wait(async {
            let remote = Remote::open(host, &settings).await?;
            // A repository that is new has none, and may not even be asked.
            match remote.pull_signatures(&reference.name, digest, &layout).await {
                Ok(()) | Err(RemoteError::Unauthorized { .. } | RemoteError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            sign()?;
            Ok::<_, Failure>(remote.push(&layout, digest, &reference.name, &tags).await?)
        })??;
    } else {
        sign()?;
    }
    Ok(Published {
        reference: Reference { digest: None, ..reference }.to_string(),
        digest,
        component: component.digest,
        size: component.bytes.len(),
        signed_by: key.map(|key| key.public().id()),
    })
}
