//! Real registries: one with the referrers API, one without it.

use std::process::Command;

use tempfile::TempDir;

use super::registry_suite::Suite;
use super::{Service, free_port, peer};

/// A registry that is gone when it is dropped.
pub(super) struct RealRegistry {
    _service: Service,
    _data: TempDir,
    /// As it is named.
    pub(super) host: String,
    pub(super) has_referrers: bool,
}

impl RealRegistry {
    /// The registry of go-containerregistry, which keeps everything in memory.
    pub(super) fn with_referrers() -> Self {
        let data = tempfile::tempdir().unwrap();
        let (service, address) = Service::announced(&mut Command::new(peer("referrers-registry")));
        let port = address.rsplit(':').next().unwrap();
        Self { _service: service, _data: data, host: format!("localhost:{port}"), has_referrers: true }
    }

    /// Distribution, the reference implementation, which answers 404 there.
    pub(super) fn without_referrers() -> Self {
        let (data, port) = (tempfile::tempdir().unwrap(), free_port());
        let text = format!(
            "version: 0.1\nlog: {{ level: error }}\n\
             storage: {{ filesystem: {{ rootdirectory: data }}, delete: {{ enabled: true }} }}\n\
             http: {{ addr: '127.0.0.1:{port}' }}\n"
        );
        std::fs::write(data.path().join("config.yml"), text).unwrap();
        let mut command = Command::new(peer("distribution"));
        command.args(["serve", "config.yml"]).current_dir(data.path());
        command.env_clear().env("OTEL_TRACES_EXPORTER", "none");
        let service = Service::told(&mut command, port);
        Self { _service: service, _data: data, host: format!("localhost:{port}"), has_referrers: false }
    }
}

/// Every step of the suite against both registries.
macro_rules! suite {
    ($($case:ident: $step:ident,)*) => {$(
        #[test]
        #[ignore = "needs Go: make test-peers"]
        fn $case() {
            for registry in [RealRegistry::with_referrers(), RealRegistry::without_referrers()] {
                Suite::new(registry).$step();
            }
        }
    )*};
}

suite! {
    what_is_pushed_is_pulled_and_listed_as_others_see_it: push_pull_and_list,
    other_clients_read_what_is_pushed: others_read,
    what_other_clients_copy_is_trusted_by_its_signature: others_copy,
    what_another_client_pushes_and_attaches_is_read: others_write,
    what_is_deleted_is_missed_and_comes_back: delete_and_recover,
}
