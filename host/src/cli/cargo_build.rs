//! Compiles a Rust task with cargo.
//!
//! The paths of this machine are mapped away, so that the same source and
//! toolchain give the same component wherever they are.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::failure::Failure;

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

/// There is no task in a directory: none of the files that tell its language.
pub(crate) fn missing(directory: &Path) -> Failure {
    let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
    let mut failure = Failure::unreadable(&directory.join("Cargo.toml"), &missing);
    failure.advise(
        "give a ready component with --component FILE, or the directory of a task in Rust, JavaScript, Python or \
         C; a new one: cofferdam task new NAME --lang rust|js|python|c",
    );
    failure
}

/// Compiles the crate in a directory and gives the component's file.
pub(crate) fn component(directory: &Path) -> Result<PathBuf, Failure> {
    let manifest = directory.join("Cargo.toml");
    let manifest = manifest.canonicalize().map_err(|error| Failure::unreadable(&manifest, &error))?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--release", "--target", TARGET, "--message-format=json-render-diagnostics"])
        .arg("--manifest-path")
        .arg(&manifest)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(&manifest)?)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
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
    found.ok_or_else(|| {
        let mut failure = not_built("the crate gives no component");
        failure.advise("add to its Cargo.toml: [lib] crate-type = [\"cdylib\"]");
        failure
    })
}

fn not_built(why: &str) -> Failure {
    let help = format!("see cargo's own messages; the target is added with: rustup target add {TARGET}");
    Failure::invalid("component/not-built", format!("the task could not be compiled: {why}"), help)
}

/// The user's own flags, and a neutral name for every directory of this machine
/// that the compiler would otherwise write into the component.
fn flags(manifest: &Path) -> Result<String, Failure> {
    let mut flags: Vec<String> = match (std::env::var("CARGO_ENCODED_RUSTFLAGS"), std::env::var("RUSTFLAGS"))
    {
        (Ok(encoded), _) => encoded.split('\x1f').map(str::to_owned).collect(),
        (Err(_), Ok(plain)) => plain.split_whitespace().map(str::to_owned).collect(),
        (Err(_), Err(_)) => Vec::new(),
    };
    flags.retain(|flag| !flag.is_empty());
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
    remap(&workspace(manifest)?, "/source");
    Ok(flags.join("\x1f"))
}

/// The root of the workspace a crate is in.
fn workspace(manifest: &Path) -> Result<PathBuf, Failure> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["locate-project", "--workspace", "--message-format=plain", "--manifest-path"])
        .arg(manifest)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| not_built(&format!("cargo does not start: {error}")))?;
    let root = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match Path::new(&root).parent() {
        Some(root) if output.status.success() => Ok(root.to_owned()),
        _ => Err(not_built("cargo finds no project there")),
    }
}
