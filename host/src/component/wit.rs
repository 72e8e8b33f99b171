//! A package of WIT in its binary form: that of a component which exports the
//! types of its interfaces and worlds, comments included (component model,
//! "Binary Format", "Packages of WIT").

use std::collections::BTreeSet;
use std::path::Path;

use wasmparser::{ComponentExternalKind, Parser, Payload};
use wit_bindgen_core::wit_parser::{Resolve, SourceMap};

use super::{ComponentError, without_section};

/// Where `wit-component` notes its own version.
const PRODUCERS: &str = "producers";

/// A package of WIT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WitPackage {
    /// What stands before the `:` of its name.
    pub(crate) namespace: String,
    /// What stands after it.
    pub(crate) name: String,
    /// A semantic version.
    pub(crate) version: String,
    /// Its interfaces and worlds, and what the worlds export; sorted.
    pub(crate) exports: Vec<String>,
    /// The package in its binary form.
    pub(crate) bytes: Vec<u8>,
}

/// Why there is no package.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WitError {
    /// The text is no WIT, or not all of it.
    #[error("the WIT cannot be read: {0}")]
    Text(String),
    /// The package has no version.
    #[error("the package `{0}` has no version")]
    NoVersion(String),
    /// What was made of it is no component.
    #[error(transparent)]
    Binary(#[from] ComponentError),
}

impl WitPackage {
    /// Encodes the files of one package, each with its name. The same WIT always
    /// gives the same bytes, whatever comments for the reader of its source stand
    /// between its parts.
    ///
    /// # Errors
    /// [`WitError`].
    pub(crate) fn encode<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, WitError> {
        let mut sources = SourceMap::default();
        for (name, text) in files {
            sources.push(Path::new(name), text);
        }
        let unreadable = |error: String| WitError::Text(error);
        let group = sources.parse().map_err(|(_, error)| unreadable(error.to_string()))?;
        let mut resolve = Resolve::default();
        let id = resolve.push_group(group).map_err(|error| unreadable(error.to_string()))?;
        let encoded =
            wit_component::encode(&resolve, id).map_err(|error| unreadable(format!("{error:#}")))?;
        let package = resolve.packages.get(id).ok_or_else(|| unreadable("it has no package".to_owned()))?;
        let name = &package.name;
        let version = name.version.as_ref().ok_or_else(|| WitError::NoVersion(name.to_string()))?;

        let worlds = package.worlds.iter().filter_map(|(_, id)| resolve.worlds.get(*id));
        let mut exports: BTreeSet<String> =
            worlds.flat_map(|world| world.exports.keys().map(|key| resolve.name_world_key(key))).collect();
        let own = package.worlds.keys().chain(package.interfaces.keys());
        exports.extend(own.map(|own| name.interface_id(own)));
        Ok(Self {
            namespace: name.namespace.clone(),
            name: name.name.clone(),
            version: version.to_string(),
            exports: exports.into_iter().collect(),
            // Who encoded it changes nothing of what it is.
            bytes: without_section(&name.to_string(), &encoded, PRODUCERS)?,
        })
    }
}

/// Whether bytes that are a component are a package of WIT: one that exports types
/// and nothing else. The bytes may be anybody's, so no more of them is decoded.
pub(super) fn is_package(bytes: &[u8]) -> bool {
    let (mut depth, mut exported) = (0_u32, false);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload {
            Ok(Payload::ModuleSection { .. } | Payload::ComponentSection { .. }) => depth += 1,
            Ok(Payload::End(_)) => depth = depth.saturating_sub(1),
            Ok(Payload::ComponentExportSection(section)) if depth == 0 => {
                for export in section {
                    if !export.is_ok_and(|export| export.kind == ComponentExternalKind::Type) {
                        return false;
                    }
                    exported = true;
                }
            }
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    exported
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]
    use super::*;
    use wit_component::{DecodedWasm, WitPrinter};

    const LOG: (&str, &str) = ("log.wit", include_str!("../../../wit/log.wit"));
    const TASK: (&str, &str) = ("task.wit", include_str!("../../../wit/task.wit"));
    const TYPES: (&str, &str) = ("types.wit", include_str!("../../../wit/types.wit"));

    /// The WIT of a package in its binary form.
    fn text(bytes: &[u8]) -> String {
        let DecodedWasm::WitPackage(resolve, id) = wit_component::decode(bytes).unwrap() else {
            panic!("it is a component");
        };
        let mut printer = WitPrinter::default();
        printer.print(&resolve, id, &[]).unwrap();
        printer.output.to_string()
    }

    #[test]
    fn the_contract_is_whole_with_its_comments_and_the_same_each_time() {
        let package = WitPackage::encode([LOG, TASK, TYPES]).unwrap();
        assert_eq!(package, WitPackage::encode([TYPES, LOG, TASK]).unwrap());
        assert_eq!((package.namespace.as_str(), package.name.as_str()), ("cofferdam", "task"));
        let text = text(&package.bytes);
        assert!(text.starts_with(&format!("package cofferdam:task@{};\n", package.version)), "{text}");
        for (_, source) in [LOG, TASK, TYPES] {
            // Each line but the package's, which stands once, and braces.
            for line in source.lines().map(str::trim).filter(|line| line.len() > 1).skip(1) {
                let line = line.trim_end_matches(',');
                assert!(text.contains(line), "{line}\n{text}");
            }
        }
        let version = &package.version;
        let own = ["log", "task", "types"].map(|own| format!("cofferdam:task/{own}@{version}"));
        assert_eq!(package.exports, [&own[..], &["run".to_owned()]].concat());
        let names_encoder = package.bytes.windows(PRODUCERS.len()).any(|part| part == PRODUCERS.as_bytes());
        assert!(!names_encoder, "it changes with who encodes it");
    }

    #[test]
    fn what_is_no_whole_package_is_told() {
        let encode = |text: &str| WitPackage::encode([("a.wit", text)]).unwrap_err().to_string();
        assert!(encode("package a:b@1.0.0;\nworld w { import missing; }\n").contains("missing"));
        assert!(encode("nonsense").starts_with("the WIT cannot be read: "));
        assert_eq!(encode("package a:b;\ninterface i {}\n"), "the package `a:b` has no version");
    }
}
