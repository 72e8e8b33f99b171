//! One task in a layout, and a key that has not signed it yet.

use std::path::Path;

use cofferdam_registry::{Digest, Layout, Reference, SigningKey, TaskArtifact};

pub(crate) struct World {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) layout: Layout,
    /// Its public half is in `keys/test.pub`.
    pub(crate) key: SigningKey,
    pub(crate) digest: Digest,
}

impl World {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::open_or_create(&directory.path().join("registry")).unwrap();
        let key = SigningKey::generate(&directory.path().join("keys/test.key")).unwrap();
        let component = b"component".as_slice();
        let task = TaskArtifact { name: "sbom", version: "0.1.0", component, ..TaskArtifact::default() };
        let digest = layout.publish(&task).unwrap();
        Self { directory, layout, key, digest }
    }
}

/// How it is named.
pub(crate) fn sbom() -> Reference {
    Reference::parse("sbom:0.1.0", Path::new("/")).unwrap()
}
