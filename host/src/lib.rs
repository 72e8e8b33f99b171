//! Cofferdam: a build orchestrator whose tasks are sandboxed WebAssembly
//! components, and whose host observes and attests everything they do.
//!
//! Each module imports only modules that stand below it:
//!
//! ```text
//! cli         one file per command; builds everything concrete
//! report      terminal and JSON
//! provenance  journal -> in-toto statements, and their verification
//! engine      walks the plan
//! sandbox     one TaskRun under its grants; the only module that names wasmtime
//! network     the HTTP client: names, addresses, TLS, every byte observed
//! plan        pipeline file -> resolved, verified, typed graph
//! capability  one file per capability: the grant, its check, what it gives
//! component   a component's bytes: imports, manifest
//! event|store|secret  facts and the journal | blobs and trees | secrets
//! tekton      files of Tekton and Konflux: what they become, what needs Kubernetes
//! model       plain data
//! ```

pub mod capability;
pub mod cli;
pub mod component;
pub mod engine;
pub mod event;
pub mod model;
pub mod network;
pub mod plan;
pub mod provenance;
pub mod report;
pub mod sandbox;
pub mod secret;
pub mod source;
pub mod store;
pub mod tekton;
