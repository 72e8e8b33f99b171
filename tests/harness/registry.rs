//! A registry on this machine that speaks the distribution-spec, and that a test
//! can make fail: pull, push in chunks or whole, mount, tags, deletion, and the
//! referrers API unless it is turned off.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use cofferdam_registry::Digest;
use serde_json::{Value, json};

use super::server::{Authority, Received, Server, reply};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Answers a request in the registry's place; `Ok(false)` leaves it to the
/// registry, an error ends the connection.
type Fault = dyn Fn(&Received, &mut dyn Write) -> io::Result<bool> + Send + Sync;

/// A registry that is gone when it is dropped.
pub(crate) struct TestRegistry {
    pub(crate) server: Server,
    contents: Arc<Mutex<Contents>>,
    fault: Arc<Mutex<Arc<Fault>>>,
}

#[derive(Default)]
struct Contents {
    referrers: bool,
    lists_configs: bool,
    repositories: BTreeMap<String, Repository>,
    uploads: BTreeMap<String, Vec<u8>>,
}

#[derive(Default)]
struct Repository {
    blobs: BTreeMap<String, Vec<u8>>,
    manifests: BTreeMap<String, (String, Vec<u8>)>,
    tags: BTreeMap<String, String>,
}

/// What is answered: status, headers, body.
struct Answer(u16, Vec<(&'static str, String)>, Vec<u8>);

impl TestRegistry {
    pub(crate) fn plain() -> Self {
        Self::start(|handler| Server::plain(handler))
    }

    pub(crate) fn tls(authority: &Authority, name: &str) -> Self {
        Self::start(|handler| Server::tls(authority, name, handler))
    }

    fn start(serve: impl FnOnce(Box<super::server::Handler>) -> Server) -> Self {
        let contents = Arc::new(Mutex::new(Contents { referrers: true, ..Contents::default() }));
        let fault: Arc<Mutex<Arc<Fault>>> = Arc::new(Mutex::new(Arc::new(|_, _| Ok(false))));
        let (shared, faults) = (Arc::clone(&contents), Arc::clone(&fault));
        let server = serve(Box::new(move |received, out| {
            let fault = Arc::clone(&faults.lock().unwrap());
            if fault(received, out)? {
                return Ok(());
            }
            let Answer(status, headers, body) = shared.lock().unwrap().answer(received);
            let headers: Vec<(&str, &str)> =
                headers.iter().map(|(name, text)| (*name, text.as_str())).collect();
            if received.method == "HEAD" {
                let headers: String =
                    headers.iter().map(|(name, text)| format!("{name}: {text}\r\n")).collect();
                return write!(out, "HTTP/1.1 {status} x\r\n{headers}content-length: {}\r\n\r\n", body.len());
            }
            reply(out, status, &headers, body)
        }));
        Self { server, contents, fault }
    }

    /// The registry as it is named.
    pub(crate) fn host(&self) -> String {
        format!("localhost:{}", self.server.port())
    }

    /// Like registries before distribution-spec 1.1.
    pub(crate) fn without_referrers(self) -> Self {
        self.contents.lock().unwrap().referrers = false;
        self
    }

    /// Like go-containerregistry's: the list of referrers gives the type of an
    /// artifact's config for that of the artifact.
    pub(crate) fn listing_types_of_configs(self) -> Self {
        self.contents.lock().unwrap().lists_configs = true;
        self
    }

    /// From now on this is asked first.
    pub(crate) fn fails(
        &self,
        fault: impl Fn(&Received, &mut dyn Write) -> io::Result<bool> + Send + Sync + 'static,
    ) {
        *self.fault.lock().unwrap() = Arc::new(fault);
    }

    /// The document under a tag or a digest.
    pub(crate) fn manifest(&self, repository: &str, name: &str) -> Value {
        let contents = self.contents.lock().unwrap();
        let repository = &contents.repositories[repository];
        let digest = repository.tags.get(name).map_or(name, String::as_str);
        serde_json::from_slice(&repository.manifests[digest].1).unwrap()
    }

    /// Puts a document there, as somebody else would; gives its digest.
    pub(crate) fn put(&self, repository: &str, tag: &str, media_type: &str, document: &Value) -> String {
        let bytes = serde_json::to_vec(document).unwrap();
        let digest = Digest::of(&bytes).to_string();
        let mut contents = self.contents.lock().unwrap();
        let repository = contents.repositories.entry(repository.to_owned()).or_default();
        repository.manifests.insert(digest.clone(), (media_type.to_owned(), bytes));
        repository.tags.insert(tag.to_owned(), digest.clone());
        digest
    }

    /// Puts a blob there; gives its descriptor.
    pub(crate) fn put_blob(&self, repository: &str, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes).to_string();
        let mut contents = self.contents.lock().unwrap();
        let repository = contents.repositories.entry(repository.to_owned()).or_default();
        repository.blobs.insert(digest.clone(), bytes.to_vec());
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    }

    /// The bytes of a blob that a descriptor names.
    pub(crate) fn blob(&self, repository: &str, descriptor: &Value) -> Vec<u8> {
        let contents = self.contents.lock().unwrap();
        contents.repositories[repository].blobs[descriptor["digest"].as_str().unwrap()].clone()
    }

    /// Loses the bundles of a repository that say that they claim something.
    pub(crate) fn forget_bundles(&self, repository: &str, predicate_type: &str) {
        let mut contents = self.contents.lock().unwrap();
        let manifests = &mut contents.repositories.get_mut(repository).unwrap().manifests;
        let before = manifests.len();
        manifests.retain(|_, (_, bytes)| {
            let document: Value = serde_json::from_slice(bytes).unwrap();
            document["annotations"]["dev.sigstore.bundle.predicateType"] != predicate_type
        });
        assert!(manifests.len() < before, "there is none of {predicate_type}");
    }

    /// The digests of the bundles of a repository that say that they claim something.
    pub(crate) fn bundles_of(&self, repository: &str, predicate_type: &str) -> Vec<String> {
        let contents = self.contents.lock().unwrap();
        let claims = |bytes: &[u8]| {
            let document: Value = serde_json::from_slice(bytes).unwrap();
            document["annotations"]["dev.sigstore.bundle.predicateType"] == predicate_type
        };
        let manifests = contents.repositories[repository].manifests.iter();
        manifests.filter(|(_, (_, bytes))| claims(bytes)).map(|(digest, _)| digest.clone()).collect()
    }

    /// Changes the bytes of a blob, and leaves its name.
    pub(crate) fn corrupt(&self, repository: &str, digest: &str) {
        let mut contents = self.contents.lock().unwrap();
        let blob = contents.repositories.get_mut(repository).unwrap().blobs.get_mut(digest).unwrap();
        let last = blob.last_mut().unwrap();
        *last = !*last;
    }
}

impl Contents {
    fn answer(&mut self, received: &Received) -> Answer {
        let (path, query) = received.target.split_once('?').unwrap_or((&received.target, ""));
        let query: BTreeMap<String, String> =
            url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let Some(path) = path.strip_prefix("/v2/") else { return refused(404, "UNSUPPORTED") };
        if path.is_empty() {
            return Answer(200, vec![("content-type", "application/json".to_owned())], b"{}".to_vec());
        }
        let method = if received.method == "HEAD" { "GET" } else { &received.method };
        for (part, kind) in [
            ("/blobs/uploads/", "uploads"),
            ("/blobs/", "blobs"),
            ("/manifests/", "manifests"),
            ("/tags/", "tags"),
            ("/referrers/", "referrers"),
        ] {
            let Some((repository, name)) = path.split_once(part) else { continue };
            if repository.split('/').any(|part| {
                part.is_empty()
                    || part.contains(|c: char| !"abcdefghijklmnopqrstuvwxyz0123456789._-".contains(c))
            }) {
                return refused(400, "NAME_INVALID");
            }
            return match (method, kind) {
                ("POST", "uploads") => self.begin(repository, &query, received),
                ("GET", "uploads") => self.progress(repository, name),
                ("PATCH", "uploads") => self.append(repository, name, received),
                ("PUT", "uploads") => self.finish(repository, name, &query, received),
                ("DELETE", "uploads") => self.cancel(name),
                ("GET", "blobs") => self.blob(repository, name, received),
                ("GET", "manifests") => self.document(repository, name),
                ("PUT", "manifests") => self.store(repository, name, received),
                ("DELETE", "manifests" | "blobs") => self.delete(repository, name, kind),
                ("GET", "tags") => self.list(repository, &query),
                ("GET", "referrers") if self.referrers => self.referring(repository, name, &query),
                _ => refused(404, "UNSUPPORTED"),
            };
        }
        refused(404, "NAME_UNKNOWN")
    }

    fn begin(&mut self, repository: &str, query: &BTreeMap<String, String>, received: &Received) -> Answer {
        if let (Some(digest), Some(from)) = (query.get("mount"), query.get("from"))
            && let Some(blob) = self.repositories.get(from).and_then(|from| from.blobs.get(digest)).cloned()
        {
            self.repositories.entry(repository.to_owned()).or_default().blobs.insert(digest.clone(), blob);
            return created(repository, "blobs", digest);
        }
        if let Some(digest) = query.get("digest") {
            return self.keep(repository, digest, received.body.clone());
        }
        let id = format!("upload-{}", received.number);
        self.uploads.insert(id.clone(), Vec::new());
        accepted(repository, &id, 0)
    }

    fn progress(&mut self, repository: &str, id: &str) -> Answer {
        let Some(upload) = self.uploads.get(id) else { return refused(404, "BLOB_UPLOAD_UNKNOWN") };
        let Answer(_, headers, _) = accepted(repository, id, upload.len());
        Answer(204, headers, Vec::new())
    }

    fn append(&mut self, repository: &str, id: &str, received: &Received) -> Answer {
        let Some(upload) = self.uploads.get_mut(id) else { return refused(404, "BLOB_UPLOAD_UNKNOWN") };
        if !goes_on(upload, received) {
            return refused(416, "BLOB_UPLOAD_INVALID");
        }
        upload.extend_from_slice(&received.body);
        let length = upload.len();
        accepted(repository, id, length)
    }

    fn finish(
        &mut self,
        repository: &str,
        id: &str,
        query: &BTreeMap<String, String>,
        received: &Received,
    ) -> Answer {
        let Some(upload) = self.uploads.get(id) else { return refused(404, "BLOB_UPLOAD_UNKNOWN") };
        if !goes_on(upload, received) {
            return refused(416, "BLOB_UPLOAD_INVALID");
        }
        let mut blob = self.uploads.remove(id).unwrap();
        blob.extend_from_slice(&received.body);
        self.keep(repository, query.get("digest").map_or("", String::as_str), blob)
    }

    fn cancel(&mut self, id: &str) -> Answer {
        match self.uploads.remove(id) {
            Some(_) => Answer(204, Vec::new(), Vec::new()),
            None => refused(404, "BLOB_UPLOAD_UNKNOWN"),
        }
    }

    fn keep(&mut self, repository: &str, digest: &str, blob: Vec<u8>) -> Answer {
        if Digest::of(&blob).to_string() != digest {
            return refused(400, "DIGEST_INVALID");
        }
        self.repositories.entry(repository.to_owned()).or_default().blobs.insert(digest.to_owned(), blob);
        created(repository, "blobs", digest)
    }

    fn blob(&self, repository: &str, digest: &str, received: &Received) -> Answer {
        let blob = self.repositories.get(repository).and_then(|repository| repository.blobs.get(digest));
        let Some(blob) = blob else { return refused(404, "BLOB_UNKNOWN") };
        let headers = vec![
            ("docker-content-digest", digest.to_owned()),
            ("content-type", "application/octet-stream".to_owned()),
        ];
        let range = received.header("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let Some((first, last)) = range else { return Answer(200, headers, blob.clone()) };
        let end = blob.len().saturating_sub(1);
        let (first, last) = match (first.parse::<usize>(), last.parse::<usize>()) {
            (Ok(first), last) => (first, last.unwrap_or(end).min(end)),
            // So many bytes from the end.
            (Err(_), Ok(count)) => (blob.len().saturating_sub(count), end),
            (Err(_), Err(_)) => (usize::MAX, end),
        };
        if first > last || blob.is_empty() {
            return refused(416, "UNSUPPORTED");
        }
        let range = format!("bytes {first}-{last}/{}", blob.len());
        Answer(206, [headers, vec![("content-range", range)]].concat(), blob[first..=last].to_vec())
    }

    fn document(&self, repository: &str, name: &str) -> Answer {
        let Some(repository) = self.repositories.get(repository) else { return refused(404, "NAME_UNKNOWN") };
        let digest = repository.tags.get(name).map_or(name, String::as_str);
        let Some((kind, bytes)) = repository.manifests.get(digest) else {
            return refused(404, "MANIFEST_UNKNOWN");
        };
        let headers = vec![("content-type", kind.clone()), ("docker-content-digest", digest.to_owned())];
        Answer(200, headers, bytes.clone())
    }

    fn store(&mut self, repository: &str, name: &str, received: &Received) -> Answer {
        let digest = Digest::of(&received.body).to_string();
        if name.contains(':') && name != digest {
            return refused(400, "DIGEST_INVALID");
        }
        let Ok(document) = serde_json::from_slice::<Value>(&received.body) else {
            return refused(400, "MANIFEST_INVALID");
        };
        let kind = received.header("content-type").unwrap_or_default().to_owned();
        let found = self.repositories.entry(repository.to_owned()).or_default();
        found.manifests.insert(digest.clone(), (kind, received.body.clone()));
        if !name.contains(':') {
            found.tags.insert(name.to_owned(), digest.clone());
        }
        let mut answer = created(repository, "manifests", &digest);
        if let Some(subject) = document["subject"]["digest"].as_str().filter(|_| self.referrers) {
            answer.1.push(("oci-subject", subject.to_owned()));
        }
        answer
    }

    fn delete(&mut self, repository: &str, name: &str, kind: &str) -> Answer {
        let Some(found) = self.repositories.get_mut(repository) else { return refused(404, "NAME_UNKNOWN") };
        let there = match kind {
            "blobs" => found.blobs.remove(name).is_some(),
            _ if name.contains(':') => {
                found.tags.retain(|_, digest| digest != name);
                found.manifests.remove(name).is_some()
            }
            _ => found.tags.remove(name).is_some(),
        };
        if there { Answer(202, Vec::new(), Vec::new()) } else { refused(404, "MANIFEST_UNKNOWN") }
    }

    fn list(&self, repository: &str, query: &BTreeMap<String, String>) -> Answer {
        let Some(found) = self.repositories.get(repository) else { return refused(404, "NAME_UNKNOWN") };
        let last = query.get("last").map_or("", String::as_str);
        let count = query.get("n").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
        let mut after = found.tags.keys().filter(|tag| tag.as_str() > last);
        let tags: Vec<&String> = after.by_ref().take(count).collect();
        let mut answer = json_answer("application/json", &json!({ "name": repository, "tags": tags }));
        if let (Some(last), Some(_)) = (tags.last(), after.next()) {
            let next = format!("</v2/{repository}/tags/list?n={count}&last={last}>; rel=\"next\"");
            answer.1.push(("link", next));
        }
        answer
    }

    fn referring(&self, repository: &str, subject: &str, query: &BTreeMap<String, String>) -> Answer {
        if subject.parse::<Digest>().is_err() {
            return refused(400, "DIGEST_INVALID");
        }
        let wanted = query.get("artifactType");
        let manifests = self.repositories.get(repository).map(|found| &found.manifests);
        let mut list = Vec::new();
        for (digest, (kind, bytes)) in manifests.into_iter().flatten() {
            let document: Value = serde_json::from_slice(bytes).unwrap();
            let own = document["artifactType"].as_str().filter(|_| !self.lists_configs);
            let artifact = own.or(document["config"]["mediaType"].as_str());
            if document["subject"]["digest"] == subject
                && wanted.is_none_or(|wanted| artifact == Some(wanted))
            {
                list.push(json!({
                    "mediaType": kind, "digest": digest, "size": bytes.len(),
                    "artifactType": artifact, "annotations": document["annotations"],
                }));
            }
        }
        let mut answer =
            json_answer(INDEX, &json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": list }));
        if wanted.is_some() {
            answer.1.push(("oci-filters-applied", "artifactType".to_owned()));
        }
        answer
    }
}

/// Whether what arrived begins where an upload ends.
fn goes_on(upload: &[u8], received: &Received) -> bool {
    let first = received.header("content-range").and_then(|range| range.split('-').next()?.parse().ok());
    first.is_none_or(|first: usize| first == upload.len())
}

fn json_answer(kind: &str, document: &Value) -> Answer {
    Answer(200, vec![("content-type", kind.to_owned())], serde_json::to_vec(document).unwrap())
}

fn refused(status: u16, code: &str) -> Answer {
    let body = json!({ "errors": [{ "code": code, "message": "no" }] });
    Answer(status, vec![("content-type", "application/json".to_owned())], serde_json::to_vec(&body).unwrap())
}

fn created(repository: &str, kind: &str, digest: &str) -> Answer {
    let location = format!("/v2/{repository}/{kind}/{digest}");
    Answer(201, vec![("location", location), ("docker-content-digest", digest.to_owned())], Vec::new())
}

fn accepted(repository: &str, id: &str, length: usize) -> Answer {
    let location = format!("/v2/{repository}/blobs/uploads/{id}");
    let range = format!("0-{}", length.saturating_sub(1));
    Answer(
        202,
        vec![("location", location), ("range", range), ("docker-upload-uuid", id.to_owned())],
        Vec::new(),
    )
}
