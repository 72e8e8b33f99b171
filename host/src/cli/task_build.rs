//! `cofferdam task build`: a component and its manifest become one file.

use std::path::Path;

use cofferdam_manifest::Manifest;
use cofferdam_registry::{Digest, MAX_COMPONENT};
use serde::Serialize;

use super::commands::TaskBuildArgs;
use super::failure::Failure;
use super::printer::Printer;
use super::{cargo_build, exit};
use crate::capability::Import;
use crate::component::{Component, embed, inspect};
use crate::report::bytes;

const MANIFEST_FILE: &str = "task.yaml";
/// It takes a person to write one.
const MAX_MANIFEST: u64 = 1 << 20;

/// What was made.
#[derive(Debug, Serialize)]
struct Built<'a> {
    task: &'a str,
    version: &'a str,
    file: &'a Path,
    digest: Digest,
    size: usize,
    imports: &'a [String],
}

pub(crate) fn run(args: &TaskBuildArgs, printer: &Printer) -> Result<u8, Failure> {
    let path = args.path.join(MANIFEST_FILE);
    let text = String::from_utf8(super::read_file(&path, MAX_MANIFEST)?).map_err(|_| {
        let message = format!("{} is not UTF-8 text", path.display());
        Failure::invalid("document/syntax", message, "save the file as UTF-8")
    })?;
    let manifest = Manifest::parse(&text)
        .map_err(|faults| Failure::faults(&path.display().to_string(), &text, faults))?;
    let file = match &args.component {
        Some(file) => file.clone(),
        None => cargo_build::component(&args.path)?,
    };
    let code = super::read_file(&file, MAX_COMPONENT)?;
    let name = file.display().to_string();
    check_imports(&name, &inspect(&name, &code)?.imports, &manifest)?;
    let task = Component::read(&name, embed(&name, &code, &manifest)?)?;
    let output = args.output.clone().unwrap_or_else(|| format!("{}.wasm", manifest.metadata.name).into());
    super::write_file(&output, &task.bytes)?;
    let metadata = &manifest.metadata;
    let built = Built {
        task: metadata.name.as_str(),
        version: &metadata.version,
        file: &output,
        digest: task.digest,
        size: task.bytes.len(),
        imports: &task.imports,
    };
    printer.result(&built, |palette| {
        let name = palette.strong.apply_to(format!("{}:{}", built.task, built.version));
        let size = bytes(built.size as u64);
        format!("built {name}: {} ({size})\n  {}\n", output.display(), built.digest)
    });
    Ok(exit::OK)
}

/// Refuses a component that imports more than its manifest asks for: what a
/// task declares and what it could do must be the same.
fn check_imports(name: &str, imports: &[String], manifest: &Manifest) -> Result<(), Failure> {
    let asked = &manifest.spec.capabilities;
    let found = imports.iter().find_map(|import| Some((import, Import::of(import).contradiction(asked)?)));
    match found {
        None => Ok(()),
        Some((import, why)) => Err(Failure::invalid(
            "component/undeclared-import",
            format!("{name} imports `{import}`: {why}"),
            "declare it in task.yaml under `capabilities`, or remove what needs it from the code",
        )),
    }
}
