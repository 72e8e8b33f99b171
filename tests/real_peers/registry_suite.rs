//! What must hold with any registry: publish, pull, list, attach, delete and
//! recover, with other clients of registries beside us.

use std::fs;

use serde_json::Value;

use super::registries::RealRegistry;
use super::run;
use crate::harness::{Done, Task, World, task_file};
use crate::registry_http::{parties, pipeline};

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const CONFIG: &str = "application/vnd.wasm.config.v0+json";

/// A registry in which a publisher has put the task `noop`, signed, and a user
/// who trusts what that publisher signs.
pub(super) struct Suite {
    registry: RealRegistry,
    publisher: World,
    user: World,
    pipeline: String,
}

impl Suite {
    pub(super) fn new(registry: RealRegistry) -> Self {
        let (publisher, user, pipeline) = parties(&registry.host, "0.1.0");
        Self { registry, publisher, user, pipeline }
    }

    fn repository(&self) -> String {
        format!("{}/team/noop", self.registry.host)
    }

    fn reference(&self) -> String {
        format!("{}:0.1.0", self.repository())
    }

    fn publish(&self) {
        let (file, to) = (task_file(Task::Test("noop")), format!("{}/team", self.registry.host));
        self.publisher.run(&["task", "publish", file.to_str().unwrap(), "--to", &to, "--sign"]).ok();
    }

    fn inspect(&self, reference: &str) -> Value {
        let done = self.user.run(&["task", "inspect", reference, "--format", "json"]).ok();
        serde_json::from_str(&done.out).unwrap()
    }

    fn digest(&self) -> String {
        self.inspect(&self.reference())["digest"].as_str().unwrap().to_owned()
    }

    fn run_trusted(&self, pipeline: &str) -> Done {
        self.user.run(&["run", "--require-trusted", pipeline])
    }

    /// Makes the user trust what the publisher signs in the whole registry.
    fn trust_everywhere(&self) {
        let (host, rules) = (&self.registry.host, self.user.home().join("trust.yaml"));
        let text = fs::read_to_string(&rules).unwrap();
        fs::write(rules, text.replace(&format!("{host}/team/*"), &format!("{host}/*"))).unwrap();
    }

    /// Forgets what was pulled and pinned.
    fn forget(&self) {
        let _ = fs::remove_dir_all(self.user.home().join("pulled"));
        let _ = fs::remove_file(self.user.project().join(".cofferdam/lock.yaml"));
    }

    fn crane(&self, args: &[&str]) -> String {
        run(&self.publisher, "crane", args).ok().out
    }

    fn oras(&self, args: &[&str]) -> String {
        run(&self.publisher, "oras", args).ok().out
    }

    fn regctl(&self, args: &[&str]) -> String {
        let host = format!("reg={},tls=disabled", self.registry.host);
        run(&self.publisher, "regctl", &[&["--host", &host], args].concat()).ok().out
    }

    /// The signatures of the task, as two other clients find them.
    fn signatures(&self) -> Vec<String> {
        // What each of them is says its manifest; a registry may list it otherwise.
        let is_bundle = |digest: &String| {
            let manifest = self.crane(&["manifest", &format!("{}@{digest}", self.repository())]);
            serde_json::from_str::<Value>(&manifest).unwrap()["artifactType"] == BUNDLE
        };
        let digests = |list: &Value| {
            let all = list.as_array().into_iter().flatten();
            let all = all.map(|one| one["digest"].as_str().unwrap().to_owned());
            let mut digests: Vec<String> = all.filter(is_bundle).collect();
            digests.sort();
            digests
        };
        let reference = self.reference();
        let oras = self.oras(&["discover", "--plain-http", "--format", "json", &reference]);
        let oras: Value = serde_json::from_str(&oras).unwrap();
        let regctl = self.regctl(&["artifact", "list", &reference, "--format", "{{json .}}"]);
        let regctl: Value = serde_json::from_str(&regctl).unwrap();
        let found = digests(&oras["referrers"]);
        assert_eq!(found, digests(&regctl["descriptors"]), "{oras:#} {regctl:#}");
        found
    }

    pub(super) fn push_pull_and_list(&self) {
        self.run_trusted(&self.pipeline).ok();
        let listed = self.user.run(&["task", "list", &self.repository(), "--format", "json"]).ok().out;
        let tags = self.crane(&["ls", &self.repository()]);
        let regctl = self.regctl(&["tag", "ls", &self.repository()]);
        for version in ["0.1.0", "latest"] {
            assert!(tags.lines().any(|tag| tag == version), "{tags}");
            assert!(regctl.lines().any(|tag| tag == version), "{regctl}");
        }
        assert!(listed.contains("\"0.1.0\""), "{listed}");
        // The fallback tag is written where there is no API, and nowhere else.
        let fallback = self.digest().replace(':', "-");
        let is_listed = tags.lines().any(|tag| tag == fallback);
        assert_eq!(is_listed, !self.registry.has_referrers, "{tags}");
        assert!(!listed.contains(&fallback), "{listed}");
    }

    pub(super) fn others_read(&self) {
        let (reference, digest) = (self.reference(), self.digest());
        assert_eq!(self.crane(&["digest", &reference]).trim(), digest);
        assert_eq!(self.regctl(&["manifest", "head", &reference]).trim(), digest);
        let manifest: Value = serde_json::from_str(&self.crane(&["manifest", &reference])).unwrap();
        let theirs = self.regctl(&["manifest", "get", &reference, "--format", "raw-body"]);
        assert_eq!(serde_json::from_str::<Value>(&theirs).unwrap(), manifest);
        assert_eq!(manifest["config"]["mediaType"], CONFIG);
        assert_eq!(manifest["layers"][0]["mediaType"], "application/wasm");
        let oras = self.oras(&["manifest", "fetch", "--plain-http", &reference]);
        assert_eq!(serde_json::from_str::<Value>(&oras).unwrap(), manifest);
        // The code of the artifact, as two of them give it.
        let code = manifest["layers"][0]["digest"].as_str().unwrap();
        let blob = format!("{}@{code}", self.repository());
        self.oras(&["blob", "fetch", "--plain-http", "--output", "oras.wasm", &blob]);
        let fetched = fs::read(self.publisher.project().join("oras.wasm")).unwrap();
        assert_eq!(fetched.len(), usize::try_from(manifest["layers"][0]["size"].as_u64().unwrap()).unwrap());
        assert_eq!(cofferdam_registry::Digest::of(&fetched).to_string(), code);
        assert_eq!(self.signatures().len(), 1);
    }

    pub(super) fn others_copy(&self) {
        let (host, reference) = (&self.registry.host, self.reference());
        self.trust_everywhere();
        let [crane, oras, regctl] =
            ["crane", "oras", "regctl"].map(|name| format!("{host}/{name}/noop:0.1.0"));
        self.crane(&["copy", &reference, &crane]);
        self.oras(&["copy", "--recursive", "--from-plain-http", "--to-plain-http", &reference, &oras]);
        self.regctl(&["image", "copy", "--referrers", &reference, &regctl]);
        for (copy, is_signed) in [(crane, false), (oras, true), (regctl, true)] {
            assert_eq!(self.inspect(&copy)["digest"], self.digest(), "{copy}");
            self.forget();
            let done = self.run_trusted(&pipeline(&self.user, &copy));
            if is_signed {
                done.ok();
            } else {
                // crane copies what is named, without what refers to it.
                done.refused(4, "trust/not-trusted", ".cofferdam/test.yaml:");
            }
        }
    }

    pub(super) fn others_write(&self) {
        // The artifact from its parts, pushed and signed with nothing of ours but the bytes.
        let manifest: Value = serde_json::from_str(&self.crane(&["manifest", &self.reference()])).unwrap();
        let part = |digest: &Value, name: &str| {
            let blob = format!("{}@{}", self.repository(), digest.as_str().unwrap());
            self.oras(&["blob", "fetch", "--plain-http", "--output", name, &blob]);
        };
        part(&manifest["config"]["digest"], "config.json");
        part(&manifest["layers"][0]["digest"], "noop.wasm");
        let other = format!("{}/oras/noop:1", self.registry.host);
        let config = format!("config.json:{CONFIG}");
        let layer = "noop.wasm:application/wasm";
        self.oras(&["push", "--plain-http", "--config", &config, &other, layer]);
        assert_eq!(self.inspect(&other)["manifest"]["metadata"]["name"], "noop");
        // The signature of our artifact, attached again by another client where it is gone.
        let signature = self.signatures().remove(0);
        let held = format!("{}@{signature}", self.repository());
        let bundle: Value = serde_json::from_str(&self.crane(&["manifest", &held])).unwrap();
        part(&bundle["layers"][0]["digest"], "bundle.json");
        let bare = format!("{}/bare/noop:0.1.0", self.registry.host);
        self.crane(&["copy", &self.reference(), &bare]);
        self.trust_everywhere();
        let pipeline = pipeline(&self.user, &bare);
        self.run_trusted(&pipeline).refused(4, "trust/not-trusted", ".cofferdam/test.yaml:");
        let layer = format!("bundle.json:{BUNDLE}");
        self.oras(&["attach", "--plain-http", "--artifact-type", BUNDLE, &bare, &layer]);
        self.forget();
        self.run_trusted(&pipeline).ok();
    }

    pub(super) fn delete_and_recover(&self) {
        let digest = self.digest();
        let signature = self.signatures().remove(0);
        // The signature goes, and what listed it.
        self.regctl(&["manifest", "delete", "--referrers", &format!("{}@{signature}", self.repository())]);
        assert_eq!(self.signatures(), Vec::<String>::new());
        self.run_trusted(&self.pipeline).refused(4, "trust/not-trusted", ".cofferdam/test.yaml:");
        self.publish();
        assert_eq!(self.signatures().len(), 1);
        self.forget();
        self.run_trusted(&self.pipeline).ok();
        // The task goes; a pin still says which one is meant.
        self.crane(&["delete", &format!("{}@{digest}", self.repository())]);
        let _ = fs::remove_dir_all(self.user.home().join("pulled"));
        self.run_trusted(&self.pipeline).refused(3, "plan/pin-gone", ".cofferdam/test.yaml:");
        self.publish();
        self.run_trusted(&self.pipeline).ok();
        assert_eq!(self.digest(), digest);
    }
}
