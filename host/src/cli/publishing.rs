//! Where tasks, pipelines and packages of WIT are published, and how they get there.

use std::path::Path;

use cofferdam_registry::{Digest, Layout, Location, Reference, Remote, RemoteError};

use super::failure::Failure;
use super::home::Home;
use super::registries;
use super::scratch::Scratch;
use super::signers::{Attached, Claim, Signed, Signers};

/// Where something is published: a registry, and what goes before its own name
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

/// Reads what `--to` says.
pub(crate) fn place(to: Option<&str>) -> Result<Place, Failure> {
    let Some(to) = to else { return Ok(Place::EMBEDDED) };
    let refuse = |why: &str| {
        let help = "write --to HOST/PATH for a registry, or --to oci:PATH for a directory; its own name \
                    follows there";
        Err(Failure::usage(format!("`{to}` names no registry: {why}"), help))
    };
    // `oci://` is a host, and no path.
    if let Some(path) = to.strip_prefix("oci:").filter(|path| !path.starts_with("//")) {
        if path.is_empty() || path.contains(':') {
            return refuse("the path is empty, or has a `:`");
        }
        can_be_layout(Path::new(path))?;
        return Ok(Place { location: Location::Layout(path.into()), path: String::new() });
    }
    // As for references: a host without a dot and a port is one after `oci://`.
    let first = to.split('/').next().unwrap_or_default();
    let is_host = first == "localhost" || (!first.starts_with('.') && first.contains(['.', ':']));
    if !to.starts_with("oci://") && (!is_host || Path::new(to).is_dir()) {
        let path = if to.is_empty() { "PATH" } else { to };
        let help = format!(
            "did you mean --to oci:{path}, a layout in a directory? for the registry of a host: --to oci://{path}"
        );
        return Err(Failure::usage(format!("`{to}` names no registry: it is no host"), help));
    }
    // The name takes the place of `name`, and its version that of a tag.
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

/// Refuses what is no layout and would have to be made one among other things.
fn can_be_layout(path: &Path) -> Result<(), Failure> {
    let refuse = |why: &str| {
        let help =
            "name a layout, an empty directory, or one that is not there yet: --to oci:vendor/registry";
        Err(Failure::usage(format!("{} {why}", path.display()), help))
    };
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(_) if path.exists() && !path.is_dir() => return refuse("is a file, and no layout"),
        Err(error) => return Err(Failure::unreadable(path, &error)),
    };
    // What whoever begins to make one has there, or may have left.
    let of_layout = ["blobs", "index.json", "oci-layout"];
    let foreign = |name: &std::ffi::OsStr| {
        !of_layout.iter().any(|own| name == *own) && !name.as_encoded_bytes().starts_with(b".tmp")
    };
    let is_layout = path.join("oci-layout").exists();
    if !is_layout && entries.flatten().any(|entry| foreign(&entry.file_name())) {
        return refuse("is a directory with other things in it, and no layout");
    }
    Ok(())
}

/// What was published where.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) reference: Reference,
    pub(crate) digest: Digest,
    pub(crate) signed: Signed,
    /// What is claimed of it beside its signatures.
    pub(crate) attached: Vec<Attached>,
    /// What the version's tag stood for before, where that was something else.
    pub(crate) replaces: Option<Digest>,
}

impl Placed {
    /// What whoever publishes over a version should know.
    pub(crate) fn replaced_words(&self) -> String {
        let tag = self.reference.tag.as_deref().unwrap_or_default();
        self.replaces.map_or_else(String::new, |before| {
            format!("  {tag} was {before} before: whoever has pinned it keeps that\n")
        })
    }
}

/// What is published: its name and its version, and what is claimed of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edition<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    pub(crate) claims: &'a [Claim],
    pub(crate) replacing: Replacing,
}

/// Whether it may take the place of another under the same version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replacing {
    /// A version, once it is there, stays what it is. None of them is the latest
    /// one, either: each is asked for by its number.
    Never,
    /// Only where somebody asks for it.
    Refused,
    /// Somebody did.
    Allowed,
}

impl Replacing {
    /// As `--replace` says.
    pub(crate) fn asked(replace: bool) -> Self {
        if replace { Self::Allowed } else { Self::Refused }
    }
}

impl Edition<'_> {
    /// The tags that move to it.
    fn tags(&self) -> Vec<String> {
        let latest = (self.replacing != Replacing::Never).then_some("latest");
        std::iter::once(self.version).chain(latest).map(str::to_owned).collect()
    }

    /// Refuses to change what a tag stands for, where that may not change.
    fn check(&self, tagged: &Reference, before: Option<Digest>, now: Digest) -> Result<(), Failure> {
        let Some(before) = before.filter(|before| *before != now) else { return Ok(()) };
        let help = match self.replacing {
            Replacing::Never => {
                "a version that is published never changes: give what changed a new version, or publish to \
                 another place"
            }
            // On this machine one tries again and again, and nobody else relies on it.
            Replacing::Refused if tagged.location != Location::Embedded => {
                "give it another version; to publish it in the place of that one all the same: --replace"
            }
            Replacing::Refused | Replacing::Allowed => return Ok(()),
        };
        let message = format!("{tagged} is there already, and is another: {before}");
        Err(Failure::invalid("registry/version-taken", message, help))
    }
}

/// Puts one artifact into a registry, with its signatures and attestations, under
/// its version and `latest`. `make` stores it in a layout.
pub(crate) fn publish(
    home: &Home,
    place: &Place,
    edition: Edition<'_>,
    signers: &Signers,
    make: impl Fn(&Layout) -> Result<Digest, Failure>,
) -> Result<Placed, Failure> {
    // It is made whole here before anything is sent, or stands under its version.
    let staging = Scratch::new()?;
    let layout = match &place.location {
        Location::Embedded => Layout::open_or_create(&home.registry())?,
        Location::Layout(root) => Layout::open_or_create(root)?,
        Location::Remote(_) => Layout::open_or_create(staging.path())?,
    };
    let Edition { name, version, claims, .. } = edition;
    let (name, tag) = (format!("{}{name}", place.path), Some(version.to_owned()));
    let tagged = Reference { location: place.location.clone(), name, tag, digest: None };
    let mut before = layout.resolve(&tagged).ok();
    let digest = make(&Layout::open_or_create(staging.path())?)?;
    edition.check(&tagged, before, digest)?;
    make(&layout)?;
    let reference = tagged.pinned(digest);
    let (signed, attached) = if let Location::Remote(host) = &place.location {
        let settings = registries::settings(home)?;
        // What was pulled from there need not be sent there.
        let kept = Layout::open(&home.pulled()).ok();
        let tags = edition.tags();
        registries::wait(async {
            let remote = Remote::open(host, &settings).await?;
            // Before anything is sent: of a repository that is new, one may not even ask.
            before = match remote.resolve(&tagged).await {
                Err(RemoteError::Unauthorized { .. }) => None,
                found => known(found)?,
            };
            edition.check(&tagged, before, digest)?;
            // A repository that is new has none, and may not even be asked.
            let mut pulled = remote.pull_signatures(&reference.name, digest, &layout).await;
            if pulled.is_ok() && !claims.is_empty() {
                pulled = remote.pull_attestations(&reference.name, digest, &layout).await;
            }
            match pulled {
                Ok(()) | Err(RemoteError::Unauthorized { .. } | RemoteError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            let signed = signers.sign(&layout, &reference).await?;
            let attached = signers.attest(&layout, &reference, claims).await?;
            remote.push(&layout, digest, &reference.name, kept.as_ref()).await?;
            // To sign takes as long as a person takes. Now the repository is there, and
            // who cannot look at its tags cannot know what to leave as it is.
            if edition.replacing != Replacing::Allowed {
                let found = known(remote.resolve(&tagged).await);
                let found = found.map_err(|error| unseen(&tagged, error))?;
                edition.check(&tagged, found, digest)?;
            }
            remote.tag(&layout, digest, &reference.name, &tags).await?;
            Ok::<_, Failure>((signed, attached))
        })??
    } else {
        registries::wait(async {
            let signed = signers.sign(&layout, &reference).await?;
            Ok::<_, Failure>((signed, signers.attest(&layout, &reference, claims).await?))
        })??
    };
    Ok(Placed { reference, digest, signed, attached, replaces: before.filter(|before| *before != digest) })
}

/// What a tag stands for, if there is such a one.
fn known(found: Result<Digest, RemoteError>) -> Result<Option<Digest>, RemoteError> {
    match found {
        Ok(digest) => Ok(Some(digest)),
        Err(RemoteError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// It cannot be told whether something else is there.
fn unseen(tagged: &Reference, error: RemoteError) -> Failure {
    if !matches!(error, RemoteError::Unauthorized { .. }) {
        return error.into();
    }
    let message = format!("whether {tagged} is there already cannot be seen: {error}");
    Failure::invalid("registry/unauthorized", message, "use a login that may read there, too")
}
