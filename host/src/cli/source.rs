//! Which directory a run takes as its source.

use std::path::{Path, PathBuf};

use super::failure::Failure;

/// The directory that was given; else the one that holds the pipeline's
/// `.cofferdam`; else the repository the pipeline is in. Where a command is
/// typed says nothing of what is meant to be built.
pub(crate) fn root(given: Option<&Path>, pipeline: &Path) -> Result<PathBuf, Failure> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    let file = std::path::absolute(pipeline).map_err(|error| Failure::unreadable(pipeline, &error))?;
    let holder = file.ancestors().find(|path| path.file_name().is_some_and(|name| name == ".cofferdam"));
    let repository = || file.ancestors().skip(1).find(|path| path.join(".git").exists());
    let found = holder.and_then(Path::parent).or_else(repository);
    found.map(Path::to_owned).ok_or_else(|| {
        Failure::usage(
            format!(
                "{} is in no `.cofferdam` directory and no repository: which source is meant?",
                pipeline.display()
            ),
            "name it: --source DIRECTORY",
        )
    })
}

/// The pipeline file as provenance names it: relative to the source where it is
/// in there, else by its name alone. No path of this machine is signed.
pub(crate) fn recorded_name(pipeline: &Path, root: &Path) -> String {
    let inside = || {
        let file = pipeline.canonicalize().ok()?;
        Some(file.strip_prefix(root.canonicalize().ok()?).ok()?.to_owned())
    };
    let name = || PathBuf::from(pipeline.file_name().unwrap_or_default());
    inside().unwrap_or_else(name).display().to_string()
}

/// The fixed time that tasks see, in seconds since 1970: `SOURCE_DATE_EPOCH`,
/// else the time of the commit, else 1970.
pub(crate) fn epoch(commit: Option<i64>) -> Result<i64, Failure> {
    let Ok(text) = std::env::var("SOURCE_DATE_EPOCH") else { return Ok(commit.unwrap_or(0)) };
    let seconds = text.parse::<u32>().map(i64::from);
    seconds.map_err(|_| {
        let message = format!("SOURCE_DATE_EPOCH is `{text}`");
        Failure::invalid(
            "source/invalid-epoch",
            message,
            "set it to a whole number of seconds since 1970, or unset it",
        )
    })
}
