//! What a registry has in one repository is not sent to another one of it again.

use cofferdam_registry::Digest;

use crate::harness::{Task, TestRegistry, World, reply, task_file};
use crate::registry_http::{parties, pipeline};

/// The digest of the task's code.
fn code() -> String {
    Digest::of(&std::fs::read(task_file(Task::Test("noop"))).unwrap()).to_string()
}

/// A user who has pulled a task from one repository publishes it to another.
fn promote(registry: &TestRegistry) {
    let host = registry.host();
    let (_, user, _) = parties(&host, "0.1.0");
    user.run(&["lock"]).ok();
    let file = task_file(Task::Test("noop"));
    let to = format!("{host}/release");
    user.run(&["task", "publish", file.to_str().unwrap(), "--to", &to, "--sign"]).ok();
    // It is whole: somebody who has nothing can run it.
    let other = World::with(&[]);
    let pipeline = pipeline(&other, &format!("{host}/release/noop:0.1.0"));
    other.run(&["run", "--quiet", &pipeline]).ok();
}

/// How often the code was sent to the repository, and how often it was asked to
/// take it from the other.
fn asked(registry: &TestRegistry) -> (usize, usize) {
    let received = registry.server.received();
    let to = |target: &str| target.starts_with("/v2/release/noop/blobs/uploads/");
    let sent = received
        .iter()
        .filter(|one| to(&one.target) && one.method == "PUT" && Digest::of(&one.body).to_string() == code());
    let mounts = received
        .iter()
        .filter(|one| to(&one.target) && one.method == "POST" && one.target.contains("from=team%2Fnoop"));
    (sent.count(), mounts.count())
}

#[test]
fn code_that_was_pulled_from_another_repository_is_mounted() {
    let registry = TestRegistry::plain();
    promote(&registry);
    assert_eq!(asked(&registry), (0, 1));
}

#[test]
fn where_it_cannot_be_mounted_it_is_sent() {
    for (status, why) in
        [(403, "may not be read"), (201, "is not there, whatever is said"), (202, "is not known")]
    {
        let registry = TestRegistry::plain();
        registry.fails(move |received, out| {
            let mounts = received.target.contains("mount=");
            if mounts {
                reply(out, status, &[("location", "/v2/release/noop/blobs/uploads/none")], Vec::new())?;
            }
            Ok(mounts)
        });
        promote(&registry);
        assert_eq!(asked(&registry), (1, 1), "{why}");
    }
}

#[test]
fn a_registry_that_somebody_else_runs_is_told_of_no_repository_of_another() {
    let (first, second) = (TestRegistry::plain(), TestRegistry::plain());
    let (_, user, _) = parties(&first.host(), "0.1.0");
    user.run(&["lock"]).ok();
    let file = task_file(Task::Test("noop"));
    user.run(&[
        "task",
        "publish",
        file.to_str().unwrap(),
        "--to",
        &format!("{}/release", second.host()),
        "--sign",
    ])
    .ok();
    assert!(second.server.received().iter().all(|one| !one.target.contains("mount=")));
}
