//! What it costs to decide on a thousand signed tasks that are all there, and to
//! pull a large artifact beside `skopeo copy`.

use std::process::{Command, Stdio};
use std::time::Instant;

use cofferdam_registry::{Candidate, Layout, Reference, SigningKey, TaskArtifact, Trust, TrustDecision};

use super::figure::{Times, line};
use super::world::World;

const ROUNDS: usize = 5;
const SIGNED: usize = 1_000;
const LARGE: usize = 200 << 20;

/// Manifests, signatures and components, each held against its digest, and the
/// rules asked; on one core.
pub(super) fn decisions(world: &World) {
    let root = world.directory.join("signed");
    let layout = Layout::open_or_create(&root).unwrap();
    let key = SigningKey::generate(&world.directory.join("bench.key")).unwrap();
    let references: Vec<Reference> = (0..SIGNED)
        .map(|n| {
            let name = format!("task-{n}");
            let component = format!("component of {name}").into_bytes();
            let task =
                TaskArtifact { name: &name, version: "1", component: &component, ..Default::default() };
            let digest = layout.publish(&task).unwrap();
            let text = format!("oci:{}:{name}:1@{digest}", root.display());
            let reference = Reference::parse(&text, &world.directory).unwrap();
            layout.sign(&reference, &key).unwrap();
            reference
        })
        .collect();
    let rules = "apiVersion: cofferdam.dev/v1\nkind: Trust\ntrusted_task_rules:\n  allow:\n    all: \
                 [{ pattern: '*', signing_key: bench.pub }]\n";
    let trust = Trust::parse(rules, &world.directory).unwrap();
    let mut times = Times(Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let layout = Layout::open(&root).unwrap();
        for reference in &references {
            let pulled = layout.pull(reference).unwrap();
            let bundles = layout.bundles(pulled.head.digest).unwrap();
            let (uri, digest) = (reference.version_uri("1"), pulled.head.digest);
            let component = pulled.head.component_digest;
            let candidate = Candidate { uri: &uri, spellings: &[], digest, component, bundles: &bundles };
            let decided = trust.decide(&candidate, jiff::Timestamp::now());
            assert!(matches!(decided, TrustDecision::Trusted { .. }), "{decided:?}");
        }
        times.0.push(start.elapsed());
    }
    line("1,000 signed tasks decided on, one core", times.median(), times.best(), " s", "1");
}

/// The same artifact, each time into an empty layout.
pub(super) fn pull(world: &World) {
    let installed = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !installed("docker-registry") || !installed("skopeo") {
        println!("pull of 200 MB: not measured, docker-registry or skopeo is missing");
        return;
    }
    let registry = Registry::start(world);
    let staged = Layout::open_or_create(&world.directory.join("large")).unwrap();
    // Nothing that could be made smaller on the way.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let component: Vec<u8> = std::iter::repeat_with(next).take(LARGE / 8).flatten().collect();
    let task = TaskArtifact { name: "large", version: "1", component: &component, ..Default::default() };
    let digest = staged.publish(&task).unwrap();
    let host = format!("localhost:{}", registry.port);
    let settings = cofferdam_registry::RemoteSettings::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let remote = runtime.block_on(cofferdam_registry::Remote::open(&host, &settings)).unwrap();
    runtime.block_on(remote.push(&staged, digest, "bench/large", None)).unwrap();
    runtime.block_on(remote.tag(&staged, digest, "bench/large", &["1".to_owned()])).unwrap();
    let reference = Reference::parse(&format!("{host}/bench/large:1"), &world.directory).unwrap();
    let (mut ours, mut skopeo) = (Times(Vec::new()), Times(Vec::new()));
    for round in 0..ROUNDS {
        let start = Instant::now();
        let layout = Layout::open_or_create(&world.directory.join(format!("ours-{round}"))).unwrap();
        runtime.block_on(remote.pull(&reference, &layout, &|_| {})).unwrap();
        ours.0.push(start.elapsed());
        let target = world.directory.join(format!("skopeo-{round}"));
        let start = Instant::now();
        let copied = Command::new("skopeo")
            .args(["copy", "--quiet", "--src-tls-verify=false", &format!("docker://{host}/bench/large:1")])
            .arg(format!("oci:{}:1", target.display()))
            .output()
            .unwrap();
        assert!(copied.status.success(), "{copied:?}");
        skopeo.0.push(start.elapsed());
        std::fs::remove_dir_all(target).unwrap();
        std::fs::remove_dir_all(layout.root()).unwrap();
    }
    line("pull of 200 MB", ours.median(), ours.best(), " s", "");
    line("  beside skopeo copy", ours.median() / skopeo.median(), ours.best() / skopeo.best(), "x", "1.2");
}

/// Debian's registry on a free port; it ends with this.
struct Registry {
    child: std::process::Child,
    port: u16,
}

impl Registry {
    fn start(world: &World) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let storage = world.directory.join("registry");
        let configuration = format!(
            "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {} }} }}\n\
             http: {{ addr: 127.0.0.1:{port} }}\n",
            storage.display()
        );
        world.write("registry.yml", &configuration);
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(world.directory.join("registry.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let registry = Self { child, port };
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        registry
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
