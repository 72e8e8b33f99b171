//! Pipelines as OCI artifacts, in the form of a Tekton bundle: Tekton's contract
//! v0.1, "Tekton Bundle Contract". Whoever reads bundles reads these, and
//! bundles that others made are read here.
//!
//! Each layer is a tar archive, compressed with gzip or not, with one file: a
//! resource in YAML. Annotations of the layer say which one it is.

use std::collections::BTreeMap;
use std::io::{self, Read};

use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};

use crate::contract::{DESCRIPTION, TITLE, VERSION, said};
use crate::digest::Digest;
use crate::document::{Descriptor, MANIFEST_TYPE, Manifest};
use crate::layout::{Layout, LayoutError, MAX_DOCUMENT, encode};
use crate::reference::{Reference, is_tag};

const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const NAME: &str = "dev.tekton.image.name";
const KIND: &str = "dev.tekton.image.kind";
const API_VERSION: &str = "dev.tekton.image.apiVersion";
const PIPELINE: &str = "pipeline";

/// A bundle has at most so many layers: the contract.
pub(crate) const MAX_RESOURCES: usize = 20;
/// Larger pipelines are not read.
pub(crate) const MAX_RESOURCE: u64 = 4 << 20;

/// A pipeline to publish.
#[derive(Clone, Copy, Debug)]
pub struct PipelineArtifact<'a> {
    /// The pipeline's own name, and the repository's.
    pub name: &'a str,
    /// The tag, beside `latest`.
    pub version: &'a str,
    /// One line for lists.
    pub description: &'a str,
    /// The file, byte by byte.
    pub text: &'a str,
}

/// A pipeline that was read out of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PulledPipeline {
    /// The digest of the manifest: what is pinned, and what is signed.
    pub digest: Digest,
    /// Its name in the bundle.
    pub name: String,
    /// The version that the manifest gives, where it gives one.
    pub version: Option<String>,
    /// The pipeline.
    pub text: String,
}

/// What is signed of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleHead {
    /// The digest of the manifest.
    pub digest: Digest,
    /// The version that the manifest gives, where it gives one.
    pub version: Option<String>,
}

impl Layout {
    /// Stores a pipeline and moves its version's tag and `latest` to it. The same
    /// pipeline always gets the same digest.
    ///
    /// # Errors
    /// [`LayoutError`] when the layout cannot be read or written.
    pub fn publish_pipeline(&self, pipeline: &PipelineArtifact<'_>) -> Result<Digest, LayoutError> {
        let archive = archive(pipeline.name, pipeline.text.as_bytes());
        let archive = archive.map_err(|source| LayoutError::Io {
            action: "pack",
            path: pipeline.name.into(),
            source,
        })?;
        let mut layer = self.put(LAYER_TYPE, &archive.compressed)?;
        layer.annotations = BTreeMap::from(
            [(NAME, pipeline.name), (KIND, PIPELINE), (API_VERSION, "v1")]
                .map(|(key, text)| (key.to_owned(), text.to_owned())),
        );
        let config = serde_json::json!({
            "architecture": "",
            "os": "",
            "rootfs": { "type": "layers", "diff_ids": [archive.plain] },
        });
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(MANIFEST_TYPE.to_owned()),
            artifact_type: None,
            config: self.put(CONFIG_TYPE, &encode(&config))?,
            layers: vec![layer],
            subject: None,
            annotations: said([
                (TITLE, pipeline.name),
                (VERSION, pipeline.version),
                (DESCRIPTION, pipeline.description),
            ]),
        };
        let names = [format!("{}:{}", pipeline.name, pipeline.version), format!("{}:latest", pipeline.name)];
        self.push(&manifest, &names)
    }

    /// Whether an artifact of the layout is a bundle; not where it cannot be read.
    #[must_use]
    pub fn is_bundle(&self, digest: Digest) -> bool {
        let manifest = self.find("", Some(digest)).and_then(|entry| self.manifest(&entry, MAX_DOCUMENT));
        manifest.is_ok_and(|manifest| is_bundle(&manifest))
    }

    /// The head of a bundle; nothing where the artifact is none.
    ///
    /// # Errors
    /// [`LayoutError`] where there is no such artifact, or it cannot be read.
    pub fn bundle_head(&self, reference: &Reference) -> Result<Option<BundleHead>, LayoutError> {
        let descriptor = self.descriptor(reference)?;
        let manifest = self.manifest(&descriptor, MAX_DOCUMENT)?;
        let version = version(&manifest);
        Ok(is_bundle(&manifest).then_some(BundleHead { digest: descriptor.digest, version }))
    }

    /// Reads a pipeline out of a bundle, every byte checked against its digest;
    /// without a name, the only one that is in there.
    ///
    /// # Errors
    /// [`LayoutError`], also where the artifact is no bundle, or has no such
    /// pipeline.
    pub fn pull_pipeline(
        &self,
        reference: &Reference,
        name: Option<&str>,
    ) -> Result<PulledPipeline, LayoutError> {
        let descriptor = self.descriptor(reference)?;
        let manifest = self.manifest(&descriptor, MAX_DOCUMENT)?;
        let corrupt = |why: String| self.corrupt(descriptor.digest, &why);
        if !is_bundle(&manifest) {
            return Err(LayoutError::OtherKind {
                wanted: "bundle with a pipeline",
                found: format!("an artifact with {}", manifest.config.media_type),
                help: "a task is named by `taskRef`",
            });
        }
        let (name, layer) = choose(&manifest, name)?;
        let raw = self.read(layer, MAX_RESOURCE)?;
        let bytes = only_file(&raw).map_err(|error| corrupt(format!("its layer `{name}`: {error}")))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| corrupt(format!("its layer `{name}`: it is not UTF-8 text")))?;
        let version = version(&manifest);
        Ok(PulledPipeline { digest: descriptor.digest, name, version, text })
    }
}

/// Whether a manifest is one of a bundle.
pub(crate) fn is_bundle(manifest: &Manifest) -> bool {
    manifest.layers.iter().any(|layer| resource(layer).is_some())
}

/// What a bundle holds, in words; nothing where a manifest is none.
pub(crate) fn contents(manifest: &Manifest) -> Option<String> {
    let named = manifest.layers.iter().filter_map(resource);
    let words: Vec<String> = named.map(|(kind, name)| format!("the {kind} `{name}`")).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// The version that a manifest gives: rules are held against it, so it is what
/// could be a tag, or nothing.
fn version(manifest: &Manifest) -> Option<String> {
    manifest.annotations.get(VERSION).filter(|version| is_tag(version)).cloned()
}

/// The kind and the name of the resource in a layer.
fn resource(layer: &Descriptor) -> Option<(&str, &str)> {
    let annotation = |key: &str| layer.annotations.get(key).map(String::as_str);
    Some((annotation(KIND)?, annotation(NAME)?))
}

/// The layer of the pipeline that is meant, and its name.
fn choose<'m>(manifest: &'m Manifest, name: Option<&str>) -> Result<(String, &'m Descriptor), LayoutError> {
    let other = |wanted: &'static str| LayoutError::OtherKind {
        wanted,
        found: format!("a bundle with {}", contents(manifest).unwrap_or_default()),
        help: "name one of its pipelines: pipelineRef: { bundle: .., name: .. }",
    };
    if manifest.layers.len() > MAX_RESOURCES {
        return Err(other("bundle, which has at most 20 layers"));
    }
    let pipelines = manifest.layers.iter().filter_map(|layer| match resource(layer) {
        Some((PIPELINE, found)) if name.is_none_or(|name| name == found) => Some((found.to_owned(), layer)),
        Some(_) | None => None,
    });
    let mut pipelines: Vec<_> = pipelines.collect();
    match (pipelines.len(), pipelines.pop()) {
        (1, Some(found)) => Ok(found),
        (0, _) => Err(other("bundle with the pipeline that is named")),
        (_, _) => Err(other("bundle with one pipeline of that name")),
    }
}

struct Archive {
    compressed: Vec<u8>,
    /// The digest of the archive before it was compressed.
    plain: Digest,
}

/// An archive with one file; the same bytes each time.
fn archive(name: &str, text: &[u8]) -> io::Result<Archive> {
    let mut header = tar::Header::new_ustar();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::Regular);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_data(&mut header, name, text)?;
    let plain = builder.into_inner()?;
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
    io::Write::write_all(&mut encoder, &plain)?;
    Ok(Archive { compressed: encoder.finish()?, plain: Digest::of(&plain) })
}

/// The bytes of the one file in an archive. However much is packed into it, no
/// more than [`MAX_RESOURCE`] and what an archive needs besides is unpacked.
fn only_file(raw: &[u8]) -> io::Result<Vec<u8>> {
    let unpacked = MAX_RESOURCE + 64 * 1024;
    if raw.starts_with(&[0x1f, 0x8b]) {
        return first_entry(GzDecoder::new(raw).take(unpacked));
    }
    first_entry(raw)
}

fn first_entry(archive: impl Read) -> io::Result<Vec<u8>> {
    let refuse = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidData, why.to_owned()));
    let mut archive = tar::Archive::new(archive);
    let Some(entry) = archive.entries()?.next() else { return refuse("it has no file") };
    let mut entry = entry?;
    if entry.header().entry_type() != tar::EntryType::Regular {
        return refuse("what it has is no file");
    }
    if entry.size() > MAX_RESOURCE {
        return refuse("its file is larger than 4 MiB");
    }
    let size = entry.size();
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes)?;
    if bytes.len() as u64 != size {
        return refuse("it ends in the middle of its file");
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use std::path::Path;

    use super::*;

    const TEXT: &str = "kind: Pipeline\n";

    fn layout() -> (tempfile::TempDir, Layout) {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::open_or_create(directory.path()).unwrap();
        (directory, layout)
    }

    fn reference(layout: &Layout, name: &str) -> Reference {
        Reference::parse(&format!("oci:{}:{name}", layout.root().display()), Path::new("/")).unwrap()
    }

    /// A bundle with layers of any kind.
    fn bundle(layout: &Layout, layers: &[(&str, &str, &[u8])]) -> Reference {
        let layers = layers.iter().map(|(kind, name, bytes)| {
            let mut layer = layout.put("application/vnd.docker.image.rootfs.diff.tar.gzip", bytes).unwrap();
            layer.annotations = BTreeMap::from([
                (KIND.to_owned(), (*kind).to_owned()),
                (NAME.to_owned(), (*name).to_owned()),
            ]);
            layer
        });
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(MANIFEST_TYPE.to_owned()),
            artifact_type: None,
            layers: layers.collect(),
            config: layout.put(CONFIG_TYPE, b"{}").unwrap(),
            subject: None,
            annotations: BTreeMap::new(),
        };
        layout.push(&manifest, &["bundle:1".to_owned()]).unwrap();
        reference(layout, "bundle:1")
    }

    fn packed(text: &[u8]) -> Vec<u8> {
        archive("file", text).unwrap().compressed
    }

    #[test]
    fn a_published_pipeline_is_read_as_it_was_and_has_one_digest() {
        let (_directory, layout) = layout();
        let artifact = PipelineArtifact { name: "build", version: "1.2", description: "", text: TEXT };
        let digest = layout.publish_pipeline(&artifact).unwrap();
        assert_eq!(layout.publish_pipeline(&artifact).unwrap(), digest);
        for name in ["build:1.2", "build"] {
            let found = layout.pull_pipeline(&reference(&layout, name), None).unwrap();
            let version = Some("1.2".to_owned());
            assert_eq!(
                found,
                PulledPipeline { digest, name: "build".to_owned(), version, text: TEXT.to_owned() }
            );
        }
    }

    #[test]
    fn of_several_pipelines_the_named_one_is_read() {
        let (_directory, layout) = layout();
        let (one, two) = (packed(b"one"), packed(b"two"));
        let reference =
            bundle(&layout, &[("pipeline", "a", &one), ("pipeline", "b", &two), ("task", "c", &two)]);
        let pull = |name| layout.pull_pipeline(&reference, name);
        assert_eq!(pull(Some("b")).unwrap().text, "two");
        for (name, why) in [
            (None, "the pipeline `a`, the pipeline `b`, the task `c`, and no bundle with one pipeline"),
            (Some("c"), "and no bundle with the pipeline that is named"),
        ] {
            let error = pull(name).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn an_archive_without_compression_is_read() {
        let (_directory, layout) = layout();
        let mut plain = Vec::new();
        GzDecoder::new(packed(b"text").as_slice()).read_to_end(&mut plain).unwrap();
        let reference = bundle(&layout, &[("pipeline", "a", &plain)]);
        assert_eq!(layout.pull_pipeline(&reference, None).unwrap().text, "text");
    }

    #[test]
    fn archives_that_lie_are_refused() {
        let mut link = tar::Header::new_ustar();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_size(0);
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_link(&mut link, "file", "/etc/passwd").unwrap();
        let link = builder.into_inner().unwrap();
        let large = packed(&vec![b' '; (MAX_RESOURCE + 1) as usize]);
        assert!(large.len() < 20_000, "it is small as long as it is packed");
        let whole = packed(&vec![b'x'; 4096]);
        let mut cut = Vec::new();
        GzDecoder::new(whole.as_slice()).read_to_end(&mut cut).unwrap();
        cut.truncate(2048);
        for (bytes, why) in [
            (link.as_slice(), "no file"),
            (large.as_slice(), "larger than 4 MiB"),
            (cut.as_slice(), "in the middle"),
            (b"".as_slice(), "no file"),
            (b"no archive at all".as_slice(), ""),
        ] {
            let error = only_file(bytes).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_task_is_no_bundle_and_a_bundle_no_task() {
        let (_directory, layout) = layout();
        let reference = bundle(&layout, &[("task", "a", &packed(b"text"))]);
        let error = layout.pull(&reference).unwrap_err().to_string();
        assert!(error.contains("a bundle with the task `a`"), "{error}");
    }
}
