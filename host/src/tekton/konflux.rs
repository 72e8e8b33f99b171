//! What becomes of the tasks of Konflux's catalog and of the built-in ones: one
//! row for each. A row never names a task that this version does not have.

use super::kubernetes::write_a_task;

/// A row of the table.
#[derive(Debug)]
pub(super) struct Row {
    /// Names in the catalog, without `-oci-ta`.
    pub(super) names: &'static [&'static str],
    pub(super) becomes: Becomes,
}

/// What a task of Tekton becomes.
#[derive(Debug)]
pub(super) enum Becomes {
    /// A task of ours.
    Task(Counterpart),
    /// Nothing, because the host does it.
    Host {
        why: &'static str,
        /// Params that lose nothing by it.
        needless: &'static [&'static str],
        results: &'static [(&'static str, Substitute)],
    },
    /// Nothing, because there is nothing like it yet.
    Nothing { why: &'static str, instead: &'static str, results: &'static [(&'static str, Substitute)] },
}

/// A task of ours that does what a task of Tekton does.
#[derive(Debug)]
pub(super) struct Counterpart {
    pub(super) name: &'static str,
    /// Params and what they are called here.
    pub(super) params: &'static [(&'static str, &'static str)],
    /// Params that lose nothing by being left out.
    pub(super) needless: &'static [&'static str],
    /// Params or workspaces that hold an artifact, and the input they become.
    pub(super) inputs: &'static [(&'static str, &'static str)],
    pub(super) results: &'static [(&'static str, &'static str)],
    /// Inputs that are wired to the source where nothing else is.
    pub(super) source: &'static [&'static str],
    /// In what it differs.
    pub(super) note: &'static str,
}

/// What stands in for a result of a task that is not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Substitute {
    Text(&'static str),
    /// The source tree.
    Source,
}

const NO_IMAGES: &str = "this version makes no container images";
const BUILD_IMAGE: &str = "build the image elsewhere, from the source of this run";
const SCAN_ELSEWHERE: &str = "scan the image where it is built";

const fn nothing(names: &'static [&'static str], why: &'static str, instead: &'static str) -> Row {
    Row { names, becomes: Becomes::Nothing { why, instead, results: &[] } }
}

const ROWS: &[Row] = &[
    Row {
        names: &["git-clone"],
        becomes: Becomes::Host {
            why: "the host takes the source itself, `$(source)`, and records the commit",
            needless: &[
                "url",
                "revision",
                "refspec",
                "depth",
                "ociStorage",
                "ociArtifactExpiresAfter",
                "shortCommitLength",
                "deleteExisting",
                "httpProxy",
                "httpsProxy",
                "noProxy",
                "verbose",
                "sslVerify",
                "fetchTags",
                "userHome",
                "gitInitImage",
                "caTrustConfigMapName",
                "caTrustConfigMapKey",
                "enableSymlinkCheck",
            ],
            results: &[("SOURCE_ARTIFACT", Substitute::Source)],
        },
    },
    Row {
        names: &["init"],
        becomes: Becomes::Host {
            why: "there is nothing to prepare",
            needless: &[
                "image-url",
                "rebuild",
                "skip-checks",
                "skip-optional",
                "enable-cache-proxy",
                "pipelinerun-name",
                "pipelinerun-uid",
            ],
            results: &[
                ("build", Substitute::Text("true")),
                ("http-proxy", Substitute::Text("")),
                ("no-proxy", Substitute::Text("")),
            ],
        },
    },
    Row {
        names: &["summary", "show-summary"],
        becomes: Becomes::Host {
            why: "`cofferdam show` tells of every run",
            needless: &["pipelinerun-name", "git-url", "image-url", "build-task-status"],
            results: &[],
        },
    },
    Row {
        names: &["sast-unicode-check", "unicode-check"],
        becomes: Becomes::Task(Counterpart {
            name: "unicode-check",
            params: &[("allow", "allow"), ("fail-on", "fail-on")],
            needless: &[
                "image-url",
                "image-digest",
                "caTrustConfigMapName",
                "caTrustConfigMapKey",
                "FIND_UNICODE_CONTROL_GIT_URL",
                "CACHI2_ARTIFACT",
                "PROJECT_NAME",
                "RECORD_EXCLUDED",
            ],
            inputs: &[("SOURCE_ARTIFACT", "source"), ("workspace", "source"), ("source", "source")],
            results: &[("TEST_OUTPUT", "TEST_OUTPUT")],
            source: &["source"],
            note: "its findings are the output `findings`, attached to no image",
        }),
    },
    Row {
        names: &["show-sbom", "sbom"],
        becomes: Becomes::Task(Counterpart {
            name: "sbom",
            params: &[("exclude", "exclude")],
            needless: &["IMAGE_URL", "PLATFORM", "CA_TRUST_CONFIG_MAP_NAME", "CA_TRUST_CONFIG_MAP_KEY"],
            inputs: &[("SOURCE_ARTIFACT", "source"), ("source", "source")],
            results: &[("components", "components"), ("lockfiles", "lockfiles")],
            source: &["source"],
            note: "it lists what the source depends on, not what an image holds",
        }),
    },
    Row {
        names: &["report"],
        becomes: Becomes::Task(Counterpart {
            name: "report",
            params: &[("title", "title"), ("test-output", "test-output")],
            needless: &[],
            inputs: &[("SBOM_ARTIFACT", "sbom"), ("FINDINGS_ARTIFACT", "findings")],
            results: &[("summary", "summary")],
            source: &[],
            note: "",
        }),
    },
    Row {
        names: &["prefetch-dependencies"],
        becomes: Becomes::Nothing {
            why: "no task of this version fetches dependencies",
            instead: "vendor them in the source, or write a task that is granted the hosts it needs",
            // The source is what it was; what prefetching adds to it is missing.
            results: &[("SOURCE_ARTIFACT", Substitute::Source)],
        },
    },
    nothing(&["buildah", "buildah-min", "buildah-remote", "buildah-rhtap", "kaniko"], NO_IMAGES, BUILD_IMAGE),
    nothing(
        &[
            "ko",
            "ko-build",
            "s2i-java",
            "s2i-nodejs",
            "rpm-ostree",
            "tkn-bundle",
            "build-maven-zip",
            "oci-copy",
            "modelcar-oci",
        ],
        NO_IMAGES,
        BUILD_IMAGE,
    ),
    nothing(&["build-image-index", "build-image-manifest", "image-index"], NO_IMAGES, BUILD_IMAGE),
    nothing(&["source-build"], NO_IMAGES, "keep the commit: the provenance of a run names it"),
    nothing(&["apply-tags"], "this version pushes nothing to registries", "tag the image where it is built"),
    nothing(
        &["push-dockerfile"],
        "this version pushes nothing to registries",
        "keep the file with `cofferdam show --outputs`, or push it where the image is built",
    ),
    nothing(
        &["deprecated-image-check"],
        "no task of this version reads images",
        "check base images where the image is built",
    ),
    nothing(
        &["clair-scan", "roxctl-scan", "trivy-scan", "grype"],
        "this version has no vulnerability database",
        "keep the SBOM of the task `sbom` and match it elsewhere",
    ),
    nothing(&["clamav-scan"], "this version has no virus scanner", SCAN_ELSEWHERE),
    nothing(
        &["sast-snyk-check"],
        "it needs an account with a service",
        "write a task that is granted the host and bound to the secret",
    ),
    nothing(&["sast-shell-check"], "no task of this version reads shell scripts", write_a_task()),
    nothing(
        &["sast-coverity-check", "coverity-availability-check"],
        "it needs a licence and native tools",
        "run it elsewhere",
    ),
    nothing(&["ecosystem-cert-preflight-checks"], "no task of this version reads images", SCAN_ELSEWHERE),
    nothing(&["rpms-signature-scan"], "no task of this version reads images", SCAN_ELSEWHERE),
    nothing(
        &[
            "fips-operator-bundle-check",
            "fbc-fips-check",
            "fbc-target-index-pruning-check",
            "fbc-validation",
            "validate-fbc",
            "run-opm-command",
        ],
        "no task of this version reads images",
        SCAN_ELSEWHERE,
    ),
    nothing(&["sbom-json-check"], "an SBOM of the task `sbom` needs no check of its form", "leave it out"),
    nothing(
        &["upload-sbom-to-trustification"],
        "this version uploads nothing",
        "keep the SBOM with `cofferdam show --outputs` and upload it yourself",
    ),
    nothing(
        &["verify-enterprise-contract", "verify-conforma", "verify-signed-rpms"],
        "this version evaluates no policies",
        "check signatures with `cofferdam verify`",
    ),
    nothing(
        &["slack-webhook-notification"],
        "no task of this version sends messages",
        "write a task that is granted the host",
    ),
];

/// Every row.
#[cfg(test)]
pub(super) fn rows() -> &'static [Row] {
    ROWS
}

/// The row for a task of this name.
pub(super) fn find(name: &str) -> Option<&'static Row> {
    let stem = name.strip_suffix("-oci-ta").or_else(|| name.strip_suffix("-ta")).unwrap_or(name);
    let known = |name: &str| ROWS.iter().find(|row| row.names.contains(&name));
    // The catalog has `buildah` once for each size of machine.
    known(stem).or_else(|| stem.starts_with("buildah-").then(|| known("buildah"))?)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::panic, reason = "a test that cannot go on should stop")]
    use super::*;
    use cofferdam_manifest::Manifest;

    #[test]
    fn no_name_stands_in_two_rows() {
        let mut names: Vec<&str> = ROWS.iter().flat_map(|row| row.names).copied().collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn every_counterpart_has_what_its_row_names() {
        for row in ROWS {
            let Becomes::Task(task) = &row.becomes else { continue };
            let text = match task.name {
                "unicode-check" => include_str!("../../../plugins/unicode-check/task.yaml"),
                "sbom" => include_str!("../../../plugins/sbom/task.yaml"),
                "report" => include_str!("../../../plugins/report/task.yaml"),
                other => panic!("{other} is no built-in task"),
            };
            let spec = Manifest::parse(text).map(|manifest| manifest.spec).unwrap_or_default();
            for (_, name) in task.params {
                assert!(spec.params.iter().any(|param| param.name.as_str() == *name), "{name}");
            }
            for (_, name) in task.results {
                assert!(spec.results.iter().any(|result| result.name.as_str() == *name), "{name}");
            }
            for name in task.inputs.iter().map(|(_, name)| name).chain(task.source) {
                assert!(spec.inputs.iter().any(|input| input.name.as_str() == *name), "{name}");
            }
        }
    }

    #[test]
    fn variants_of_a_task_are_that_task() {
        for (name, first) in [
            ("git-clone-oci-ta", "git-clone"),
            ("buildah-20gb", "buildah"),
            ("buildah-remote-oci-ta", "buildah"),
            ("sast-unicode-check-oci-ta", "sast-unicode-check"),
        ] {
            assert_eq!(find(name).map(|row| row.names.first()), Some(Some(&first)), "{name}");
        }
        assert!(find("our-own").is_none());
    }
}
