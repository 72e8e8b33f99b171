//! Every reader of foreign bytes, as a function of bytes alone. Whatever the
//! bytes are, each must come back. Used by the fuzz targets, and with mutated
//! seeds by `tests/robustness.rs`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cofferdam::capability::Redactor;
use cofferdam::component::{Component, embed, inspect};
use cofferdam::model::{DEFAULT_LIMITS, Overrides, PipelineRef, SecretValue, TaskRef};
use cofferdam::plan::{
    CelFailure, CelGuard, Piece, PipelineText, Plan, PlanRequest, ResolveError, ResolvedTask, Resolver,
    Template,
};
use cofferdam::store::Store;
use cofferdam::tekton::{ImportError, ImportRequest, import, kubernetes_only};
use cofferdam_manifest::{Document, Host, HostPattern, Manifest};
use cofferdam_registry::{
    Digest, Layout, Pkcs11Uri, PublicKey, Reference, SigningKey, SigningServices, Trust, claimed_key, verify,
};
use tempfile::TempDir;

/// A file with some bytes, which only its owner reads.
fn file(bytes: &[u8]) -> Option<(TempDir, PathBuf)> {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().ok()?;
    let path = directory.path().join("file");
    std::fs::write(&path, bytes).ok()?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).ok()?;
    Some((directory, path))
}

/// A registry in which nothing is.
struct Nothing;

impl Resolver for Nothing {
    fn resolve(&self, _: &TaskRef, _: &Path) -> Result<ResolvedTask, ResolveError> {
        Err(ResolveError::Ambiguous)
    }

    fn pipeline(&self, _: &PipelineRef, _: &Path) -> Result<PipelineText, ResolveError> {
        Err(ResolveError::AmbiguousPipeline)
    }
}

pub(crate) fn pipeline(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // What is read in one pass is what the reader of all of YAML reads.
    if let (Ok(document), all) = (Document::parse(text), Document::parse_all(text)) {
        assert_eq!(all, Ok(vec![document]), "{text:?}");
    }
    let _ = Template::parse(text);
    let given = BTreeMap::new();
    let request = PlanRequest {
        file: "x.yaml",
        base: Path::new("/"),
        text,
        given: &given,
        ceiling: &DEFAULT_LIMITS,
        overrides: &Overrides::default(),
        params_required: false,
    };
    let _ = Plan::build(&request, &Nothing);
}

/// A string with `$(..)` in it, and the same as a condition: what is read is
/// read again as it is written, and what a reference gives is not read again.
pub(crate) fn substitution(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(template) = Template::parse(text) {
        let written = template.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Reference(reference) => format!("$({reference})"),
        });
        assert_eq!(Template::parse(&written.collect::<String>()).as_ref(), Ok(&template));
        let filled = template.fill(|_| Ok::<_, ()>("$(params.x)".to_owned()));
        assert_eq!(
            filled.map(|filled| filled.matches("$(params.x)").count() >= template.references().count()),
            Ok(true)
        );
    }
    if let Ok(guard) = CelGuard::parse(text) {
        let _ = guard
            .holds(|_| Ok::<_, CelFailure>(cofferdam_manifest::Value::Text("' || true || '".to_owned())));
    }
}

pub(crate) fn manifest(bytes: &[u8]) {
    if let Ok(manifest) = Manifest::from_json(bytes) {
        assert_eq!(Manifest::from_json(&manifest.to_json()), Ok(manifest));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(manifest) = Manifest::parse(text) {
        assert_eq!(Manifest::from_json(&manifest.to_json()), Ok(manifest));
    }
}

/// Two patterns and a host, a line each: what they have in common means exactly
/// what both mean, and each is read again as it is written.
pub(crate) fn host(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.split('\n');
    let (a, b) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let host = lines.next().unwrap_or_default().parse::<Host>();
    for pattern in [a, b].iter().filter_map(|text| text.parse::<HostPattern>().ok()) {
        assert_eq!(pattern.to_string().parse(), Ok(pattern.clone()));
        assert_eq!(pattern.intersect(&pattern).as_ref(), Some(&pattern));
    }
    if let Ok(host) = &host {
        assert_eq!(host.to_string().parse().as_ref(), Ok(host));
        assert!(HostPattern::Exact(host.clone()).matches(host));
    }
    let (Ok(a), Ok(b)) = (a.parse::<HostPattern>(), b.parse::<HostPattern>()) else { return };
    let both = a.intersect(&b);
    assert_eq!(both, b.intersect(&a));
    if let Ok(host) = host {
        let meant = both.is_some_and(|both| both.matches(&host));
        assert_eq!(meant, a.matches(&host) && b.matches(&host));
    }
}

pub(crate) fn component(bytes: &[u8]) {
    let Ok(found) = inspect("x", bytes) else { return };
    let _ = Component::read("x", bytes.to_vec());
    let Some(manifest) = found.manifest else { return };
    if let Ok(again) = embed("x", bytes, &manifest) {
        assert_eq!(inspect("x", &again).map(|found| found.manifest), Ok(Some(manifest)));
    }
}

/// The public key of nobody: P-256's generator.
const NOBODY: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt\n6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==\n-----END PUBLIC KEY-----\n";

pub(crate) fn bundle(bytes: &[u8]) {
    let _ = claimed_key(bytes);
    if let Ok(key) = PublicKey::from_pem(NOBODY, "nobody") {
        let _ = verify(bytes, &key);
    }
}

/// Which key of a token: what is shown of it has nothing of the query, where a
/// PIN may be, and no PIN is taken.
pub(crate) fn pkcs11_uri(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Pkcs11Uri::parse(text) {
        Ok(uri) => {
            let shown = uri.to_string();
            assert!(text.starts_with(&shown) && !shown.contains('?'));
            assert!(!text.contains("pin-value="));
            let _ = uri.pin_file();
        }
        Err(error) => assert!(!error.to_string().contains("1234567")),
    }
}

/// The JSON of a private key under a password, in the file that it comes in.
pub(crate) fn encrypted_pem(json: &[u8]) -> String {
    let text = STANDARD.encode(json);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    let tag = "ENCRYPTED SIGSTORE PRIVATE KEY";
    format!("-----BEGIN {tag}-----\n{}\n-----END {tag}-----\n", lines.join("\n"))
}

pub(crate) fn encrypted_key(bytes: &[u8]) {
    let Some((_directory, path)) = file(encrypted_pem(bytes).as_bytes()) else { return };
    assert!(SigningKey::load_with(&path, Some(b"nobody's")).is_err());
}

pub(crate) fn signing_config(bytes: &[u8]) {
    let Some((_directory, path)) = file(bytes) else { return };
    let _ = SigningServices::load(&path, &[]);
}

pub(crate) fn reference(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(reference) = Reference::parse(text, Path::new("/base")) {
        let again = Reference::parse(&reference.to_string(), Path::new("/base"));
        assert_eq!(again.map(|again| again.to_string()), Ok(reference.to_string()));
    }
}

pub(crate) fn trust(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = Trust::parse(text, Path::new("/nowhere"));
}

pub(crate) fn layout(bytes: &[u8]) {
    let Ok(directory) = tempfile::tempdir() else { return };
    let Ok(layout) = Layout::open_or_create(directory.path()) else { return };
    if std::fs::write(directory.path().join("index.json"), bytes).is_err() {
        return;
    }
    let Ok(reference) = Reference::parse("sbom", Path::new("/")) else { return };
    let _ = layout.names();
    let _ = layout.pull(&reference);
    let _ = layout.bundles(Digest::of(b""));
}

pub(crate) fn tree(bytes: &[u8]) {
    let Ok(directory) = tempfile::tempdir() else { return };
    let Ok(store) = Store::open(directory.path()) else { return };
    let Ok(digest) = store.put(bytes) else { return };
    let _ = store.check_tree(digest);
    let _ = store.copy_out(digest, &directory.path().join("out"));
}

/// A secret, then a body that comes in pieces: what is let through is the same
/// however it is cut, as long as before, and without the secret.
pub(crate) fn redaction(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first() else { return };
    let Some((value, body)) = rest.split_at_checked(usize::from(*length)) else { return };
    // A value that looks masked already cannot be told from a masked one.
    if value.contains(&b'*') {
        return;
    }
    let Ok(value) = SecretValue::new(value.to_vec()) else { return };
    let redactor = Redactor::new([value]);
    let whole = redactor.bytes(body);
    assert_eq!(whole.len(), body.len());
    assert!(!redactor.contains(&whole));
    let (mut stream, mut through) = (redactor.stream(), Vec::new());
    let (mut rest, mut cuts) = (body, body.iter().cycle());
    while !rest.is_empty() {
        let cut = cuts.next().map_or(1, |cut| usize::from(cut % 16) + 1);
        let (piece, later) = rest.split_at(cut.min(rest.len()));
        through.extend(stream.push(Bytes::copy_from_slice(piece)));
        rest = later;
    }
    through.extend(stream.finish());
    assert!(whole == through);
}

/// A file of Tekton's: whatever an import gives is read again, says the same a
/// second time, and holds nothing that a terminal would obey.
pub(crate) fn tekton(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for document in Document::parse_all(text).into_iter().flatten() {
        assert!(kubernetes_only(&document).iter().all(|only| !only.instead.is_empty()));
    }
    let tasks =
        if text.contains(": x ") { [("x".to_owned(), "x".to_owned())].into() } else { BTreeMap::new() };
    let request = ImportRequest { text, pipeline: None, tasks };
    let import = match import(&request) {
        Ok(import) => import,
        Err(ImportError::TooLarge { bytes }) => return assert!(bytes > 4 << 20),
        Err(_) => return,
    };
    assert!(Document::parse(&import.pipeline).is_ok());
    assert!(!import.pipeline.contains(|c: char| c.is_control() && c != '\n'));
    assert_eq!(cofferdam::tekton::import(&request).map(|again| again.pipeline).ok(), Some(import.pipeline));
}
