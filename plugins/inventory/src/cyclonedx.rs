//! Writes the inventory as CycloneDX 1.6 JSON (ECMA-424). The same inventory
//! always gives the same bytes: no clock, no random serial number.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::inventory::{Component, Inventory};
use crate::lock::{Algorithm, Flag, Package};

/// Who writes an SBOM, when, and what of.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The name and the version of the program of Cofferdam's that writes it.
    pub tool: (&'a str, &'a str),
    /// The phase of the lifecycle that it tells of: CycloneDX 1.6, "lifecycles".
    pub phase: &'static str,
    /// What was made of all this; nothing where that is what the lock file says.
    pub subject: Option<Described<'a>>,
}

/// What was made, which takes the place of the root.
#[derive(Clone, Copy, Debug)]
pub struct Described<'a> {
    /// What it is called.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// The digest of its bytes, in hexadecimal.
    pub sha256: &'a str,
}

/// What cyclonedx-npm names these properties too.
const DEVELOPMENT: &str = "cdx:npm:package:development";
const BUNDLED: &str = "cdx:npm:package:bundled";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bom<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    spec_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial_number: Option<String>,
    version: u32,
    metadata: Metadata<'a>,
    components: Vec<Entry<'a>>,
    dependencies: Vec<Dependency<'a>>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    lifecycles: [Lifecycle; 1],
    tools: Tools<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<Entry<'a>>,
}

#[derive(Serialize)]
struct Lifecycle {
    phase: &'static str,
}

#[derive(Serialize)]
struct Tools<'a> {
    components: [Tool<'a>; 1],
}

#[derive(Serialize)]
struct Tool<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    group: &'static str,
    name: &'a str,
    version: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "bom-ref")]
    reference: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_references: Vec<ExternalReference<'a>>,
    properties: Vec<Property<'a>>,
}

#[derive(Serialize)]
struct Hash<'a> {
    alg: &'static str,
    content: &'a str,
}

#[derive(Serialize)]
struct ExternalReference<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    url: &'a str,
}

#[derive(Serialize)]
struct Property<'a> {
    name: &'static str,
    value: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency<'a> {
    #[serde(rename = "ref")]
    reference: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<&'a str>,
}

/// The document, ending in a newline.
#[must_use]
pub fn render(inventory: &Inventory, origin: &Origin<'_>) -> Vec<u8> {
    let mut bom = Bom {
        schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
        bom_format: "CycloneDX",
        spec_version: "1.6",
        serial_number: None,
        version: 1,
        metadata: metadata(inventory, origin),
        components: inventory.components().map(|(name, component)| entry(name, component)).collect(),
        dependencies: dependencies(inventory),
    };
    bom.serial_number = Some(serial_number(&json(&bom)));
    json(&bom)
}

fn json(bom: &Bom<'_>) -> Vec<u8> {
    // Strings, numbers and lists always serialise.
    let mut bytes = serde_json::to_vec_pretty(bom).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// A UUID from the content: the bits that RFC 9562, section 5.8, leaves to
/// whoever makes a version 8, filled from a SHA-256.
fn serial_number(content: &[u8]) -> String {
    let digest: [u8; 32] = Sha256::digest(content).into();
    let (head, _) = digest.split_at(16);
    let mut number = head.iter().fold(0_u128, |number, byte| (number << 8) | u128::from(*byte));
    number = (number & !(0xf << 76)) | (0x8 << 76);
    number = (number & !(0x3 << 62)) | (0x2 << 62);
    let hex = format!("{number:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("urn:uuid:{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

fn metadata<'a>(inventory: &'a Inventory, origin: &Origin<'a>) -> Metadata<'a> {
    let (name, version) = origin.tool;
    let tool = Tool { kind: "application", group: "cofferdam", name, version };
    let root = inventory.root().map(|(name, component)| entry(name, component));
    Metadata {
        lifecycles: [Lifecycle { phase: origin.phase }],
        tools: Tools { components: [tool] },
        component: match &origin.subject {
            Some(subject) => Some(described(subject, root)),
            None => root,
        },
    }
}

/// What was made. The graph begins at the root of the lock file, where it has one,
/// so its reference stays.
fn described<'a>(subject: &Described<'a>, root: Option<Entry<'a>>) -> Entry<'a> {
    let (reference, properties) =
        root.map_or(("subject", Vec::new()), |root| (root.reference, root.properties));
    Entry {
        kind: "application",
        reference,
        group: None,
        name: subject.name,
        version: Some(subject.version),
        scope: None,
        hashes: vec![Hash { alg: Algorithm::Sha256.as_str(), content: subject.sha256 }],
        purl: None,
        external_references: Vec::new(),
        properties,
    }
}

fn entry<'a>(reference: &'a str, component: &'a Component) -> Entry<'a> {
    let package = &component.package;
    let has = |flag| package.flags.contains(&flag);
    let references =
        package.distribution.as_deref().map(|url| ExternalReference { kind: "distribution", url });
    Entry {
        kind: if has(Flag::Application) { "application" } else { "library" },
        reference,
        group: package.group.as_deref(),
        name: &package.name,
        version: package.version.as_deref(),
        scope: has(Flag::Optional).then_some("optional"),
        hashes: hashes(package),
        purl: package.purl.as_deref(),
        external_references: references.into_iter().collect(),
        properties: properties(component),
    }
}

fn hashes(package: &Package) -> Vec<Hash<'_>> {
    package
        .digests
        .iter()
        .map(|digest| Hash { alg: digest.algorithm.as_str(), content: &digest.hex })
        .collect()
}

fn properties(component: &Component) -> Vec<Property<'_>> {
    let has = |flag| component.package.flags.contains(&flag);
    let mut properties: Vec<Property<'_>> = [
        (BUNDLED, has(Flag::Bundled)),
        (DEVELOPMENT, has(Flag::Development)),
        ("cofferdam:digest-conflict", component.conflict),
        ("cofferdam:local", has(Flag::Local)),
    ]
    .into_iter()
    .filter(|(_, holds)| *holds)
    .map(|(name, _)| Property { name, value: "true" })
    .collect();
    properties
        .extend(component.lock_files.iter().map(|value| Property { name: "cofferdam:lockfile", value }));
    properties
}

/// A component that is not listed has unknown dependencies; one that is listed
/// without any has none (CycloneDX 1.6, "dependencies").
fn dependencies(inventory: &Inventory) -> Vec<Dependency<'_>> {
    let known = inventory.all().filter_map(|(reference, component)| {
        let depends_on = component.needs.as_ref()?.iter().map(String::as_str).collect();
        Some(Dependency { reference, depends_on })
    });
    known.collect()
}
