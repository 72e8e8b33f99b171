//! What of a Tekton file needs Kubernetes: containers, volumes, accounts,
//! objects of a cluster. Cofferdam runs none of it, and says of each where it
//! stands and what takes its place. The rest of the language is the plan's.

use cofferdam_manifest::{Document, Place};

use super::read::{At, texts};
use super::reference::{names, references};

/// One thing in a Tekton file that only Kubernetes can give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubernetesOnly {
    /// Where it stands, such as `spec.tasks[2].taskSpec.steps`.
    pub path: String,
    /// The line and the column.
    pub place: Place,
    /// What it is, in a few words.
    pub what: String,
    /// What to use instead.
    pub instead: &'static str,
}

struct Row {
    key: &'static str,
    what: &'static str,
    instead: &'static str,
}

const fn row(key: &'static str, what: &'static str, instead: &'static str) -> Row {
    Row { key, what, instead }
}

const WRITE_A_TASK: &str =
    "write it as a task, a WebAssembly component (`cofferdam task build`), and refer to it by `taskRef`";
const ARTIFACTS: &str = "pass artifacts: `inputs` and `outputs`; the source itself is `$(source)`";
const NO_ACCOUNT: &str =
    "leave it out: a task has no account; secrets are bound to hosts with `cofferdam secret set`";
const NO_POD: &str = "leave it out: a task is no pod; what it may use is in its manifest, under `limits`";
const STATUS: &str = "leave it out: a run is ended with Ctrl-C, and told of by `cofferdam show`";
const LIMITS: &str = "the task's own manifest says what it needs, under `limits`";

const RESOURCES: Row = row("computeResources", "resources of a container", LIMITS);
const OLD_RESOURCES: Row = row("resources", "resources of a container, or PipelineResources", LIMITS);
const ACCOUNT: Row = row("serviceAccountName", "an account of Kubernetes", NO_ACCOUNT);
const POD: Row = row("podTemplate", "settings of a pod", NO_POD);

/// Of a document.
const ROOT: &[Row] = &[row("status", "what a cluster says of a run", STATUS)];

/// Of the `spec` of a PipelineRun, and of a TaskRun.
const RUN: &[Row] = &[
    ACCOUNT,
    POD,
    RESOURCES,
    row("status", "an order to end or to hold a run", STATUS),
    row("managedBy", "a controller of Kubernetes", "leave it out: Cofferdam runs it itself"),
    row("taskRunSpecs", "settings of pods by task", NO_POD),
];
const TASK_RUN_TEMPLATE: &[Row] = &[ACCOUNT, POD];

/// Of one entry of `tasks` or `finally`.
const TASK: &[Row] = &[
    RESOURCES,
    OLD_RESOURCES,
    ACCOUNT,
    POD,
    row("conditions", "containers that decide, of an old version of Tekton", "use `when`"),
];

/// Of a `taskSpec`, and of the `spec` of a Task.
const TASK_SPEC: &[Row] = &[
    row("steps", "container steps", WRITE_A_TASK),
    row(
        "sidecars",
        "containers beside a task",
        "let the task reach the service by its host name, under `grants`",
    ),
    row("volumes", "volumes", ARTIFACTS),
    row("stepTemplate", "settings for containers", "params of the task"),
    RESOURCES,
    OLD_RESOURCES,
];

/// Of one step.
const STEP: &[Row] = &[
    row("image", "a container image", "the task is one component file, which holds all that it runs"),
    row("script", "a script for a container", WRITE_A_TASK),
    row("command", "a command in a container", WRITE_A_TASK),
    row("ref", "a StepAction", "a crate or a module that the task is built with"),
    row("volumeMounts", "volumes in a container", ARTIFACTS),
    row(
        "securityContext",
        "privileges of a container",
        "a task has none; it asks for capabilities in its manifest",
    ),
    RESOURCES,
    OLD_RESOURCES,
];

/// Kinds of Tekton that are no pipelines.
const KINDS: &[Row] = &[
    row("Task", "a task of containers", WRITE_A_TASK),
    row("ClusterTask", "a task of containers", WRITE_A_TASK),
    row("TaskRun", "a run of a task of containers", "write a pipeline with one task"),
    row("StepAction", "a step of containers", "a crate or a module that the task is built with"),
    row("CustomRun", "a run by a controller of Kubernetes", WRITE_A_TASK),
    row("Run", "a run by a controller of Kubernetes", WRITE_A_TASK),
];

/// How Tekton fetches what a reference names.
const RESOLVERS: &[Row] = &[
    row(
        "git",
        "a task or a pipeline out of a git repository",
        "publish the task as a component (`cofferdam task publish`) and write `taskRef: { name: NAME }`; a pipeline: `cofferdam import` its file",
    ),
    row(
        "hub",
        "a task or a pipeline of a hub",
        "a task of this machine's registry, `taskRef: { name: NAME }`, or `bundle: REFERENCE`",
    ),
    row(
        "http",
        "a task or a pipeline by its address",
        "`taskRef: { component: FILE }` for a file you fetched, or `bundle: REFERENCE`",
    ),
    row(
        "cluster",
        "a task or a pipeline of a cluster",
        "a task of this machine's registry: `taskRef: { name: NAME }`",
    ),
    row(
        "bundles",
        "a Tekton bundle, which holds tasks of containers",
        "`taskRef: { bundle: REFERENCE }` names a task that is a component; `cofferdam import` knows those of Konflux",
    ),
];

/// Everything in a Tekton document that needs Kubernetes, in the order in which
/// it is looked for. Documents of other kinds have nothing of it.
#[must_use]
pub fn kubernetes_only(document: &Document) -> Vec<KubernetesOnly> {
    let root = At::root(document);
    let mut walk = Walk { found: Vec::new() };
    walk.keys(&root, ROOT);
    let kind = root.text_of("kind").unwrap_or_default();
    if let (Some(known), Some(at)) = (KINDS.iter().find(|row| row.key == kind), root.get("kind")) {
        let what = format!("`kind: {}`, {}", known.key, known.what);
        walk.found.push(KubernetesOnly { path: at.path, place: at.node.place, what, instead: known.instead });
    }
    let Some(spec) = root.get("spec") else { return walk.found };
    match kind.as_ref() {
        "PipelineRun" => {
            walk.run(&spec);
            if let Some(pipeline) = spec.get("pipelineSpec") {
                walk.pipeline(&pipeline);
            }
            spec.get("pipelineRef").into_iter().for_each(|reference| walk.pipeline_ref(&reference));
        }
        "TaskRun" => {
            walk.run(&spec);
            spec.get("taskSpec").into_iter().for_each(|task| walk.task_spec(&task));
            spec.get("taskRef").into_iter().for_each(|reference| walk.task_ref(&reference));
        }
        "Task" | "ClusterTask" => walk.task_spec(&spec),
        "StepAction" => walk.keys(&spec, STEP),
        _ => walk.pipeline(&spec),
    }
    walk.found
}

/// What of a PipelineRun's `spec` needs Kubernetes, its pipeline and its
/// workspaces left out.
pub(super) fn of_run(spec: &At<'_>) -> Vec<KubernetesOnly> {
    let mut walk = Walk { found: Vec::new() };
    walk.settings(spec);
    walk.found
}

/// What of a pipeline's task needs Kubernetes, its workspaces left out.
pub(super) fn of_task(task: &At<'_>) -> Vec<KubernetesOnly> {
    let mut walk = Walk { found: Vec::new() };
    walk.keys(task, TASK);
    walk.found
}

/// Whether a key of a pipeline's task is one of Kubernetes's.
pub(super) fn is_task_key(key: &str) -> bool {
    TASK.iter().any(|row| row.key == key)
}

/// What a resolver is, and what to use instead.
pub(super) fn resolver(name: &str) -> (&'static str, &'static str) {
    let known = RESOLVERS.iter().find(|row| row.key == name);
    known.map_or(("something that Cofferdam does not fetch", "name a task that is a component"), |row| {
        (row.what, row.instead)
    })
}

/// What to write in place of containers.
pub(super) const fn write_a_task() -> &'static str {
    WRITE_A_TASK
}

struct Walk {
    found: Vec<KubernetesOnly>,
}

impl Walk {
    fn say(&mut self, at: At<'_>, what: String, instead: &'static str) {
        self.found.push(KubernetesOnly { path: at.path, place: at.place, what, instead });
    }

    fn keys(&mut self, map: &At<'_>, rows: &[Row]) {
        for (key, at) in map.entries() {
            if let Some(row) = rows.iter().find(|row| row.key == key) {
                self.say(at, format!("`{key}`, {}", row.what), row.instead);
            }
        }
    }

    fn settings(&mut self, spec: &At<'_>) {
        self.keys(spec, RUN);
        if let Some(template) = spec.get("taskRunTemplate") {
            self.keys(&template, TASK_RUN_TEMPLATE);
        }
    }

    fn run(&mut self, spec: &At<'_>) {
        self.settings(spec);
        self.workspaces(spec);
    }

    fn workspaces(&mut self, of: &At<'_>) {
        for workspace in of.list("workspaces") {
            let name = workspace.text_of("name").or_else(|| workspace.text()).unwrap_or_default();
            let what = format!("the workspace `{name}`, a volume");
            self.say(workspace, what, ARTIFACTS);
        }
    }

    fn pipeline(&mut self, spec: &At<'_>) {
        self.workspaces(spec);
        for list in ["tasks", "finally"] {
            for task in spec.list(list) {
                self.task(&task);
            }
        }
    }

    fn task(&mut self, task: &At<'_>) {
        self.keys(task, TASK);
        self.workspaces(task);
        for key in ["params", "matrix", "when"] {
            if let Some(at) = task.get(key) {
                texts(at.node, &mut |text, place| self.volume_references(text, place, &at.path));
            }
        }
        task.get("taskRef").into_iter().for_each(|reference| self.task_ref(&reference));
        task.get("pipelineRef").into_iter().for_each(|reference| self.pipeline_ref(&reference));
        task.get("taskSpec").into_iter().for_each(|spec| self.task_spec(&spec));
        task.get("pipelineSpec").into_iter().for_each(|spec| self.pipeline(&spec));
    }

    fn volume_references(&mut self, text: &str, place: Place, path: &str) {
        for reference in references(text) {
            if matches!(names(reference).as_slice(), [("workspaces", _), ..]) {
                let what = format!("`$({reference})`, the place of a volume");
                let instead = "a task is given its inputs by name; wire one under `inputs`";
                self.found.push(KubernetesOnly { path: path.to_owned(), place, what, instead });
            }
        }
    }

    fn task_ref(&mut self, reference: &At<'_>) {
        self.resolver(reference);
        let own = |text: &str| text.is_empty() || text.starts_with("tekton.dev/");
        let group = reference.get("apiVersion");
        if let Some(at) = group.filter(|at| at.text().is_none_or(|text| !own(&text))) {
            self.say(at, "a custom task, run by a controller of Kubernetes".to_owned(), WRITE_A_TASK);
        } else if let Some(at) = reference.get("kind") {
            let kind = at.text().unwrap_or_default();
            if kind == "ClusterTask" {
                self.say(
                    at,
                    "`kind: ClusterTask`, a task of a cluster".to_owned(),
                    "`taskRef: { name: NAME }`",
                );
            } else if kind != "Task" {
                self.say(at, "a custom task, run by a controller of Kubernetes".to_owned(), WRITE_A_TASK);
            }
        }
    }

    /// A bundle's pipeline is read like a file's; its tasks may still be containers.
    fn pipeline_ref(&mut self, reference: &At<'_>) {
        if reference.text_of("resolver").is_none_or(|name| name != "bundles") {
            self.resolver(reference);
        }
    }

    fn resolver(&mut self, reference: &At<'_>) {
        if let Some(at) = reference.get("resolver") {
            let name = at.text().unwrap_or_default();
            let (what, instead) = resolver(&name);
            self.say(at, format!("the resolver `{name}`: {what}"), instead);
        }
    }

    fn task_spec(&mut self, spec: &At<'_>) {
        let group =
            spec.get("apiVersion").filter(|at| at.text().is_none_or(|text| !text.starts_with("tekton.dev/")));
        if let Some(at) = group {
            self.say(at, "a custom task, run by a controller of Kubernetes".to_owned(), WRITE_A_TASK);
        }
        self.keys(spec, TASK_SPEC);
        self.workspaces(spec);
        for step in spec.list("steps") {
            self.keys(&step, STEP);
            self.workspaces(&step);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    /// The one finding in a document: its place, path and first words.
    fn found(text: &str) -> Vec<String> {
        let found = kubernetes_only(&Document::parse(text).unwrap());
        assert!(found.iter().all(|one| !one.instead.is_empty()));
        found.into_iter().map(|one| format!("{} {} {}", one.place, one.path, one.what)).collect()
    }

    fn task(text: &str) -> Vec<String> {
        found(&format!("kind: Pipeline\nspec:\n  tasks:\n    - name: a\n      {text}\n"))
    }

    #[test]
    fn what_a_task_of_a_pipeline_has_of_kubernetes_is_named_in_its_place() {
        for (text, expected) in [
            (
                "computeResources: { limits: { cpu: '1' } }",
                "5:7 spec.tasks[0].computeResources `computeResources`, resources of a container",
            ),
            (
                "resources: { inputs: [a] }",
                "5:7 spec.tasks[0].resources `resources`, resources of a container, or PipelineResources",
            ),
            (
                "serviceAccountName: x",
                "5:7 spec.tasks[0].serviceAccountName `serviceAccountName`, an account of Kubernetes",
            ),
            ("podTemplate: { a: b }", "5:7 spec.tasks[0].podTemplate `podTemplate`, settings of a pod"),
            (
                "conditions: [{ conditionRef: x }]",
                "5:7 spec.tasks[0].conditions `conditions`, containers that decide, of an old version of Tekton",
            ),
            (
                "workspaces: [{ name: source, workspace: w }]",
                "5:20 spec.tasks[0].workspaces[0] the workspace `source`, a volume",
            ),
            (
                "params: [{ name: p, value: $(workspaces.w.path)/x }]",
                "5:34 spec.tasks[0].params `$(workspaces.w.path)`, the place of a volume",
            ),
            (
                "when: [{ input: $(workspaces.w.bound), operator: in, values: [x] }]",
                "5:23 spec.tasks[0].when `$(workspaces.w.bound)`, the place of a volume",
            ),
            (
                "taskRef: { resolver: git, params: [] }",
                "5:18 spec.tasks[0].taskRef.resolver the resolver `git`: a task or a pipeline out of a git repository",
            ),
            (
                "taskRef: { resolver: hub }",
                "5:18 spec.tasks[0].taskRef.resolver the resolver `hub`: a task or a pipeline of a hub",
            ),
            (
                "taskRef: { resolver: http }",
                "5:18 spec.tasks[0].taskRef.resolver the resolver `http`: a task or a pipeline by its address",
            ),
            (
                "taskRef: { resolver: cluster }",
                "5:18 spec.tasks[0].taskRef.resolver the resolver `cluster`: a task or a pipeline of a cluster",
            ),
            (
                "taskRef: { resolver: bundles }",
                "5:18 spec.tasks[0].taskRef.resolver the resolver `bundles`: a Tekton bundle, which holds tasks of containers",
            ),
            (
                "taskRef: { resolver: own }",
                "5:18 spec.tasks[0].taskRef.resolver the resolver `own`: something that Cofferdam does not fetch",
            ),
            (
                "pipelineRef: { resolver: git }",
                "5:22 spec.tasks[0].pipelineRef.resolver the resolver `git`: a task or a pipeline out of a git repository",
            ),
            (
                "taskRef: { name: x, apiVersion: example.dev/v1, kind: Wait }",
                "5:27 spec.tasks[0].taskRef.apiVersion a custom task, run by a controller of Kubernetes",
            ),
            (
                "taskRef: { name: x, kind: Wait }",
                "5:27 spec.tasks[0].taskRef.kind a custom task, run by a controller of Kubernetes",
            ),
            (
                "taskRef: { name: x, kind: ClusterTask }",
                "5:27 spec.tasks[0].taskRef.kind `kind: ClusterTask`, a task of a cluster",
            ),
            (
                "taskSpec: { apiVersion: example.dev/v1, kind: Wait }",
                "5:19 spec.tasks[0].taskSpec.apiVersion a custom task, run by a controller of Kubernetes",
            ),
        ] {
            assert_eq!(task(text), [expected], "{text}");
        }
        assert_eq!(task("taskRef: { name: x, kind: Task, apiVersion: tekton.dev/v1 }"), [""; 0]);
    }

    #[test]
    fn what_a_task_spec_has_of_containers_is_named_in_its_place() {
        let above = "spec.tasks[0].taskSpec";
        for (text, expected) in [
            ("steps: [{ name: s }]", vec![("5:19", "steps", "`steps`, container steps")]),
            ("sidecars: [{ name: s }]", vec![("5:19", "sidecars", "`sidecars`, containers beside a task")]),
            ("volumes: [{ name: s }]", vec![("5:19", "volumes", "`volumes`, volumes")]),
            (
                "stepTemplate: { env: [a] }",
                vec![("5:19", "stepTemplate", "`stepTemplate`, settings for containers")],
            ),
            ("workspaces: [{ name: w }]", vec![("5:32", "workspaces[0]", "the workspace `w`, a volume")]),
            (
                "computeResources: { a: b }",
                vec![("5:19", "computeResources", "`computeResources`, resources of a container")],
            ),
        ] {
            let expected: Vec<String> = expected
                .into_iter()
                .map(|(place, path, what)| format!("{place} {above}.{path} {what}"))
                .collect();
            assert_eq!(task(&format!("taskSpec: {{ {text} }}")), expected, "{text}");
        }
        for (step, what) in [
            ("image: a", "`image`, a container image"),
            ("script: a", "`script`, a script for a container"),
            ("command: [a]", "`command`, a command in a container"),
            ("ref: { name: a }", "`ref`, a StepAction"),
            ("volumeMounts: [{ name: a }]", "`volumeMounts`, volumes in a container"),
            ("securityContext: { privileged: true }", "`securityContext`, privileges of a container"),
            ("computeResources: { a: b }", "`computeResources`, resources of a container"),
            ("resources: { a: b }", "`resources`, resources of a container, or PipelineResources"),
        ] {
            let key = step.split(':').next().unwrap();
            let expected = format!("5:29 {above}.steps[0].{key} {what}");
            assert_eq!(
                task(&format!("taskSpec: {{ steps: [{{ {step} }}] }}")).get(1),
                Some(&expected),
                "{step}"
            );
        }
    }

    #[test]
    fn what_a_run_has_of_kubernetes_is_named_in_its_place() {
        for (text, expected) in [
            (
                "serviceAccountName: x",
                "4:3 spec.serviceAccountName `serviceAccountName`, an account of Kubernetes",
            ),
            ("podTemplate: { a: b }", "4:3 spec.podTemplate `podTemplate`, settings of a pod"),
            (
                "taskRunTemplate: { serviceAccountName: x }",
                "4:22 spec.taskRunTemplate.serviceAccountName `serviceAccountName`, an account of Kubernetes",
            ),
            (
                "taskRunTemplate: { podTemplate: { a: b } }",
                "4:22 spec.taskRunTemplate.podTemplate `podTemplate`, settings of a pod",
            ),
            (
                "taskRunSpecs: [{ pipelineTaskName: a }]",
                "4:3 spec.taskRunSpecs `taskRunSpecs`, settings of pods by task",
            ),
            ("status: Cancelled", "4:3 spec.status `status`, an order to end or to hold a run"),
            ("managedBy: x", "4:3 spec.managedBy `managedBy`, a controller of Kubernetes"),
            (
                "workspaces: [{ name: w, emptyDir: {} }]",
                "4:16 spec.workspaces[0] the workspace `w`, a volume",
            ),
            (
                "pipelineRef: { resolver: hub }",
                "4:18 spec.pipelineRef.resolver the resolver `hub`: a task or a pipeline of a hub",
            ),
            (
                "pipelineSpec: { workspaces: [{ name: w }] }",
                "4:32 spec.pipelineSpec.workspaces[0] the workspace `w`, a volume",
            ),
        ] {
            assert_eq!(found(&format!("kind: PipelineRun\n\nspec:\n  {text}\n")), [expected], "{text}");
        }
        assert_eq!(
            found("kind: PipelineRun\nspec: { a: b }\nstatus: { a: b }\n"),
            ["3:1 status `status`, what a cluster says of a run"]
        );
        assert_eq!(found("kind: PipelineRun\nspec: { a: b }\nstatus: {}\n"), [""; 0]);
    }

    #[test]
    fn a_kind_that_is_no_pipeline_is_named() {
        for (kind, inside, others) in [
            ("Task", "steps: [{ image: a }]", 2),
            ("ClusterTask", "steps: [{ image: a }]", 2),
            ("TaskRun", "taskSpec: { steps: [{ image: a }] }", 2),
            ("StepAction", "image: a", 1),
            ("CustomRun", "a: b", 0),
            ("Run", "a: b", 0),
        ] {
            let found = found(&format!("kind: {kind}\nspec: {{ {inside} }}\n"));
            assert!(
                found.first().is_some_and(|one| one.starts_with(&format!("1:7 kind `kind: {kind}`, "))),
                "{found:?}"
            );
            assert_eq!(found.len(), 1 + others, "{found:?}");
        }
    }

    #[test]
    fn a_nested_pipeline_and_finally_are_looked_through() {
        let text = "kind: Pipeline\nspec:\n  finally:\n    - pipelineSpec:\n        tasks:\n          - taskRef: { resolver: hub }\n";
        let expected = "6:24 spec.finally[0].pipelineSpec.tasks[0].taskRef.resolver the resolver `hub`: a task or a pipeline of a hub";
        assert_eq!(found(text), [expected]);
    }
}
