//! The contract of a Cofferdam task as data: the manifest's types, the JSON
//! Schema generated from them, and YAML that remembers where everything stands.
//!
//! The host and the SDK's macro both read `task.yaml` through this crate, so an
//! author's build refuses exactly what a run would refuse. It reads text it is
//! given; it opens no file.

mod document;
mod fault;
mod limits;
mod manifest;
mod name;
mod quantity;
mod shape;

pub use document::{Document, Node, NodeKind, Place};
pub use fault::{Fault, FaultKind};
pub use limits::{Limits, OutputLimits, OutputSpec};
pub use manifest::{
    ArtifactSpec, Capabilities, ExecAsk, Manifest, ManifestKind, Metadata, NetworkAsk, ParamSpec, Property,
    RealOnly, ResultSpec, SecretAsk, SecretUse, Spec, TASK_API_VERSION, Value, ValueType,
};
pub use name::{Identifier, InvalidName, Name};
pub use quantity::{InvalidQuantity, Quantity, Span};
pub use shape::{decode, schema};
