//! What is said of a task beside its code: in the config of its artifact, and in
//! annotations. A registry can be asked for these without the code.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::artifact::{COMPONENT_TYPE, CONFIG_TYPE, TaskArtifact};
use crate::digest::Digest;
use crate::document::{Descriptor, Manifest};
use crate::layout::{Layout, LayoutError, MAX_DOCUMENT, encode};
use crate::pipeline_bundle;
use crate::reference::Reference;

pub(crate) const TITLE: &str = "org.opencontainers.image.title";
pub(crate) const VERSION: &str = "org.opencontainers.image.version";
pub(crate) const DESCRIPTION: &str = "org.opencontainers.image.description";
pub(crate) const SOURCE: &str = "org.opencontainers.image.source";
const REVISION: &str = "org.opencontainers.image.revision";
pub(crate) const LICENSES: &str = "org.opencontainers.image.licenses";

/// The config blob: CNCF TAG Runtime, "Wasm OCI Artifact layout", and the
/// manifest of the task.
#[derive(Serialize, Deserialize)]
struct Config {
    #[serde(default)]
    created: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    #[serde(default, rename = "layerDigests")]
    layer_digests: Vec<Digest>,
    #[serde(default)]
    component: ConfigComponent,
    #[serde(default, rename = "dev.cofferdam.task", skip_serializing_if = "Option::is_none")]
    task: Option<Value>,
}

#[derive(Default, Serialize, Deserialize)]
struct ConfigComponent {
    #[serde(default)]
    exports: Vec<String>,
    #[serde(default)]
    imports: Vec<String>,
}

/// What is known of a task without its code. All of it is below the digest that
/// is signed; that it is true of the code is known when the code is there.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskHead {
    /// The digest of the manifest: what is pinned, and what is signed.
    pub digest: Digest,
    /// The digest of the component.
    pub component_digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// The interfaces that it is said to import.
    pub imports: Vec<String>,
    /// The manifest of the task; nothing where it was published by other means.
    pub contract: Option<Value>,
}

/// The config of an artifact with one layer.
pub(crate) fn config(layer: Digest, imports: &[String], exports: &[String], task: Option<&Value>) -> Vec<u8> {
    encode(&Config {
        // The format requires a time; a real one would change the digest.
        created: "1970-01-01T00:00:00Z".to_owned(),
        architecture: "wasm".to_owned(),
        os: "wasip2".to_owned(),
        layer_digests: vec![layer],
        component: ConfigComponent { exports: exports.to_vec(), imports: imports.to_vec() },
        task: task.cloned(),
    })
}

/// The annotations of a task's artifact: image-spec, "Pre-Defined Annotation
/// Keys".
pub(crate) fn annotations(task: &TaskArtifact<'_>) -> BTreeMap<String, String> {
    said([
        (TITLE, task.name),
        (VERSION, task.version),
        (DESCRIPTION, task.description),
        (SOURCE, task.source),
        (REVISION, task.revision),
        (LICENSES, task.licenses),
    ])
}

/// Annotations, those without a text left out.
pub(crate) fn said<const N: usize>(all: [(&str, &str); N]) -> BTreeMap<String, String> {
    let said = all.into_iter().filter(|(_, text)| !text.is_empty());
    said.map(|(key, text)| (key.to_owned(), text.to_owned())).collect()
}

/// The one layer of a task's artifact: its component.
pub(crate) fn component_layer(
    manifest: &Manifest,
    corrupt: impl Fn(&str) -> LayoutError,
) -> Result<&Descriptor, LayoutError> {
    if manifest.config.media_type != CONFIG_TYPE {
        return Err(match pipeline_bundle::contents(manifest) {
            Some(contents) => LayoutError::OtherKind {
                wanted: "task of WebAssembly",
                found: format!("a bundle with {contents}"),
                help: "a pipeline of it is read by `pipelineRef: { bundle: .. }`; a task of it is containers: \
                       name one that is a component",
            },
            None => corrupt("it is not a WebAssembly artifact"),
        });
    }
    let [layer] = manifest.layers.as_slice() else {
        return Err(corrupt("a WebAssembly artifact has exactly one layer"));
    };
    if layer.media_type != COMPONENT_TYPE {
        return Err(corrupt("its layer is not application/wasm"));
    }
    Ok(layer)
}

impl Layout {
    /// What is known of a task without its code.
    ///
    /// # Errors
    /// [`LayoutError`], also when the artifact is no task.
    pub fn task_head(&self, reference: &Reference) -> Result<TaskHead, LayoutError> {
        let descriptor = self.descriptor(reference)?;
        let manifest = self.manifest(&descriptor, MAX_DOCUMENT)?;
        let corrupt = |why: &str| self.corrupt(descriptor.digest, why);
        let layer = component_layer(&manifest, corrupt)?;
        let config = self.read(&manifest.config, MAX_DOCUMENT)?;
        let config: Config = serde_json::from_slice(&config).map_err(|error| {
            let why =
                format!("its config has at {}:{} what does not belong there", error.line(), error.column());
            self.corrupt(manifest.config.digest, &why)
        })?;
        Ok(TaskHead {
            digest: descriptor.digest,
            component_digest: layer.digest,
            size: layer.size,
            imports: config.component.imports,
            contract: config.task,
        })
    }
}
