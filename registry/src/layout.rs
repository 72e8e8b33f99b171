//! An OCI image layout: a registry that is a directory.
//!
//! Blobs are written beside their place and renamed into it, so a reader never
//! sees half of one; `index.json` changes under a lock. Every read checks the
//! digest again: the directory may have been changed by anyone.

mod incoming;
mod listing;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::attestation::may_be_signature;
use crate::digest::Digest;
use crate::document::{Descriptor, Index, LayoutMarker, MANIFEST_TYPE, Manifest, REF_NAME};
use crate::held::hold_directory;
use crate::plain_file::{is_unsuitable, read_plain, read_unnoted};
use crate::sight;

pub(crate) use incoming::Incoming;
pub(crate) use listing::Listing;

/// Manifests and indexes larger than this are refused: image-spec,
/// `considerations.md` advises 4 MiB.
pub(crate) const MAX_DOCUMENT: u64 = 4 << 20;

/// What can be wrong with a layout.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[non_exhaustive]
pub enum LayoutError {
    /// The directory is not a layout, or a document in it cannot be read.
    #[error("{} is not a sound OCI layout: {why}", path.display())]
    #[diagnostic(
        code("registry/corrupt-layout"),
        help("restore it, or publish the tasks again into a new directory")
    )]
    Corrupt {
        /// The file that is wrong.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is no layout in that place.
    #[error("there is no OCI layout in {}", root.display())]
    #[diagnostic(
        code("registry/no-layout"),
        help(
            "the path of `oci:PATH:NAME` begins at the pipeline file, and on the command line at the current \
             directory; a layout is made by publishing with --to oci:PATH"
        )
    )]
    NoLayout {
        /// The directory.
        root: PathBuf,
    },
    /// The bytes under a digest are other bytes.
    #[error("{} holds other bytes than its name says: expected {expected}, found {found}", path.display())]
    #[diagnostic(
        code("registry/digest-mismatch"),
        help(
            "the layout was changed after it was written: a copy in `.cofferdam/vendor` is made anew with \
             `cofferdam vendor --prune` once that directory is removed; your own task is published again"
        )
    )]
    DigestMismatch {
        /// The blob.
        path: PathBuf,
        /// Its name.
        expected: Digest,
        /// The digest of its bytes.
        found: Digest,
    },
    /// It is sound, and something else than was asked for.
    #[error("it is {found}, and no {wanted}")]
    #[diagnostic(code("registry/other-kind"))]
    OtherKind {
        /// What was asked for.
        wanted: &'static str,
        /// What it is.
        found: String,
        /// What can be done with it.
        #[help]
        help: &'static str,
    },
    /// Nothing has that name.
    #[error("{name} is not in the layout {}", root.display())]
    #[diagnostic(code("registry/not-found"))]
    NotFound {
        /// The layout.
        root: PathBuf,
        /// What was asked for.
        name: String,
        /// What the layout has instead.
        #[help]
        help: String,
    },
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    #[diagnostic(code("registry/io"))]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A registry in a directory.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
    listings: listing::Listings,
}

pub(crate) fn io_error<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> LayoutError + 'a {
    move |source| LayoutError::Io { action, path: path.to_owned(), source }
}

/// A file of a layout that cannot be read: the layout is unsound where the file
/// is missing, or is not what it should be.
pub(crate) fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> LayoutError + '_ {
    move |source| {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::NotFound {
            LayoutError::Corrupt { path, why: "the file is missing".to_owned() }
        } else if is_unsuitable(&source) {
            LayoutError::Corrupt { path, why: source.to_string() }
        } else {
            LayoutError::Io { action: "read", path, source }
        }
    }
}

/// The same for a file without which there is no layout in a directory.
pub(crate) fn absent<'a>(root: &'a Path, path: &'a Path) -> impl FnOnce(io::Error) -> LayoutError + 'a {
    move |source| {
        if source.kind() == io::ErrorKind::NotFound {
            return LayoutError::NoLayout { root: root.to_owned() };
        }
        unreadable(path)(source)
    }
}

impl Layout {
    /// Opens a layout that exists.
    ///
    /// # Errors
    /// [`LayoutError::Corrupt`] when the directory is no layout.
    pub fn open(root: &Path) -> Result<Self, LayoutError> {
        let layout = Self { root: root.to_owned(), listings: listing::Listings::default() };
        let path = layout.root.join("oci-layout");
        let bytes = read_plain(&path, MAX_DOCUMENT).map_err(absent(root, &path))?;
        let marker: LayoutMarker = decode(&path, &bytes)?;
        if marker.image_layout_version != "1.0.0" {
            let why = format!("layout version {} is not read", marker.image_layout_version);
            return Err(LayoutError::Corrupt { path, why });
        }
        Ok(layout)
    }

    /// Opens a layout, making an empty one where there is none.
    ///
    /// # Errors
    /// As [`Layout::open`], and where the directory cannot be written.
    pub fn open_or_create(root: &Path) -> Result<Self, LayoutError> {
        let layout = Self { root: root.to_owned(), listings: listing::Listings::default() };
        if !root.join("oci-layout").exists() {
            let blobs = layout.blobs();
            fs::create_dir_all(&blobs).map_err(io_error("create", &blobs))?;
            let _lock = layout.lock()?;
            if !layout.index_path().exists() {
                layout.replace(&layout.index_path(), &encode(&Index::empty()))?;
            }
            let marker = LayoutMarker { image_layout_version: "1.0.0".to_owned() };
            layout.replace(&root.join("oci-layout"), &encode(&marker))?;
        }
        Self::open(root)
    }

    /// The directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn blobs(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    fn index_path(&self) -> PathBuf {
        self.root.join("index.json")
    }

    fn blob_path(&self, digest: Digest) -> PathBuf {
        self.blobs().join(digest.to_hex())
    }

    /// What is wrong with a blob.
    pub(crate) fn corrupt(&self, digest: Digest, why: &str) -> LayoutError {
        LayoutError::Corrupt { path: self.blob_path(digest), why: why.to_owned() }
    }

    /// Lets one process at a time change the index.
    fn lock(&self) -> Result<File, LayoutError> {
        hold_directory(&self.root).map_err(io_error("lock", &self.root))
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), LayoutError> {
        let directory = path.parent().unwrap_or(&self.root);
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(directory)?;
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
            file.as_file().set_permissions(mode)?;
            file.persist(path).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(io_error("write", path))
    }

    /// Stores bytes under their digest.
    pub(crate) fn put(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor, LayoutError> {
        let digest = Digest::of(bytes);
        let path = self.blob_path(digest);
        // A blob that is there but damaged is healed by publishing it again.
        let sound = read_plain(&path, bytes.len() as u64).is_ok_and(|found| found == bytes);
        if !sound {
            self.replace(&path, bytes)?;
        }
        Ok(Descriptor::new(media_type, digest, bytes.len() as u64))
    }

    /// The bytes a descriptor names, at most `max`, checked against size and
    /// digest.
    pub(crate) fn read(&self, descriptor: &Descriptor, max: u64) -> Result<Vec<u8>, LayoutError> {
        let path = self.blob_path(descriptor.digest);
        let corrupt = |why: String| LayoutError::Corrupt { path: path.clone(), why };
        if descriptor.size > max {
            return Err(corrupt(format!("{} bytes are not read, only {max}", descriptor.size)));
        }
        let content = read_unnoted(&path, descriptor.size);
        let found = content.as_deref().map(Digest::of).ok();
        if found == Some(descriptor.digest) {
            sight::read_as(&path, descriptor.digest, descriptor.size);
        } else {
            sight::read(&path, false, &content);
        }
        let bytes = content.map_err(unreadable(&path))?;
        if bytes.len() as u64 != descriptor.size {
            return Err(corrupt(format!("it has {} bytes and should have {}", bytes.len(), descriptor.size)));
        }
        match found.filter(|found| *found != descriptor.digest) {
            Some(found) => Err(LayoutError::DigestMismatch { path, expected: descriptor.digest, found }),
            None => Ok(bytes),
        }
    }

    /// The manifest a descriptor names, of at most `max` bytes.
    pub(crate) fn manifest(&self, descriptor: &Descriptor, max: u64) -> Result<Manifest, LayoutError> {
        decode(&self.blob_path(descriptor.digest), &self.read(descriptor, max)?)
    }

    pub(crate) fn index(&self) -> Result<Index, LayoutError> {
        let path = self.index_path();
        let bytes = read_plain(&path, MAX_DOCUMENT).map_err(unreadable(&path))?;
        decode(&path, &bytes)
    }

    /// The index, put in order; read again only when it has changed.
    pub(crate) fn listing(&self) -> Result<Arc<Listing>, LayoutError> {
        self.listings.get(&self.index_path(), || self.index())
    }

    /// Stores a manifest and lists it in the index; `names` move to it.
    pub(crate) fn push(&self, manifest: &Manifest, names: &[String]) -> Result<Digest, LayoutError> {
        self.keep(&encode(manifest), (MANIFEST_TYPE, manifest.artifact_type.as_deref()), names)
    }

    /// Stores a manifest byte by byte as it came, and lists it in the index;
    /// `names` move to it.
    pub(crate) fn keep(
        &self,
        manifest: &[u8],
        (media_type, artifact_type): (&str, Option<&str>),
        names: &[String],
    ) -> Result<Digest, LayoutError> {
        let mut entry = self.put(media_type, manifest)?;
        // A media type is shorter; a list of longer ones could not be read again.
        entry.artifact_type = artifact_type.filter(|kind| kind.len() <= 255).map(str::to_owned);
        let _lock = self.lock()?;
        let mut index = self.index()?;
        let name_of = |d: &Descriptor| d.annotations.get(REF_NAME).cloned();
        index.manifests.retain(|d| match name_of(d) {
            Some(name) => !names.contains(&name),
            None => d.digest != entry.digest,
        });
        for name in names {
            let mut named = entry.clone();
            named.annotations.insert(REF_NAME.to_owned(), name.clone());
            index.manifests.push(named);
        }
        if names.is_empty() {
            index.manifests.push(entry.clone());
        }
        let bytes = encode(&index);
        if bytes.len() as u64 > MAX_DOCUMENT {
            let why = "it lists so much that nobody would read it".to_owned();
            return Err(LayoutError::Corrupt { path: self.index_path(), why });
        }
        self.replace(&self.index_path(), &bytes)?;
        Ok(entry.digest)
    }

    /// The manifest with a name or a digest.
    pub(crate) fn find(&self, name: &str, digest: Option<Digest>) -> Result<Descriptor, LayoutError> {
        let listing = self.listing()?;
        listing.entry(name, digest).cloned().ok_or_else(|| {
            let index = &listing.index;
            let mut names: Vec<&str> = index
                .manifests
                .iter()
                .filter_map(|d| d.annotations.get(REF_NAME))
                .map(String::as_str)
                .collect();
            names.sort_unstable();
            let help = match names.as_slice() {
                [] => "it holds no task; publish one with `cofferdam task publish`".to_owned(),
                names => {
                    let word = |name: &&str| name.split(':').next().unwrap_or_default().to_owned();
                    let own: Vec<String> = names.iter().map(word).collect();
                    let meant = cofferdam_manifest::nearest(&word(&name), own.iter().map(String::as_str));
                    let meant = meant.map(|meant| format!("did you mean `{meant}`? ")).unwrap_or_default();
                    format!("{meant}it holds {}", names.join(", "))
                }
            };
            let name = digest.map_or_else(|| name.to_owned(), |digest| digest.to_string());
            LayoutError::NotFound { root: self.root.clone(), name, help }
        })
    }

    /// Takes an artifact, and every signature of it, over from another layout.
    /// Attestations stay where they are: no run looks at them.
    ///
    /// # Errors
    /// [`LayoutError`] when one cannot be read or the other not written.
    pub fn copy_from(&self, other: &Self, digest: Digest, name: Option<String>) -> Result<(), LayoutError> {
        let entry = other.find("", Some(digest))?;
        let manifest = other.manifest(&entry, MAX_DOCUMENT)?;
        let attached = other.attached(digest)?;
        for (descriptor, attached) in attached.into_iter().filter(|(_, manifest)| may_be_signature(manifest))
        {
            self.copy_one(other, &descriptor, &attached, &[])?;
        }
        for (name, descriptor) in other.tagged(digest)?.entries {
            // One that cannot be read is no signature here either.
            if let Ok(attached) = other.tagged_manifest(&descriptor) {
                self.copy_one(other, &descriptor, &attached, &[name])?;
            }
        }
        // The name comes last: whoever finds it finds everything.
        self.copy_one(other, &entry, &manifest, &Vec::from_iter(name))
    }

    fn copy_one(
        &self,
        other: &Self,
        descriptor: &Descriptor,
        manifest: &Manifest,
        names: &[String],
    ) -> Result<(), LayoutError> {
        for blob in std::iter::once(&manifest.config).chain(&manifest.layers) {
            self.put(&blob.media_type, &other.read(blob, blob.size)?)?;
        }
        let bytes = other.read(descriptor, MAX_DOCUMENT)?;
        self.keep(&bytes, (&descriptor.media_type, manifest.artifact_type.as_deref()), names).map(drop)
    }

    /// Every name in the layout with the digest it stands for, but those that
    /// cosign gave to signatures.
    ///
    /// # Errors
    /// [`LayoutError::Corrupt`] when the index cannot be read.
    pub fn names(&self) -> Result<Vec<(String, Digest)>, LayoutError> {
        let index = self.index()?;
        let named = |d: &Descriptor| d.annotations.get(REF_NAME).map(|name| (name.clone(), d.digest));
        let is_signature = |name: &str| {
            let tag = name.rsplit_once(':').map_or(name, |(_, tag)| tag);
            tag.starts_with("sha256-") && (tag.ends_with(".sig") || tag.ends_with(".att"))
        };
        Ok(index.manifests.iter().filter_map(named).filter(|(name, _)| !is_signature(name)).collect())
    }
}

pub(crate) fn encode(document: &impl Serialize) -> Vec<u8> {
    // Structs of strings, numbers and sorted maps always serialise.
    serde_json::to_vec(document).unwrap_or_default()
}

fn decode<T: serde::de::DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, LayoutError> {
    serde_json::from_slice(bytes).map_err(|error| {
        // Only the place: what the parser says would repeat foreign text.
        let why = format!("what stands at {}:{} does not belong there", error.line(), error.column());
        LayoutError::Corrupt { path: path.to_owned(), why }
    })
}
