//! A component as bytes: what it imports and exports, and the manifest inside.
//!
//! Nothing is compiled here. What a component can reach is decided by its
//! imports, and those are read before anything of it runs.

pub(crate) mod from_c;
mod refusal;
pub(crate) mod refuse;
pub(crate) mod wit;

use cofferdam_manifest::Manifest;
use cofferdam_registry::Digest;
use wasm_encoder::{ComponentSection, CustomSection};
use wasmparser::{ComponentTypeRef, Encoding, Parser, Payload, TypeBounds};

/// The custom section that holds the manifest.
pub const MANIFEST_SECTION: &str = "cofferdam:task";

/// Larger components are not read.
const MAX_BYTES: usize = 256 << 20;
/// Nor are larger manifests: it takes a person to write one.
const MAX_MANIFEST: usize = 256 << 10;

/// Why some bytes are not a task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
#[non_exhaustive]
pub enum ComponentError {
    /// Not WebAssembly, or damaged.
    #[error("{name} is not a WebAssembly component: {why}")]
    #[diagnostic(code("component/not-wasm"), help("build it with `cofferdam task build`"))]
    NotWasm {
        /// What was read.
        name: String,
        /// Where reading ended.
        why: String,
    },
    /// A core module, which has no typed interface.
    #[error("{name} is a core WebAssembly module, not a component")]
    #[diagnostic(
        code("component/core-module"),
        help("compile for wasm32-wasip2, or wrap the module with `wasm-tools component new`")
    )]
    CoreModule {
        /// What was read.
        name: String,
    },
    /// No manifest inside.
    #[error("{name} carries no manifest")]
    #[diagnostic(
        code("component/no-manifest"),
        help("embed one: cofferdam task build --component {name} DIRECTORY_WITH_TASK_YAML")
    )]
    NoManifest {
        /// What was read.
        name: String,
    },
    /// A description of interfaces, in the form of a component.
    #[error("{name} is a package of WIT, and no task")]
    #[diagnostic(
        code("component/wit"),
        help("compile a component of its world; `cofferdam task build --component` makes a task of that")
    )]
    Wit {
        /// What was read.
        name: String,
    },
    /// The manifest inside cannot be read, or there are two.
    #[error("the manifest inside {name} cannot be read: {why}")]
    #[diagnostic(code("component/bad-manifest"), help("build the task again from its task.yaml"))]
    BadManifest {
        /// What was read.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// No `run` in the version this host speaks.
    #[error("{name} does not export `run` of cofferdam:task")]
    #[diagnostic(code("component/no-run"), help("its world must be `cofferdam:task/task@0.1.0`"))]
    NoRun {
        /// What was read.
        name: String,
    },
}

/// What a component is, read from its bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    /// The interfaces it imports, sorted.
    pub imports: Vec<String>,
    /// What it exports, sorted.
    pub exports: Vec<String>,
    /// The manifest, where there is one.
    pub manifest: Option<Manifest>,
}

/// A task: a component with its manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// The digest of the bytes: code and contract in one.
    pub digest: Digest,
    /// What it takes, makes and asks for.
    pub manifest: Manifest,
    /// The interfaces it imports, sorted.
    pub imports: Vec<String>,
    /// What it exports, sorted.
    pub exports: Vec<String>,
    /// The component.
    pub bytes: Vec<u8>,
}

impl Component {
    /// Reads a task; `name` is for messages.
    ///
    /// # Errors
    /// [`ComponentError`]: what the bytes are instead.
    pub fn read(name: &str, bytes: Vec<u8>) -> Result<Self, ComponentError> {
        let found = inspect(name, &bytes)?;
        let Some(manifest) = found.manifest else {
            let name = name.to_owned();
            return Err(if wit::is_package(&bytes) {
                ComponentError::Wit { name }
            } else {
                ComponentError::NoManifest { name }
            });
        };
        if !found.exports.iter().any(|export| export == "run") {
            return Err(ComponentError::NoRun { name: name.to_owned() });
        }
        let digest = Digest::of(&bytes);
        Ok(Self { digest, manifest, imports: found.imports, exports: found.exports, bytes })
    }

    /// Whether it can touch files at all.
    #[must_use]
    pub fn uses_files(&self) -> bool {
        self.imports.iter().any(|import| import.starts_with("wasi:filesystem/"))
    }
}

/// Reads what a component imports, exports and carries.
///
/// # Errors
/// [`ComponentError::NotWasm`], [`ComponentError::CoreModule`], or a manifest
/// that cannot be read.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the rest describes code, which the sandbox compiles and checks"
)]
pub fn inspect(name: &str, bytes: &[u8]) -> Result<Inspection, ComponentError> {
    let not_wasm = |why: String| ComponentError::NotWasm { name: name.to_owned(), why };
    let bad_manifest = |why: String| ComponentError::BadManifest { name: name.to_owned(), why };
    if bytes.len() > MAX_BYTES {
        return Err(not_wasm(format!("it is larger than {} MiB", MAX_BYTES >> 20)));
    }
    // What the parser says of other files is their first bytes.
    if !bytes.starts_with(b"\0asm") {
        return Err(not_wasm("it does not begin as one does".to_owned()));
    }
    let mut found = Inspection { imports: Vec::new(), exports: Vec::new(), manifest: None };
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(|error| not_wasm(error.to_string()))? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err(ComponentError::CoreModule { name: name.to_owned() });
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    let import = import.map_err(|error| not_wasm(error.to_string()))?;
                    // An alias of a type gives nothing that could be called.
                    if !matches!(import.ty, ComponentTypeRef::Type(TypeBounds::Eq(_))) {
                        found.imports.push(import.name.name.to_owned());
                    }
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    let export = export.map_err(|error| not_wasm(error.to_string()))?;
                    found.exports.push(export.name.name.to_owned());
                }
            }
            Payload::CustomSection(section) if depth == 0 && section.name() == MANIFEST_SECTION => {
                if found.manifest.is_some() {
                    return Err(bad_manifest("there are two of them".to_owned()));
                }
                if section.data().len() > MAX_MANIFEST {
                    return Err(bad_manifest(format!("it is larger than {} KiB", MAX_MANIFEST >> 10)));
                }
                found.manifest = Some(Manifest::from_json(section.data()).map_err(bad_manifest)?);
            }
            _ => {}
        }
    }
    found.imports.sort_unstable();
    found.exports.sort_unstable();
    Ok(found)
}

/// Puts a manifest into a component, in place of the one it has. The same two
/// always give the same bytes.
///
/// # Errors
/// As [`inspect`].
pub fn embed(name: &str, bytes: &[u8], manifest: &Manifest) -> Result<Vec<u8>, ComponentError> {
    let mut out = without_section(name, bytes, MANIFEST_SECTION)?;
    let data = manifest.to_json();
    CustomSection { name: MANIFEST_SECTION.into(), data: data.as_slice().into() }
        .append_to_component(&mut out);
    Ok(out)
}

/// A component without its own custom sections of a name.
#[expect(clippy::wildcard_enum_match_arm, reason = "the rest is copied as it is")]
fn without_section(name: &str, bytes: &[u8], left_out: &str) -> Result<Vec<u8>, ComponentError> {
    let not_wasm = |why: String| ComponentError::NotWasm { name: name.to_owned(), why };
    let mut out = Vec::with_capacity(bytes.len() + 1024);
    let mut copied = 0;
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(|error| not_wasm(error.to_string()))? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err(ComponentError::CoreModule { name: name.to_owned() });
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section) if depth == 0 && section.name() == left_out => {
                // The range covers name and data; before it stand the section's
                // id and its length in LEB128.
                let range = section.range();
                let header = 1 + leb128_length(range.end - range.start);
                out.extend_from_slice(bytes.get(copied..range.start - header).unwrap_or_default());
                copied = range.end;
            }
            _ => {}
        }
    }
    out.extend_from_slice(bytes.get(copied..).unwrap_or_default());
    Ok(out)
}

fn leb128_length(mut value: usize) -> usize {
    let mut length = 1;
    while value >= 0x80 {
        value >>= 7;
        length += 1;
    }
    length
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    fn manifest(version: &str) -> Manifest {
        let text = format!(
            "apiVersion: cofferdam.dev/v1\nkind: Task\nmetadata: {{name: x, version: '{version}'}}\nspec: {{}}\n"
        );
        Manifest::parse(&text).unwrap()
    }

    #[test]
    fn embedding_replaces_and_never_adds() {
        let once = embed("x", EMPTY, &manifest("1.0.0")).unwrap();
        assert_eq!(inspect("x", &once).unwrap().manifest, Some(manifest("1.0.0")));
        let twice = embed("x", &once, &manifest("2.0.0")).unwrap();
        assert_eq!(inspect("x", &twice).unwrap().manifest, Some(manifest("2.0.0")));
        assert_eq!(embed("x", &twice, &manifest("1.0.0")).unwrap(), once);
    }

    #[test]
    fn a_second_manifest_is_not_overlooked() {
        let mut bytes = embed("x", EMPTY, &manifest("1.0.0")).unwrap();
        let data = manifest("2.0.0").to_json();
        CustomSection { name: MANIFEST_SECTION.into(), data: data.as_slice().into() }
            .append_to_component(&mut bytes);
        assert!(matches!(inspect("x", &bytes), Err(ComponentError::BadManifest { .. })));
    }

    #[test]
    fn what_is_no_component_is_called_what_it_is() {
        let read = |bytes: &[u8]| Component::read("x", bytes.to_vec()).unwrap_err();
        assert!(matches!(read(b"text"), ComponentError::NotWasm { .. }));
        assert!(matches!(read(b""), ComponentError::NotWasm { .. }));
        assert!(matches!(read(b"\0asm\x01\0\0\0"), ComponentError::CoreModule { .. }));
        assert!(matches!(read(EMPTY), ComponentError::NoManifest { .. }));
        let package = wit::WitPackage::encode([("a.wit", "package a:b@1.0.0;\ninterface i {}\n")]).unwrap();
        assert!(matches!(read(&package.bytes), ComponentError::Wit { .. }));
        let embedded = embed("x", EMPTY, &manifest("1.0.0")).unwrap();
        assert!(matches!(read(&embedded), ComponentError::NoRun { .. }));
        let cut = embedded.get(..embedded.len() - 3).unwrap();
        assert!(matches!(read(cut), ComponentError::NotWasm { .. }));
    }
}
