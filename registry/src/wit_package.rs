//! Packages of WIT as OCI artifacts, in the form in which `wkg` publishes and
//! fetches them: that of a component (CNCF TAG Runtime, "Wasm OCI Artifact
//! layout"), whose one layer is the package in its binary form, under a tag that
//! is its version. The repository ends in the package's namespace and name.

use crate::artifact::{COMPONENT_TYPE, CONFIG_TYPE};
use crate::contract::{self, DESCRIPTION, LICENSES, SOURCE, TITLE, VERSION};
use crate::digest::Digest;
use crate::document::{MANIFEST_TYPE, Manifest};
use crate::layout::{Layout, LayoutError};

/// A package of WIT to publish.
#[derive(Clone, Copy, Debug, Default)]
pub struct WitArtifact<'a> {
    /// The repository's name, of which the last two parts are the package's.
    pub name: &'a str,
    /// Its version, which is the tag. There is no `latest`.
    pub version: &'a str,
    /// One line for lists.
    pub description: &'a str,
    /// The package in its binary form.
    pub package: &'a [u8],
    /// Its interfaces and worlds, and what the worlds export.
    pub exports: &'a [String],
    /// The URL of its source; nothing where that is not said.
    pub source: &'a str,
    /// Its licences, as an SPDX expression; the same.
    pub licenses: &'a str,
}

impl Layout {
    /// Stores a package of WIT, with its version's tag. The same package always
    /// gets the same digest.
    ///
    /// # Errors
    /// [`LayoutError`] when the layout cannot be read or written.
    pub fn publish_wit(&self, wit: &WitArtifact<'_>) -> Result<Digest, LayoutError> {
        let mut layer = self.put(COMPONENT_TYPE, wit.package)?;
        let config = self.put(CONFIG_TYPE, &contract::config(layer.digest, &[], wit.exports, None))?;
        // What clients call the file that they write.
        let file = wit.name.rsplit('/').next().unwrap_or_default();
        layer.annotations.insert(TITLE.to_owned(), format!("{file}.wasm"));
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(MANIFEST_TYPE.to_owned()),
            artifact_type: None,
            config,
            layers: vec![layer],
            subject: None,
            annotations: contract::said([
                (VERSION, wit.version),
                (DESCRIPTION, wit.description),
                (SOURCE, wit.source),
                (LICENSES, wit.licenses),
            ]),
        };
        self.push(&manifest, &[format!("{}:{}", wit.name, wit.version)])
    }
}
