//! What lock files pin, and the CycloneDX SBOM made of it. It reads text and
//! gives text: it resolves nothing, asks no registry, opens no file, and refuses
//! a lock file that it cannot read in full.

mod cargo_lock;
mod cyclonedx;
mod fault;
mod integrity;
mod inventory;
mod lock;
mod npm_lock;
mod npm_tree;
mod purl;
mod requirement;
mod requirements;
#[cfg(test)]
mod robustness;
mod url;

pub use cyclonedx::{Described, Origin, render};
pub use fault::{Fault, line_of};
pub use inventory::{Component, Inventory};
pub use lock::{Algorithm, Digest, Flag, Include, Lock, LockKind, Package};
