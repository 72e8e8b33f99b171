//! Writes a Cofferdam task as one Rust function.
//!
//! `task.yaml` says what the task takes and makes; [`task!`] turns it into
//! types; the function does the work:
//!
//! ```ignore
//! use cofferdam_sdk::{Context, Failure, task};
//!
//! task!("task.yaml", run);
//!
//! fn run(ctx: &Context, params: Params, inputs: Inputs, outputs: Outputs)
//!     -> Result<Results, Failure> {
//!     let text = std::fs::read_to_string(inputs.source.path().join("VERSION"))?;
//!     ctx.info("read the version", &[("version", text.trim())]);
//!     Ok(Results { version: params.prefix + text.trim() })
//! }
//! ```
//!
//! The same crate builds natively, where [`harness`] runs the whole task in a
//! test without WebAssembly.

mod context;
mod failure;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod guest;
#[cfg(not(target_family = "wasm"))]
pub mod harness;
pub mod http;
mod request;
mod value;

pub use cofferdam_sdk_macros::task;
pub use context::{Context, Level};
pub use failure::Failure;
pub use request::{Input, Output, Request};
pub use value::{Bindings, Value};

/// What [`task!`] implements: a manifest's names and the call behind them.
pub trait Task {
    /// The params that may be left out, with their values.
    fn defaults() -> Vec<(&'static str, Value)>;

    /// The names of the artifacts the task reads.
    fn inputs() -> &'static [&'static str];

    /// The names of the artifacts the task makes.
    fn outputs() -> &'static [&'static str];

    /// Runs the task once.
    ///
    /// # Errors
    /// The task's own [`Failure`], or `InvalidRequest` where the request does
    /// not fit the manifest.
    fn call(ctx: &Context, request: Request) -> Result<Bindings, Failure>;
}
