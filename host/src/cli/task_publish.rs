//! `cofferdam task publish`: puts a task into a registry, and signs it there.

use std::path::Path;

use cofferdam_registry::{
    Artifact, Digest, Layout, Location, MAX_COMPONENT, Reference, Remote, RemoteError, SigningKey,
    TaskArtifact,
};
use serde::Serialize;

use super::commands::TaskPublishArgs;
use super::failure::Failure;
use super::home::Home;
use super::identity::IdentitySigner;
use super::key_password::load_key;
use super::printer::Printer;
use super::{exit, registries};
use crate::component::Component;
use crate::report::{bytes, visible};

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
    /// The identity that signed it now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signed_by_identity: Option<String>,
}

/// Who signs a task that is published.
#[derive(Clone, Copy)]
pub(crate) struct Signers<'a> {
    pub(crate) key: Option<&'a SigningKey>,
    pub(crate) identity: Option<&'a IdentitySigner>,
}

pub(crate) fn run(args: &TaskPublishArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let key = match &args.key {
        Some(path) => Some(load_key(path, args.password_file.as_deref())?),
        None if args.sign => Some(home.signing_key()?),
        None => None,
    };
    if !args.keyless && args.identity.is_given() {
        return Err(Failure::usage("an identity is chosen, and it is to sign nothing", "add --keyless"));
    }
    let place = place(args.to.as_deref())?;
    let identity = if args.keyless { Some(IdentitySigner::find(&args.identity, None, home)?) } else { None };
    let signers = Signers { key: key.as_ref(), identity: identity.as_ref() };
    let published = publish(&args.component, home, &place, &signers)?;
    printer.result(&published, |palette| {
        let name = palette.strong.apply_to(&published.reference);
        let signed = match (&published.signed_by, &published.signed_by_identity) {
            (Some(key), None) => format!("signed by key {key}"),
            (None, Some(who)) => format!("signed by {}", visible(who)),
            (Some(key), Some(who)) => format!("signed by key {key} and by {}", visible(who)),
            (None, None) => "not signed; add --sign to sign it with your key".to_owned(),
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

/// Publishes the task in a file, and lets it be signed.
pub(crate) fn publish(
    path: &Path,
    home: &Home,
    place: &Place,
    signers: &Signers<'_>,
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
    let signed_by_identity = if let Location::Remote(host) = &place.location {
        let settings = registries::settings(home)?;
        let tags = [metadata.version.clone(), "latest".to_owned()];
        registries::wait(async {
            let remote = Remote::open(host, &settings).await?;
            // A repository that is new has none, and may not even be asked.
            match remote.pull_signatures(&reference.name, digest, &layout).await {
                Ok(()) | Err(RemoteError::Unauthorized { .. } | RemoteError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            let signed = sign(&layout, &reference, signers).await?;
            remote.push(&layout, digest, &reference.name, &tags).await?;
            Ok::<_, Failure>(signed)
        })??
    } else {
        registries::wait(sign(&layout, &reference, signers))??
    };
    Ok(Published {
        reference: Reference { digest: None, ..reference }.to_string(),
        digest,
        component: component.digest,
        size: component.bytes.len(),
        signed_by: signers.key.map(|key| key.public().id()),
        signed_by_identity,
    })
}

/// Attaches the signatures, and says which identity signed.
async fn sign(
    layout: &Layout,
    reference: &Reference,
    signers: &Signers<'_>,
) -> Result<Option<String>, Failure> {
    if let Some(key) = signers.key {
        layout.sign(reference, key)?;
    }
    let Some(identity) = signers.identity else { return Ok(None) };
    let claim = layout.claim(reference)?;
    let bundle = identity.services.sign_statement(&identity.token, &claim).await?;
    let mut artifact = Artifact::Digest(layout.resolve(reference)?);
    let (who, _) = identity.check(&bundle, &mut artifact)?;
    layout.attach_signature(reference, bundle.as_bytes())?;
    Ok(Some(format!("{} ({})", who.subject, who.issuer)))
}
