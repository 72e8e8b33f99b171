//! Why a command could not do its work, ready to be printed: code, message,
//! place, what to type next, and the exit status.

use std::path::Path;

use cofferdam_manifest::{Fault, Place};
use miette::Diagnostic;
use serde::Serialize;

use super::exit;
use crate::capability::INSTEAD_OF_EXEC;
use crate::plan::PlanErrors;

/// Why a command could not do its work.
#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    pub(crate) problems: Vec<Problem>,
    /// The texts that problems stand in, by the names of their files.
    #[serde(skip)]
    texts: Vec<(String, String)>,
}

/// One thing that is wrong.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    pub(crate) code: String,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) help: Option<String>,
}

impl Problem {
    /// Whether it is about something that could be granted.
    pub(crate) fn is_grantable(&self) -> bool {
        self.code == "plan/not-granted" && self.help.as_deref() != Some(INSTEAD_OF_EXEC)
    }
}

impl Failure {
    fn one(code: &str, message: impl Into<String>, help: Option<String>) -> Self {
        let (code, message) = (code.to_owned(), message.into());
        let problem = Problem { code, message, file: None, line: None, column: None, help };
        Self { problems: vec![problem], texts: Vec::new() }
    }

    /// The command line asks for something that cannot be.
    pub(crate) fn usage(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::one("usage/invalid", message, Some(help.into()))
    }

    /// Something that was given is wrong.
    pub(crate) fn invalid(code: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::one(code, message, Some(help.into()))
    }

    /// The file system refused.
    pub(crate) fn io(action: &str, path: &Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let kind = error.kind();
        let help = if kind == ErrorKind::NotFound {
            "check the path"
        } else if kind == ErrorKind::PermissionDenied || kind == ErrorKind::ReadOnlyFilesystem {
            "check its permissions, or set COFFERDAM_HOME to a directory you can write to"
        } else if kind == ErrorKind::StorageFull {
            "make room on the disk"
        } else {
            "check the disk"
        };
        Self::one("io/refused", format!("cannot {action} {}: {error}", path.display()), Some(help.to_owned()))
    }

    /// A file that was named cannot be read.
    pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        let help = "check the path".to_owned();
        Self::one("io/unreadable", format!("cannot read {}: {error}", path.display()), Some(help))
    }

    /// A document is wrong in some places.
    pub(crate) fn faults(file: &str, text: &str, faults: Vec<Fault>) -> Self {
        let problem = |fault: Fault| {
            at(file, fault.place, fault.kind.code(), fault.message.clone(), fault.help.clone())
        };
        Self { problems: faults.into_iter().map(problem).collect(), texts: quotable(file, text) }
    }

    /// A file is wrong in one place: code, message and help.
    pub(crate) fn at(file: &str, text: &str, place: Place, what: (&str, &str, &str)) -> Self {
        let (code, message, help) = what;
        let problem = at(file, place, code, message.to_owned(), Some(help.to_owned()));
        Self { problems: vec![problem], texts: quotable(file, text) }
    }

    /// Both, told together.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.problems.extend(other.problems);
        self.texts.extend(other.texts);
        self
    }

    /// Replaces what the first problem says to type next.
    pub(crate) fn advise(&mut self, help: &str) {
        if let Some(problem) = self.problems.first_mut() {
            problem.help = Some(help.to_owned());
        }
    }

    /// The exit status: that of the gravest problem.
    pub(crate) fn status(&self) -> u8 {
        self.problems.iter().map(|problem| status_of(&problem.code)).max().unwrap_or(exit::BUG)
    }

    /// The line a problem stands in.
    pub(crate) fn line_of(&self, problem: &Problem) -> Option<&str> {
        let file = problem.file.as_ref()?;
        let (_, text) = self.texts.iter().find(|(name, _)| name == file)?;
        text.lines().nth(problem.line?.checked_sub(1)?)
    }
}

/// The text of a file, if it is one: of anything else no line is shown.
fn quotable(file: &str, text: &str) -> Vec<(String, String)> {
    if text.contains('\0') { Vec::new() } else { vec![(file.to_owned(), text.to_owned())] }
}

fn at(file: &str, place: Place, code: &str, message: String, help: Option<String>) -> Problem {
    let (line, column) = (Some(place.line), Some(place.column));
    Problem { code: code.to_owned(), message, file: Some(file.to_owned()), line, column, help }
}

/// What is wrong with how a bundle is to be verified, not with the bundle.
const BUNDLE_INPUT: &[&str] = &[
    "bundle/identity",
    "bundle/no-trusted-root",
    "bundle/root-unreadable",
    "bundle/trusted-root",
    "bundle/unreadable",
    "bundle/unusable",
];

fn status_of(code: &str) -> u8 {
    match code.split('/').next().unwrap_or_default() {
        "journal" if ["-run", "-runs", "-task"].iter().any(|end| code.ends_with(end)) => exit::INVALID_INPUT,
        "usage" => exit::USAGE,
        "trust" => exit::REFUSED,
        "bundle" if BUNDLE_INPUT.contains(&code) => exit::INVALID_INPUT,
        // What was to be verified does not hold.
        "bundle" => exit::RUN_FAILED,
        "engine" | "journal" | "store" | "provenance" => exit::RUN_FAILED,
        "bug" => exit::BUG,
        _ => match code {
            "plan/not-granted" | "plan/forbidden-import" | "registry/digest-mismatch" | "secret/damaged" => {
                exit::REFUSED
            }
            "registry/redirect" | "registry/unsound" | "registry/wrong-digest" => exit::REFUSED,
            "io/refused" | "registry/io" | "registry/unreachable" | "registry/answer" | "secret/io" => {
                exit::RUN_FAILED
            }
            "sign/service" | "sign/login" => exit::RUN_FAILED,
            "sign/unsound" | "sign/insecure-url" => exit::REFUSED,
            "secret/keychain-unavailable" | "secret/keychain-refused" => exit::RUN_FAILED,
            _ => exit::INVALID_INPUT,
        },
    }
}

impl From<PlanErrors> for Failure {
    fn from(errors: PlanErrors) -> Self {
        let PlanErrors { files, errors } = errors;
        let problem = |(file, error): &(usize, crate::plan::PlanError)| {
            let name = files.get(*file).map_or("", |file| file.name.as_str());
            at(name, error.place(), &error.code(), error.to_string(), error.help())
        };
        let problems = errors.iter().map(problem).collect();
        Self { problems, texts: files.iter().flat_map(|file| quotable(&file.name, &file.text)).collect() }
    }
}

/// Errors that name their own code and help.
macro_rules! from_diagnostic {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                let code = error.code().map(|code| code.to_string()).unwrap_or_else(|| "bug/no-code".to_owned());
                let help = error.help().map(|help| help.to_string());
                Self::one(&code, error.to_string(), help)
            }
        }
    )+};
}

from_diagnostic!(
    cofferdam_registry::BundleError,
    cofferdam_registry::InvalidReference,
    cofferdam_registry::KeyError,
    cofferdam_registry::KeylessError,
    cofferdam_registry::LayoutError,
    cofferdam_registry::RemoteError,
    cofferdam_registry::SignError,
    cofferdam_registry::SigningError,
    cofferdam_registry::TrustedRootError,
    crate::component::ComponentError,
    crate::engine::EngineError,
    crate::event::JournalError,
    crate::provenance::AttestError,
    crate::sandbox::SandboxError,
    crate::secret::SecretError,
    crate::source::SourceError,
    crate::store::StoreError,
);

impl From<crate::plan::ResolveError> for Failure {
    fn from(error: crate::plan::ResolveError) -> Self {
        Self::one(&error.code(), error.to_string(), error.help())
    }
}
