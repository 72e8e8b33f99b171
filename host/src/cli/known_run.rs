//! A run that is known as a whole. Where everything that was looked at to plan an
//! earlier run is as it was, the source is the same, and that run found every
//! outcome in the cache, the same plan would be made now, and the same outcomes
//! found: so neither is done. The new run has one event for all of its tasks, and
//! is attested by naming the earlier one.
//!
//! What is kept for that is a file for each way of asking for a run, which carries
//! a MAC under the key of the caches. It only says what to look for: without it,
//! or where anything is other than it says, the run is planned as any other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use cofferdam_manifest::Value;
use cofferdam_registry::{Digest, Sight};
use hmac::Mac as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::commands::{PipelineArgs, RunArgs};
use super::execute::{Given, Ran, no_events, random};
use super::failure::Failure;
use super::home::Home;
use super::opening::History;
use super::plan::{Grounds, overrides};
use super::printer::Printer;
use super::run::{Reading, acquire};
use super::run_directory::RunDirectory;
use crate::engine::Platform;
use crate::event::{Fact, Journal, JournalError, Recorder, RunRecord, RunReuse, RunStart, Source};
use crate::model::{Overrides, RunId, RunReason};
use crate::provenance::{Attestor, PREDICATE_TYPE};
use crate::report::MANY_TASKS;
use crate::store::{CacheKey, MAC_BYTES, Store};

/// Begins what is authenticated: no other use of the key begins so.
const PURPOSE: &[u8] = b"cofferdam known run 1\n";
/// A larger file is not one that was kept.
const MAX_KEPT: u64 = 64 << 20;

/// How a run is asked for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Asked<'a> {
    version: &'static str,
    platform: String,
    home: String,
    file: &'a Path,
    /// The same, wherever it was asked for.
    whole: PathBuf,
    params: &'a [String],
    require_trusted: bool,
    locked: bool,
    overrides: Overrides,
}

impl Asked<'_> {
    /// The name under which it is kept what is known of it; nothing, where it
    /// cannot be told what is asked for.
    fn name(args: &PipelineArgs, home: &Home) -> Option<Digest> {
        let asked = Asked {
            version: env!("CARGO_PKG_VERSION"),
            platform: Platform::here("").name,
            home: format!("{home:?}"),
            file: &args.file,
            whole: std::path::absolute(&args.file).ok()?,
            params: &args.params,
            require_trusted: args.require_trusted,
            locked: args.locked,
            overrides: overrides(args).ok()?,
        };
        Some(Digest::of(&serde_json::to_vec(&asked).ok()?))
    }
}

/// What is kept of a run for those that are given the same.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Known {
    /// As that run began.
    start: RunStart,
    source: Option<Source>,
    /// Whether any task reads the source.
    uses_source: bool,
    reason: RunReason,
    message: String,
    results: BTreeMap<String, Value>,
    reuse: RunReuse,
    /// The digest of what the journal keeps of the bundle that attests it.
    kept: Digest,
    /// The TaskRuns that made what its tasks have, each with the bundle that
    /// attests it.
    makers: BTreeSet<(RunId, String, Digest)>,
    /// What is in the store beside outputs: results, and lists of what was read.
    blobs: BTreeSet<Digest>,
    /// What was looked at to plan it.
    sights: Vec<Sight>,
    /// Since and until when the trust rules decide so.
    steady: (Option<Timestamp>, Option<Timestamp>),
}

impl Known {
    /// What may be kept of a run; nothing, unless each of its outcomes was known,
    /// and it would be planned the same way again.
    fn of(record: &RunRecord, uses_source: bool, grounds: Grounds, home: &Home) -> Option<Self> {
        let Grounds { sights, steady, asked } = grounds;
        let reuse = RunReuse::of(record, PREDICATE_TYPE).filter(|_| !asked)?;
        let (_, reason, message) = record.finished.clone()?;
        let tasks = || record.tasks.values();
        let trusts = tasks().filter_map(|task| Some(&task.start.as_ref()?.1.identity.trust));
        let mut trusts = trusts.chain(record.start.pipelines.iter().map(|pipeline| &pipeline.trust));
        // Of trust that ends it is told in every run how long it lasts.
        if trusts.any(|trust| trust.expires_on().is_some()) {
            return None;
        }
        let ends = || tasks().filter_map(|task| Some(&task.end.as_ref()?.1));
        let blobs = ends().flat_map(|end| {
            let results = end.stored_results.values().map(|stored| stored.digest);
            results.chain(end.reads.values().filter_map(|reads| reads.list))
        });
        let makers = ends().filter_map(|end| end.reused.as_ref());
        let makers = makers.map(|reuse| (reuse.run.clone(), reuse.task.clone(), reuse.attestation));
        let journal = home.journal().ok()?;
        let kept = journal.kept_digest(&reuse.run, PREDICATE_TYPE).ok()??;
        if journal.bundle_digest(&reuse.run, "", PREDICATE_TYPE).ok()? != Some(reuse.attestation) {
            return None;
        }
        Some(Self {
            start: record.start.clone(),
            source: record.source.clone(),
            uses_source,
            reason,
            message,
            results: record.results.clone(),
            reuse,
            kept,
            makers: makers.collect(),
            blobs: blobs.collect(),
            sights,
            steady,
        })
    }

    /// Whether the run would be planned the same way now.
    fn would_be_planned_so(&self) -> bool {
        let (since, until) = self.steady;
        let now = Timestamp::now();
        since.is_none_or(|since| since <= now)
            && until.is_none_or(|until| now < until)
            && self.sights.iter().all(Sight::is_as_it_was)
    }

    fn is_given(&self, given: &Given) -> bool {
        (&self.start.file, self.start.file_in_source, self.start.source_date_epoch, &self.source)
            == (&given.file, given.file_in_source, given.epoch, &given.source)
    }

    /// Whether all that its tasks made is in the store, every byte of it.
    fn is_kept_in(&self, store: &Store) -> bool {
        let trees: BTreeMap<Digest, _> =
            self.reuse.outputs.values().flatten().map(|(_, tree)| (tree.digest, tree)).collect();
        let sound = |tree: &&crate::store::Tree| {
            let found = store.check_tree(tree.digest);
            found.is_ok_and(|found| (found.files, found.bytes) == (tree.files, tree.bytes))
        };
        trees.values().all(sound) && self.blobs.iter().all(|blob| store.check(*blob).is_ok())
    }

    /// Whether its events end as they did, and every TaskRun that made something
    /// is attested as it was.
    fn is_attested_in(&self, journal: &Journal) -> Result<bool, JournalError> {
        journal.hold();
        let mut there = journal.is_there(&self.reuse, self.kept, PREDICATE_TYPE)?;
        for (run, task, bundle) in &self.makers {
            there = there && journal.bundle_digest(run, task, PREDICATE_TYPE)? == Some(*bundle);
        }
        journal.let_go();
        Ok(there)
    }

    /// The run that tells of its tasks, every event of it looked at; nothing where
    /// it is not as it was.
    fn tasks(&self, journal: &Journal) -> Result<Option<RunRecord>, JournalError> {
        let RunReuse { run, attestation, .. } = &self.reuse;
        if journal.bundle_digest(run, "", PREDICATE_TYPE)? != Some(*attestation) {
            return Ok(None);
        }
        match journal.offering(&self.reuse) {
            Ok(other) => Ok(Some(other)),
            Err(JournalError::Changed { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Keeps what is known of a run that has ended, if all of it was known. To lose
/// it costs time alone.
pub(crate) fn keep(args: &RunArgs, home: &Home, ran: &Ran, (source, grounds): (bool, Grounds)) {
    let kept = || {
        let known = Known::of(&ran.record, source, grounds, home).filter(|_| !ran.by_its_name)?;
        let name = Asked::name(&args.pipeline, home)?;
        let text = serde_json::to_vec(&known).ok()?;
        let mac = mac(home, name, &text)?.finalize().into_bytes();
        let directory = home.known_runs();
        fs::create_dir_all(&directory).ok()?;
        let mut file = NamedTempFile::new_in(&directory).ok()?;
        file.write_all(&mac).and_then(|()| file.write_all(&text)).ok()?;
        file.persist(directory.join(name.to_hex())).ok()
    };
    if kept().is_none() {
        tracing::debug!("nothing is kept of the run as a whole");
    }
}

/// Forgets what is known of runs as a whole: each is planned as any other again.
pub(crate) fn forget(home: &Home) {
    let known = home.known_runs();
    // Out of the way first: others may be adding to it.
    let gone = known.with_extension(hex::encode(random::<8>().unwrap_or_default()));
    match fs::rename(&known, &gone) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => tracing::warn!("what is known of runs as a whole cannot be forgotten: {error}"),
        Ok(()) => drop(fs::remove_dir_all(&gone)),
    }
}

fn find(name: Digest, home: &Home) -> Option<Known> {
    let path = home.known_runs().join(name.to_hex());
    let bytes = super::read_file(&path, MAX_KEPT).ok()?;
    let (mac_of, text) = bytes.split_at_checked(MAC_BYTES)?;
    mac(home, name, text)?.verify_slice(mac_of).ok()?;
    // What is used stays young, and is not removed.
    let _ = File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
    serde_json::from_slice(text).ok()
}

fn mac(home: &Home, name: Digest, text: &[u8]) -> Option<hmac::Hmac<sha2::Sha256>> {
    CacheKey::load(&home.cache_key()).ok()?.mac([PURPOSE, name.as_bytes(), text])
}

/// What came of looking for a run that is known.
pub(crate) enum Recalled {
    /// It is done.
    Ran(Box<Ran>),
    /// It has to be planned as any other, and finds its journal still being opened.
    Unknown(History),
}

/// Runs what was asked for without planning it, if it is known as a whole.
/// Whatever does not fit leaves it to a run as any other, which says what is
/// wrong; what was read of the source for nothing is `taken` by that one.
/// `prepare` is called last of all before the run begins.
///
/// # Errors
/// The journal cannot be opened, or written once the run has begun; what
/// `prepare` says.
pub(crate) fn recall(
    args: &RunArgs,
    (home, store, printer): (&Home, &Store, &Printer),
    history: History,
    taken: &mut Option<(Reading, Given)>,
    prepare: impl FnOnce() -> Result<(), Failure>,
) -> Result<Recalled, Failure> {
    let mut found = || {
        let known = find(Asked::name(&args.pipeline, home)?, home)?;
        if !known.would_be_planned_so() {
            return None;
        }
        let reading = (known.uses_source, known.start.file_digest);
        let given = printer.busy("reading the source", || acquire(args, reading, store)).ok()?;
        let is_given = known.is_given(&given);
        *taken = Some((reading, given));
        if !is_given || !known.is_kept_in(store) {
            return None;
        }
        // Before others have to wait: it may take a password.
        let key = home.signing_key().ok().filter(|key| key.public().id() == known.start.builder.key)?;
        // From here on, nobody removes the run that is named.
        let id = RunId::new(&known.start.pipeline, u64::from_be_bytes(random().ok()?));
        let work = RunDirectory::create(&home.work_root(), id.as_str()).ok()?;
        Some((known, key, id, work))
    };
    // Whoever wants evidence for others wants all of it in one place.
    if args.no_cache || args.explain_cache || args.attestations.is_some() {
        return Ok(Recalled::Unknown(history));
    }
    let Some((known, key, id, work)) = found() else { return Ok(Recalled::Unknown(history)) };
    let journal = history.finish()?;
    let unknown = |journal| Ok(Recalled::Unknown(History::Open(Box::new(journal))));
    if !known.is_attested_in(&journal)? {
        return unknown(journal);
    }
    // Of many tasks, a summary tells only how many there are.
    let is_brief = !printer.prints_json() && known.reuse.task_runs + known.reuse.skipped > MANY_TASKS;
    let tasks = if is_brief && args.outputs.is_none() {
        None
    } else {
        let Some(tasks) = known.tasks(&journal)? else { return unknown(journal) };
        Some(tasks)
    };
    prepare()?;
    let Known { start, source, reason, message, results, reuse, .. } = known;
    let sinks = if args.quiet { Vec::new() } else { vec![printer.live(hex::encode(random::<16>()?)).0] };
    let recorder = Recorder::new(id, journal.into_writer()?, sinks, Timestamp::now).without_tasks();
    let recorder = Arc::new(recorder);
    let start = RunStart { uid: hex::encode(random::<16>()?), ..start };
    recorder.record(Fact::RunStarted(Box::new(start.clone())))?;
    if let Some(source) = &source {
        recorder.record(Fact::SourceAcquired(source.clone()))?;
    }
    recorder.record(Fact::RunReused(Box::new(reuse)))?;
    recorder.record(Fact::RunFinished { reason, message, hermetic: true, results })?;
    Attestor::new(&key, &recorder, start, source).run(work.path())?;
    recorder.record(Fact::RunSealed)?;
    recorder.flush()?;
    let mut record = recorder.take().ok_or_else(no_events)?;
    tasks.into_iter().for_each(|other| record.show_tasks_of(other));
    Ok(Recalled::Ran(Box::new(Ran { record, findings: BTreeMap::new(), by_its_name: false })))
}
