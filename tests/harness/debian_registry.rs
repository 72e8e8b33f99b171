//! Debian's `docker-registry` on this machine: the reference implementation, in
//! a version that has no referrers API.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::Authority;

/// A registry that is gone when it is dropped.
pub(crate) struct DebianRegistry {
    process: Child,
    port: u16,
    _directory: TempDir,
}

/// Who may use it: `user` and `password`, as `htpasswd -nbB` writes them.
const USERS: &str = "user:$2y$05$L5q/OT2efYH8r4dW3PpxleJor.NhIj6X0vUu9g9WcqT8dGlxMmjny\n";

impl DebianRegistry {
    /// Without a login, over plain HTTP.
    pub(crate) fn open() -> Self {
        Self::start("", None)
    }

    /// With basic authentication (`user`, `password`) and TLS for `localhost`.
    pub(crate) fn guarded(authority: &Authority) -> Self {
        Self::start("auth: { htpasswd: { realm: test, path: users } }\n", Some(authority))
    }

    fn start(auth: &str, authority: Option<&Authority>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        write("users", USERS);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let tls = authority.map_or(String::new(), |authority| {
            let (certificate, key) = authority.pem("localhost");
            write("tls.pem", &certificate);
            write("tls.key", &key);
            "  tls: { certificate: tls.pem, key: tls.key }\n".to_owned()
        });
        let storage = "storage: { filesystem: { rootdirectory: data }, delete: { enabled: true } }\n";
        write(
            "config.yml",
            &format!(
                "version: 0.1\nlog: {{ level: error }}\n{storage}{auth}http:\n  addr: 127.0.0.1:{port}\n{tls}"
            ),
        );
        let mut command = Command::new("docker-registry");
        command.args(["serve", "config.yml"]).current_dir(directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command
            .spawn()
            .unwrap_or_else(|error| panic!("docker-registry: {error}; tests/install-tools installs it"));
        let registry = Self { process, port, _directory: directory };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "docker-registry does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        registry
    }

    /// The registry as it is named.
    pub(crate) fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }
}

impl Drop for DebianRegistry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
