//! What a component in C is made with: the bindings its source is compiled with,
//! and the step from the module a C compiler leaves to a component.
//!
//! The C library speaks WASI's first version; an adapter puts the second one in
//! its place, only as much of it as the module uses.

use std::path::Path;

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::Resolve;
use wit_component::ComponentEncoder;

/// The world of the contract, in the package of WIT that a task has.
const WORLD: &str = "task";
/// What the names of the bindings, and their files, begin with.
const PREFIX: &str = "contract";

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FromCError {
    /// The WIT of the task is damaged, or has no such world.
    #[error("the contract cannot be read: {0}")]
    Contract(String),
    /// The module is not what the bindings make of a task.
    #[error("the module is no task: {0}")]
    Module(String),
}

/// The C bindings of the world `task` in a directory of WIT: names of files, and
/// what they hold. The object among them carries the world itself into the module.
///
/// # Errors
/// [`FromCError::Contract`]: what is wrong with the WIT, and where.
pub(crate) fn bindings(wit: &Path) -> Result<Vec<(String, Vec<u8>)>, FromCError> {
    let mut resolve = Resolve::default();
    let (package, _) =
        resolve.push_path(wit).map_err(|error| FromCError::Contract(resolve.render_error(&error)))?;
    let unreadable = |error| FromCError::Contract(format!("{error:#}"));
    let world = resolve.select_world(&[package], Some(WORLD)).map_err(unreadable)?;
    let options = wit_bindgen_c::Opts { rename_world: Some(PREFIX.to_owned()), ..Default::default() };
    let mut files = Files::default();
    options.build().generate(&mut resolve, world, &mut files).map_err(unreadable)?;
    Ok(files.iter().map(|(name, content)| (name.to_owned(), content.to_owned())).collect())
}

/// The component of a module that was compiled with the bindings.
///
/// # Errors
/// [`FromCError::Module`]: what it lacks, or imports that no interface has.
pub(crate) fn component(module: &[u8]) -> Result<Vec<u8>, FromCError> {
    let encode = || {
        ComponentEncoder::default()
            .validate(true)
            .module(module)?
            .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?
            .encode()
    };
    encode().map_err(|error| FromCError::Module(format!("{error:#}")))
}
