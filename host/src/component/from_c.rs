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
    let (package, _) = resolve.push_path(wit).map_err(|error| {
        // What is wrong, and where; then it draws the place.
        let rendered = resolve.render_error(&error);
        let lines: Vec<_> = rendered.lines().take(2).map(str::trim).collect();
        FromCError::Contract(lines.join(" "))
    })?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bindings_have_what_the_templates_are_written_with() {
        let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
        let files = bindings(&wit).unwrap();
        let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["contract.c", "contract.h", "contract_component_type.o"]);
        let header = String::from_utf8(files[1].1.clone()).unwrap();
        for name in ["contract_request_t", "cofferdam_task_log_write", "bool exports_contract_run("] {
            assert!(header.contains(name), "{name}: {header}");
        }
    }

    #[test]
    fn a_contract_that_is_not_whole_is_said_on_one_line_with_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let said = bindings(directory.path()).unwrap_err().to_string();
        assert!(said.starts_with("the contract cannot be read: "), "{said}");
        let world = "package cofferdam:task@0.1.0;\n\nworld task {\n    import log;\n}\n";
        std::fs::write(directory.path().join("task.wit"), world).unwrap();
        let said = bindings(directory.path()).unwrap_err().to_string();
        assert!(said.contains("`log` does not exist") && said.ends_with("task.wit:4:12"), "{said}");
        std::fs::write(directory.path().join("task.wit"), world.replace("task {", "other {")).unwrap();
        std::fs::write(directory.path().join("log.wit"), "interface log {}\n").unwrap();
        let said = bindings(directory.path()).unwrap_err().to_string();
        assert!(said.contains("task"), "{said}");
    }

    #[test]
    fn a_module_that_was_not_compiled_with_the_bindings_is_none() {
        assert!(component(b"int main;").is_err());
        let foreign = wat::parse_str("(module (import \"env\" \"system\" (func)))").unwrap();
        let said = component(&foreign).unwrap_err().to_string();
        assert!(said.contains("env"), "{said}");
    }
}
