//! No bytes make a reader panic: the fuzz targets' functions, fed with noise and
//! with sound documents in which something was changed.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

use crate::harness::{Task, task_file};
use crate::parsers;

const PIPELINE: &str = "apiVersion: cofferdam.dev/v1\nkind: Pipeline\nmetadata: { name: a }\nspec:\n  params: [{ name: x, \
    default: [a] }]\n  timeouts: { pipeline: 1h, finally: 5m }\n  results: [{ name: r, value: $(tasks.t.results.o) }]\n  \
    tasks:\n    - { name: t, taskRef: { name: n }, params: [{ name: p, value: '$(params.x[*])' }], \
    inputs: [{ name: s, from: $(source) }], runAfter: [u], retries: { max: 2, backoff: 1s, on: [timeout] } }\n    \
    - { name: u, when: [{ input: '$(params.x[0])', operator: in, values: ['$(params.x[*])'] }, { cel: \"'$(params.x[0])' \
    == 'a' && size(params.x) > 0\" }], matrix: { params: [{ name: q, value: [a, b] }], include: [{ name: i, params: \
    [{ name: q, value: c }] }] }, pipelineSpec: { params: [{ name: q }], tasks: [{ name: v, taskRef: { name: n } }] } }\n  \
    finally: [{ name: f, taskRef: { name: n }, onError: continue, params: [{ name: p, value: $(tasks.t.status) }] }]\n";
const SUBSTITUTION: &[u8] = b"'$(params.x)' in [\"a$(tasks.my-task.results.r[0])\", 'b'] && params.y['k'] == context.pipelineRun.name || \
    params.list.exists(i, i == '$(tasks.m[linux,1.80].results.o.key)')";
const TEKTON: &str = "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: { name: a }\nspec:\n  params: [{ name: x, value: '{{r}}' }]\n  \
    pipelineSpec:\n    params: [{ name: x, default: [a] }]\n    tasks:\n      - { name: c, taskRef: { name: git-clone } }\n      - { name: t, taskRef: { name: x }, \
    runAfter: [c], retries: 2, timeout: 1h, when: [{ input: $(params.x), operator: in, values: [a] }], params: [{ name: SOURCE_ARTIFACT, value: \
    $(tasks.c.results.SOURCE_ARTIFACT) }, { name: p, value: 'a{{ b }}' }] }\n    results: [{ name: r, value: $(tasks.t.results.r) }]\n";
const MANIFEST: &str = "apiVersion: cofferdam.dev/v1\nkind: Task\nmetadata: { name: a, version: 0.1.0 }\nspec:\n  params: \
    [{ name: x, enum: [a, b], default: a }]\n  capabilities: { clock: real, exec: [{ tool: cc }], network: \
    [{ host: '*.example.org', port: 8443, methods: [PUT], path: /a/, addresses: [10.0.0.0/8], secret: { name: t, as: header, header: x } }] }\n  limits: { memory: 64Mi }\n";
const HOST: &[u8] = b"*.example.org\n*.a.example.org\nb.a.example.org";
const TRUST: &str = "apiVersion: cofferdam.dev/v1\nkind: Trust\ntrusted_task_rules:\n  deny:\n    a: [{ pattern: 'oci://*', \
    effective_on: '2026-01-31' }]\n";
const INDEX: &str = r#"{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0,"annotations":{"org.opencontainers.image.ref.name":"sbom:latest"}}]}"#;
const BUNDLE: &str = r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"ngAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}},"dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"e30=","keyid":""}]}}"#;
const PKCS11_URI: &[u8] = b"pkcs11:token=My%20Token;serial=3;object=release;id=%01%ff;type=private?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:///etc/pin";
const ENCRYPTED_KEY: &str = r#"{"kdf":{"name":"scrypt","params":{"N":32768,"r":8,"p":1},"salt":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="},"cipher":{"name":"nacl/secretbox","nonce":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"},"ciphertext":"AAcOFRwjKjE4P0ZNVFtiaXB3foWMk5qhqK+2vcTL0tng5+71/AMKERgfJi00O0JJUFdeZWxzeoGIj5adpKuyucDHztXc4+rx+P8GDRQbIikwNz5FTFNaYWhvdn2Ei5KZoKeutbzDytHY3+bt9PsCCRAXHiUsMzpBSE9WXWRrcnmAh46VnKOqsbg="}"#;
const SIGNING_CONFIG: &str = r#"{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","caUrls":[{"url":"https://ca.example","majorApiVersion":1,"operator":"a","validFor":{"start":"2020-01-01T00:00:00Z"}}],"oidcUrls":[{"url":"https://issuer.example/auth","majorApiVersion":1,"operator":"a","validFor":{"start":"2020-01-01T00:00:00Z"}}],"rekorTlogUrls":[{"url":"https://log.example","majorApiVersion":1,"operator":"a","validFor":{"start":"2020-01-01T00:00:00Z"}}],"rekorTlogConfig":{"selector":"ANY"}}"#;
const REDACTION: &[u8] =
    b"\x17build-bot:p\"a/s<s+word=.. build-bot:p\"a/s<s+word= YnVpbGQtYm90OnAiYS9zPHMrd29yZD0= p%22a%2Fs%3Cs%2Bword%3D ..";
const TREE: &[u8] =
    b"\x0a\x47\x0a\x01a\x12\x42\x0a\x40e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Changes a few places of a document: a byte, a cut, something twice.
fn mutate(seed: &[u8], changes: &[(Index, u8, u8)]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for (place, kind, value) in changes {
        if bytes.is_empty() {
            break;
        }
        let at = place.index(bytes.len());
        match kind % 4 {
            0 => bytes[at] = *value,
            1 => bytes.truncate(at),
            2 => bytes.insert(at, *value),
            _ => {
                let piece = bytes[at..].iter().take(usize::from(*value)).copied().collect::<Vec<_>>();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

fn changes() -> impl Strategy<Value = Vec<(Index, u8, u8)>> {
    proptest::collection::vec((any::<Index>(), any::<u8>(), any::<u8>()), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_document_makes_its_reader_panic(changes in changes()) {
        parsers::pipeline(&mutate(PIPELINE.as_bytes(), &changes));
        parsers::substitution(&mutate(SUBSTITUTION, &changes));
        parsers::tekton(&mutate(TEKTON.as_bytes(), &changes));
        parsers::manifest(&mutate(MANIFEST.as_bytes(), &changes));
        parsers::host(&mutate(HOST, &changes));
        parsers::trust(&mutate(TRUST.as_bytes(), &changes));
        parsers::bundle(&mutate(BUNDLE.as_bytes(), &changes));
        parsers::reference(&mutate(b"oci:some/path:name:tag", &changes));
        parsers::pkcs11_uri(&mutate(PKCS11_URI, &changes));
        parsers::redaction(&mutate(REDACTION, &changes));
    }

    #[test]
    fn no_component_makes_its_reader_panic(changes in changes()) {
        let component = std::fs::read(task_file(Task::Test("noop"))).unwrap();
        parsers::component(&mutate(&component, &changes));
    }

    #[test]
    fn no_noise_makes_a_reader_panic(bytes: Vec<u8>) {
        for parse in [parsers::pipeline, parsers::substitution, parsers::tekton, parsers::manifest, parsers::host, parsers::trust, parsers::bundle, parsers::component, parsers::reference, parsers::redaction, parsers::pkcs11_uri, parsers::encrypted_key, parsers::signing_config] {
            parse(&bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn nothing_on_disk_makes_its_reader_panic(changes in changes()) {
        parsers::layout(&mutate(INDEX.as_bytes(), &changes));
        parsers::tree(&mutate(TREE, &changes));
        parsers::encrypted_key(&mutate(ENCRYPTED_KEY.as_bytes(), &changes));
        parsers::signing_config(&mutate(SIGNING_CONFIG.as_bytes(), &changes));
    }
}

/// Mutates a seed for some seconds, without looking at what the code does with
/// it. A reader that hardly comes back must not pass for a quiet one: it reads
/// `least` documents.
fn mutate_for(seconds: u64, least: u64, seed: &[u8], parse: fn(&[u8])) {
    let (started, mut count) = (Instant::now(), 0_u64);
    while started.elapsed() < Duration::from_secs(seconds) {
        // A runner that has done its cases does no more, and one that keeps
        // failures says each time that it found no place for them.
        let config = ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() };
        let fed = TestRunner::new(config).run(&changes(), |changes| {
            parse(&mutate(seed, &changes));
            Ok(())
        });
        fed.unwrap();
        count += 16;
    }
    assert!(count > least, "only {count} documents were read in {seconds} s");
}

fn mutate_for_a_minute(seed: &[u8], parse: fn(&[u8])) {
    mutate_for(60, 1000, seed, parse);
}

#[test]
#[ignore = "takes a minute: `make fuzz`"]
fn a_minute_of_host_patterns_makes_no_reader_panic() {
    mutate_for_a_minute(HOST, parsers::host);
}

#[test]
#[ignore = "takes a minute: `make fuzz`"]
fn a_minute_of_manifests_makes_no_reader_panic() {
    mutate_for_a_minute(MANIFEST.as_bytes(), parsers::manifest);
}

#[test]
#[ignore = "takes a minute: `make fuzz`"]
fn a_minute_of_pipelines_makes_no_reader_panic() {
    mutate_for_a_minute(PIPELINE.as_bytes(), parsers::pipeline);
}

#[test]
#[ignore = "takes a minute: `make fuzz`"]
fn a_minute_of_substitution_makes_no_reader_panic() {
    mutate_for_a_minute(SUBSTITUTION, parsers::substitution);
}

#[test]
#[ignore = "takes a minute: `make fuzz`"]
fn a_minute_of_tekton_files_makes_no_reader_panic() {
    mutate_for_a_minute(TEKTON.as_bytes(), parsers::tekton);
}

#[test]
#[ignore = "takes a while: `make fuzz`"]
fn a_while_of_pkcs11_uris_makes_no_reader_panic() {
    mutate_for(15, 1000, PKCS11_URI, parsers::pkcs11_uri);
}

#[test]
#[ignore = "takes a while: `make fuzz`"]
fn a_while_of_encrypted_keys_makes_no_reader_panic() {
    // Each that is whole takes what a password takes: a tenth of a second.
    mutate_for(20, 50, ENCRYPTED_KEY.as_bytes(), parsers::encrypted_key);
}

#[test]
#[ignore = "takes a while: `make fuzz`"]
fn a_while_of_signing_configs_makes_no_reader_panic() {
    mutate_for(15, 100, SIGNING_CONFIG.as_bytes(), parsers::signing_config);
}

#[test]
fn the_seeds_are_sound() {
    let pipeline = cofferdam_manifest::Document::parse(PIPELINE).unwrap();
    assert!(cofferdam_manifest::decode::<cofferdam::model::Pipeline>(&pipeline).is_ok());
    assert!(cofferdam::plan::CelGuard::parse(std::str::from_utf8(SUBSTITUTION).unwrap()).is_ok());
    let request = cofferdam::tekton::ImportRequest {
        text: TEKTON,
        pipeline: None,
        tasks: [("x".into(), "x".into())].into(),
    };
    let import = cofferdam::tekton::import(&request).unwrap();
    assert!(
        import.pipeline.contains("runAfter") || import.pipeline.contains("from: $(source)"),
        "{}",
        import.pipeline
    );
    assert!(cofferdam_manifest::Manifest::parse(MANIFEST).is_ok());
    for pattern in std::str::from_utf8(HOST).unwrap().split('\n') {
        assert!(pattern.parse::<cofferdam_manifest::HostPattern>().is_ok(), "{pattern}");
    }
    assert!(cofferdam_registry::Trust::parse(TRUST, std::path::Path::new("/")).is_ok());
    assert!(cofferdam_registry::claimed_key(BUNDLE.as_bytes()).is_some_and(|key| BUNDLE.contains(&key)));
    let uri = cofferdam_registry::Pkcs11Uri::parse(std::str::from_utf8(PKCS11_URI).unwrap()).unwrap();
    assert_eq!(uri.pin_file().unwrap(), std::path::Path::new("/etc/pin"));
    let file = |text: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    };
    let config = file(SIGNING_CONFIG);
    cofferdam_registry::SigningServices::load(config.path(), &[]).unwrap();
    let key = file(&parsers::encrypted_pem(ENCRYPTED_KEY.as_bytes()));
    let closed = cofferdam_registry::SigningKey::load_with(key.path(), Some(b"another")).unwrap_err();
    assert!(matches!(closed, cofferdam_registry::KeyError::Password { .. }), "{closed}");
    let secret = cofferdam::model::SecretValue::new(REDACTION[1..=23].to_vec()).unwrap();
    let redactor = cofferdam::capability::Redactor::new([secret]);
    assert_eq!(redactor.bytes(&REDACTION[24..]).iter().filter(|byte| **byte == b'*').count(), 23 + 32 + 23);
    let directory = tempfile::tempdir().unwrap();
    let store = cofferdam::store::Store::open(directory.path()).unwrap();
    store.put(b"").unwrap();
    let tree = store.put(TREE).unwrap();
    assert_eq!(store.check_tree(tree).unwrap().files, 1);
}
