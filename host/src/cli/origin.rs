//! Whose change is built, where a CI system says so. A change from a fork can
//! bring its own pipeline, so it gets no secrets.

use std::env;
use std::path::PathBuf;

use serde_json::Value;

use super::failure::Failure;

/// Larger event files are not read.
const MAX_EVENT: u64 = 16 << 20;

/// Why the change counts as somebody else's; nothing where it does not.
///
/// # Errors
/// A CI system says that it is a pull request and not whose: then nobody knows.
pub(crate) fn foreign_change() -> Result<Option<String>, Failure> {
    // GitLab, "Predefined CI/CD variables".
    let project = |name: &str| env::var(name).ok().filter(|id| !id.is_empty());
    let (from, to) = (project("CI_MERGE_REQUEST_SOURCE_PROJECT_ID"), project("CI_MERGE_REQUEST_PROJECT_ID"));
    if from.is_some() && from != to {
        return Ok(Some("a merge request from a fork".to_owned()));
    }
    // GitHub, "Default environment variables"; Forgejo and Gitea set the same.
    let name = env::var("GITHUB_EVENT_NAME").unwrap_or_default();
    let about_a_change =
        name.starts_with("pull_request") || matches!(name.as_str(), "workflow_run" | "issue_comment");
    if !about_a_change {
        return Ok(None);
    }
    let unknown = |why: String| {
        Failure::invalid(
            "origin/unknown",
            format!("this is a pull request, and whose cannot be told: {why}"),
            "say that it gets no secrets: --untrusted-source",
        )
    };
    let path = env::var_os("GITHUB_EVENT_PATH").map(PathBuf::from);
    let path = path.ok_or_else(|| unknown("GITHUB_EVENT_PATH is not set".to_owned()))?;
    let event = super::read_file(&path, MAX_EVENT)
        .map_err(|_| unknown(format!("{} cannot be read", path.display())))?;
    let event: Value =
        serde_json::from_slice(&event).map_err(|error| unknown(format!("{}: {error}", path.display())))?;
    Ok(is_from_fork(&event).then(|| "a pull request from a fork".to_owned()))
}

/// Whether the event of a pull request is about a change from another
/// repository; one that does not say counts as such.
fn is_from_fork(event: &Value) -> bool {
    let id = |pointer: &str| event.pointer(pointer).and_then(Value::as_u64);
    if event.get("comment").is_some() {
        // A comment can start the build of anybody's change, and does not say whose.
        return event.get("pull_request").is_some() || event.pointer("/issue/pull_request").is_some();
    }
    let (head, base) = match event.get("workflow_run") {
        Some(_) => (id("/workflow_run/head_repository/id"), id("/repository/id")),
        None => (id("/pull_request/head/repo/id"), id("/pull_request/base/repo/id")),
    };
    head.is_none() || head != base
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_change_whose_repository_is_not_known_to_be_ours_is_foreign() {
        let event =
            |head, base| json!({ "pull_request": { "head": { "repo": head }, "base": { "repo": base } } });
        assert!(!is_from_fork(&event(json!({ "id": 1 }), json!({ "id": 1 }))));
        assert!(is_from_fork(&event(json!({ "id": 2 }), json!({ "id": 1 }))));
        assert!(is_from_fork(&event(json!(null), json!({ "id": 1 }))));
        assert!(is_from_fork(&json!({})));
        let run = |head| json!({ "workflow_run": { "head_repository": { "id": head } }, "repository": { "id": 1 } });
        assert!(!is_from_fork(&run(1)) && is_from_fork(&run(2)));
        assert!(is_from_fork(&json!({ "comment": {}, "issue": { "pull_request": {} } })));
        assert!(!is_from_fork(&json!({ "comment": {}, "issue": {} })));
    }
}
