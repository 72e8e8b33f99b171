//! What a new task is made of, embedded in the program: the SDK's own sources,
//! so that a task can be written with this program alone, and the templates.

/// A file: where it goes, and its text.
pub(crate) type Text = (&'static str, &'static str);

/// A file of this repository, under its own path.
macro_rules! own {
    ($($path:literal),+ $(,)?) => {
        &[$((concat!("cofferdam/", $path), include_str!(concat!("../../../", $path)))),+]
    };
}

/// A file of a template, under the path it has in the task.
macro_rules! template {
    ($language:literal, $($from:literal => $to:literal),+ $(,)?) => {
        &[$(($to, include_str!(concat!("../../../sdk/templates/", $language, "/", $from)))),+]
    };
}

/// The contract, for every language.
pub(crate) const CONTRACT: &[Text] = own!["wit/log.wit", "wit/task.wit", "wit/types.wit",];

/// The SDK for Rust, beside the contract.
pub(crate) const RUST_SDK: &[Text] = own![
    "sdk/Cargo.toml",
    "sdk/macros/Cargo.toml",
    "sdk/macros/src/generate.rs",
    "sdk/macros/src/lib.rs",
    "sdk/manifest/Cargo.toml",
    "sdk/manifest/src/address.rs",
    "sdk/manifest/src/address_kind.rs",
    "sdk/manifest/src/capabilities.rs",
    "sdk/manifest/src/document.rs",
    "sdk/manifest/src/fault.rs",
    "sdk/manifest/src/host.rs",
    "sdk/manifest/src/lib.rs",
    "sdk/manifest/src/limits.rs",
    "sdk/manifest/src/list.rs",
    "sdk/manifest/src/manifest.rs",
    "sdk/manifest/src/name.rs",
    "sdk/manifest/src/node.rs",
    "sdk/manifest/src/quantity.rs",
    "sdk/manifest/src/salvage.rs",
    "sdk/manifest/src/shape.rs",
    "sdk/manifest/src/usual/flow.rs",
    "sdk/manifest/src/usual/mod.rs",
    "sdk/src/context.rs",
    "sdk/src/failure.rs",
    "sdk/src/guest.rs",
    "sdk/src/harness.rs",
    "sdk/src/http/error.rs",
    "sdk/src/http/mod.rs",
    "sdk/src/http/native.rs",
    "sdk/src/http/response.rs",
    "sdk/src/http/url.rs",
    "sdk/src/http/wasi.rs",
    "sdk/src/lib.rs",
    "sdk/src/request.rs",
    "sdk/src/value.rs",
];

/// Its workspace.
pub(crate) const RUST_WORKSPACE: Text =
    ("cofferdam/Cargo.toml", include_str!("../../../sdk/templates/sdk/Cargo.toml"));

/// A task in Rust.
pub(crate) const RUST: &[Text] = template![
    "rust",
    "Cargo.toml" => "Cargo.toml",
    "README.md" => "README.md",
    "gitignore" => ".gitignore",
    "rust-toolchain.toml" => "rust-toolchain.toml",
    "src/lib.rs" => "src/lib.rs",
    "task.yaml" => "task.yaml",
    "tests/cases.yaml" => "tests/cases.yaml",
    "workflow.yml" => ".github/workflows/task.yml",
];

/// A task in JavaScript, with the world it is compiled for.
pub(crate) const JAVASCRIPT: &[Text] = template![
    "javascript",
    "../../../wit/log.wit" => "cofferdam/world/deps/cofferdam-task/log.wit",
    "../../../wit/task.wit" => "cofferdam/world/deps/cofferdam-task/task.wit",
    "../../../wit/types.wit" => "cofferdam/world/deps/cofferdam-task/types.wit",
    "README.md" => "README.md",
    "cofferdam/task.js" => "cofferdam/task.js",
    "gitignore" => ".gitignore",
    "package.json" => "package.json",
    "src/task.js" => "src/task.js",
    "task.yaml" => "task.yaml",
    "tests/cases.yaml" => "tests/cases.yaml",
    "workflow.yml" => ".github/workflows/task.yml",
    "world/wasi-clocks.wit" => "cofferdam/world/deps/wasi-clocks/package.wit",
    "world/wasi-filesystem.wit" => "cofferdam/world/deps/wasi-filesystem/package.wit",
    "world/wasi-io.wit" => "cofferdam/world/deps/wasi-io/package.wit",
    "world/world.wit" => "cofferdam/world/world.wit",
];

/// A task in Python.
pub(crate) const PYTHON: &[Text] = template![
    "python",
    "README.md" => "README.md",
    "cofferdam/cofferdam_task.py" => "cofferdam/cofferdam_task.py",
    "gitignore" => ".gitignore",
    "requirements.txt" => "requirements.txt",
    "src/app.py" => "src/app.py",
    "task.yaml" => "task.yaml",
    "tests/cases.yaml" => "tests/cases.yaml",
    "workflow.yml" => ".github/workflows/task.yml",
];

/// A task in C.
pub(crate) const C: &[Text] = template![
    "c",
    "README.md" => "README.md",
    "cofferdam/cofferdam.c" => "cofferdam/cofferdam.c",
    "cofferdam/cofferdam.h" => "cofferdam/cofferdam.h",
    "compile_flags.txt" => "compile_flags.txt",
    "gitignore" => ".gitignore",
    "requirements.txt" => "requirements.txt",
    "src/task.c" => "src/task.c",
    "task.yaml" => "task.yaml",
    "tests/cases.yaml" => "tests/cases.yaml",
    "workflow.yml" => ".github/workflows/task.yml",
];
