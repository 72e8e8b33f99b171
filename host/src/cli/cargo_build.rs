//! Compiles a Rust task with cargo.
//!
//! The paths of this machine are mapped away, so that the same source and
//! toolchain give the same component wherever they are.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cofferdam_inventory::LockKind;
use cofferdam_registry::Digest;
use serde::Deserialize;

use super::failure::Failure;
use super::task_evidence::ToolRun;

const TARGET: &str = "wasm32-wasip2";

/// The lines of `cargo build --message-format=json` that matter here; see the
/// cargo book, "External tools".
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message {
    reason: String,
    manifest_path: PathBuf,
    filenames: Vec<PathBuf>,
}

/// What `cargo metadata --no-deps` says and matters here.
#[derive(Debug, Deserialize)]
struct Project {
    workspace_root: PathBuf,
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    version: String,
    manifest_path: PathBuf,
}

/// Compiles the crate in a directory; gives the component's file, and what ran.
pub(crate) fn component(directory: &Path, colourless: bool) -> Result<(PathBuf, ToolRun), Failure> {
    let manifest = directory.join("Cargo.toml");
    let manifest = manifest.canonicalize().map_err(|error| Failure::unreadable(&manifest, &error))?;
    let project = project(&manifest)?;
    let own = user_flags();
    let args = ["build", "--release", "--target", TARGET];
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(args)
        .arg("--message-format=json-render-diagnostics")
        .arg("--manifest-path")
        .arg(&manifest)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(own.clone(), &project.workspace_root))
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    if colourless {
        cargo.env("CARGO_TERM_COLOR", "never");
    }
    let mut child = cargo.spawn().map_err(|error| not_built(&format!("cargo does not start: {error}")))?;
    let mut found = None;
    if let Some(output) = child.stdout.take() {
        for line in std::io::BufReader::new(output).lines() {
            let line = line.map_err(|error| not_built(&error.to_string()))?;
            let Ok(message) = serde_json::from_str::<Message>(&line) else { continue };
            if message.reason == "compiler-artifact" && message.manifest_path == manifest {
                let is_component = |file: &PathBuf| file.extension().is_some_and(|ending| ending == "wasm");
                found = message.filenames.into_iter().find(is_component).or(found);
            }
        }
    }
    let status = child.wait().map_err(|error| not_built(&error.to_string()))?;
    if !status.success() {
        return Err(not_built(&format!("cargo ended with {status}")));
    }
    let found = found.ok_or_else(|| {
        let mut failure = not_built("the crate gives no component");
        failure.advise("add to its Cargo.toml: [lib] crate-type = [\"cdylib\"]");
        failure
    })?;
    let package = project.packages.into_iter().find(|package| package.manifest_path == manifest);
    let flags = (!own.is_empty()).then(|| ("RUSTFLAGS".to_owned(), Digest::of(own.join(" ").as_bytes())));
    let run = ToolRun {
        language: "rust",
        command: std::iter::once("cargo").chain(args).map(str::to_owned).collect(),
        environment: flags.into_iter().collect(),
        files: BTreeMap::new(),
        lock_file: project.workspace_root.join("Cargo.lock"),
        lock_kind: LockKind::Cargo,
        package: package.map(|package| (package.name, package.version)),
    };
    Ok((found, run))
}

fn not_built(why: &str) -> Failure {
    let help = format!("see cargo's own messages; the target is added with: rustup target add {TARGET}");
    Failure::invalid("component/not-built", format!("the task could not be compiled: {why}"), help)
}

/// The flags for the compiler that the user has set.
fn user_flags() -> Vec<String> {
    let mut flags: Vec<String> = match (std::env::var("CARGO_ENCODED_RUSTFLAGS"), std::env::var("RUSTFLAGS"))
    {
        (Ok(encoded), _) => encoded.split('\x1f').map(str::to_owned).collect(),
        (Err(_), Ok(plain)) => plain.split_whitespace().map(str::to_owned).collect(),
        (Err(_), Err(_)) => Vec::new(),
    };
    flags.retain(|flag| !flag.is_empty());
    flags
}

/// The user's own flags, and a neutral name for every directory of this machine
/// that the compiler would otherwise write into the component.
fn flags(mut flags: Vec<String>, workspace: &Path) -> String {
    let home = |variable: &str, below: &str| {
        let set = std::env::var_os(variable).map(PathBuf::from);
        set.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(below)))
    };
    let mut remap =
        |from: &Path, to: &str| flags.push(format!("--remap-path-prefix={}={to}", from.display()));
    if let Some(directory) = home("RUSTUP_HOME", ".rustup") {
        remap(&directory, "/rustup");
    }
    if let Some(directory) = home("CARGO_HOME", ".cargo") {
        remap(&directory, "/cargo");
    }
    remap(workspace, "/source");
    flags.join("\x1f")
}

/// The workspace a crate is in.
fn project(manifest: &Path) -> Result<Project, Failure> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--no-deps", "--format-version=1", "--manifest-path"])
        .arg(manifest)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| not_built(&format!("cargo does not start: {error}")))?;
    match serde_json::from_slice(&output.stdout) {
        Ok(project) if output.status.success() => Ok(project),
        Ok(_) | Err(_) => Err(not_built("cargo finds no project there")),
    }
}
