//! The contract of a Cofferdam task as data: the manifest's types, the JSON
//! Schema generated from them, and YAML that remembers where everything stands.
//!
//! The host and the SDK's macro both read `task.yaml` through this crate, so an
//! author's build refuses exactly what a run would refuse. It reads text it is
//! given; it opens no file.

mod address;
mod address_kind;
mod capabilities;
mod document;
mod fault;
mod host;
mod limits;
mod list;
mod manifest;
mod name;
mod node;
mod quantity;
mod salvage;
mod shape;
mod usual;

pub use address::{AddressRange, InvalidRange};
pub use address_kind::AddressKind;
pub use capabilities::{
    Capabilities, ExecAsk, Method, NetworkRule, RealOnly, Scheme, SecretAsk, SecretUse, TcpRule,
    contradictions,
};
pub use document::{Document, Node, NodeKind, Place};
pub use fault::{Fault, FaultKind};
pub use host::{Host, HostPattern, InvalidHost, InvalidPath, PathPrefix};
pub use limits::{Limits, OutputLimits, OutputSpec};
pub use list::List;
pub use manifest::{
    ArtifactSpec, Manifest, ManifestKind, Metadata, ParamSpec, Property, ResultSpec, Spec, TASK_API_VERSION,
    Value, ValueType,
};
pub use name::{Identifier, InvalidName, Name};
pub use quantity::{InvalidQuantity, Quantity, Span};
pub use salvage::{Lost, Salvaged, salvage};
pub use shape::{decode, nearest, schema};
