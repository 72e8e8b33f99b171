//! The results of a TaskRun: held against its manifest when it ends, kept in the
//! store where they are large, and read from there when they are used.

use std::collections::BTreeMap;

use cofferdam_manifest::Value;
use cofferdam_registry::Digest;

use crate::event::{StoredResult, TaskEnd};
use crate::model::{
    MAX_CARRIED_RESULT, MAX_CARRIED_RESULTS, MAX_PARAM_BYTES, MAX_RESULT_BYTES, RunReason, TaskRunReason,
};
use crate::plan::TaskWork;
use crate::sandbox::{Exit, not_kept};
use crate::store::{Store, StoreError};

use super::flow::Absence;

/// Keeps of a task that failed the results it had come to, if they are such as
/// its manifest names.
pub(super) fn settle_failed(work: &TaskWork, exit: Exit) -> Exit {
    match check_returned(work, &exit.results) {
        Ok(()) => exit,
        Err((_, why)) => Exit { message: Some(not_kept(&why)), results: BTreeMap::new(), ..exit },
    }
}

/// Holds the results of a task that succeeded against its manifest: all of them
/// must be there.
pub(super) fn check_results(
    work: &TaskWork,
    results: &BTreeMap<String, Value>,
) -> Result<(), (TaskRunReason, String)> {
    check_returned(work, results)?;
    let specs = &work.component.manifest.spec.results;
    match specs.iter().find(|spec| !results.contains_key(spec.name.as_str())) {
        Some(spec) => {
            let message = format!("it returned no result `{}`", spec.name);
            Err((TaskRunReason::InvalidTaskResults, message))
        }
        None => Ok(()),
    }
}

/// Holds the results a task returned against its manifest: names, types, bytes.
fn check_returned(work: &TaskWork, results: &BTreeMap<String, Value>) -> Result<(), (TaskRunReason, String)> {
    let size: usize = results.iter().map(|(name, value)| name.len() + value.bytes()).sum();
    let memory = usize::try_from(work.limits.memory.bytes()).unwrap_or(usize::MAX);
    let most = MAX_RESULT_BYTES.min(memory);
    if size > most {
        let message = format!("its results have {size} bytes; at most {most} are kept");
        return Err((TaskRunReason::TaskRunResultLargerThanAllowedLimit, message));
    }
    let invalid = |message: String| Err((TaskRunReason::InvalidTaskResults, message));
    let specs = &work.component.manifest.spec.results;
    for (name, value) in results {
        let Some(spec) = specs.iter().find(|spec| spec.name.as_str() == name) else {
            let name = name.escape_debug();
            return invalid(format!("it returned `{name}`, which its manifest does not name"));
        };
        if value.value_type() != spec.value_type {
            let expected = spec.value_type.as_str();
            return invalid(format!("its result `{name}` is not of type {expected}"));
        }
    }
    Ok(())
}

/// Moves the results that are too large to be carried along into the store.
pub(super) fn spill(
    store: &Store,
    results: &mut BTreeMap<String, Value>,
) -> Result<BTreeMap<String, StoredResult>, StoreError> {
    let (mut carried, mut stored) = (0, BTreeMap::new());
    let all = std::mem::take(results);
    for (name, value) in all {
        let bytes = value.bytes();
        if bytes <= MAX_CARRIED_RESULT && carried + bytes <= MAX_CARRIED_RESULTS {
            carried += bytes;
            results.insert(name, value);
            continue;
        }
        // Strings and maps with string keys always serialise.
        let json = serde_json::to_vec(&value).unwrap_or_default();
        let (digest, bytes) = (store.put(&json)?, json.len() as u64);
        stored.insert(name, StoredResult { value_type: value.value_type(), digest, bytes });
    }
    Ok(stored)
}

/// The value of one result of a TaskRun that ended; nothing, where there is none.
pub(super) fn value_of(end: &TaskEnd, name: &str, store: &Store) -> Result<Option<Value>, Absence> {
    if let Some(value) = end.results.get(name) {
        return Ok(Some(value.clone()));
    }
    end.stored_results.get(name).map(|stored| read(stored, (&end.task, name), store)).transpose()
}

/// Whether a TaskRun that ended has a result.
pub(super) fn has_result(end: &TaskEnd, name: &str) -> bool {
    end.results.contains_key(name) || end.stored_results.contains_key(name)
}

fn read(stored: &StoredResult, (task, name): (&str, &str), store: &Store) -> Result<Value, Absence> {
    let StoredResult { value_type, digest, bytes } = *stored;
    if bytes > MAX_PARAM_BYTES as u64 {
        let why = format!(
            "the result `{name}` of `{task}` has {bytes} bytes, and params at most {MAX_PARAM_BYTES}; \
             what is as large is an output of a task, and an input of the next one"
        );
        return Err(Absence::Wrong(RunReason::InvalidParamValue, why));
    }
    let lost = |why: String| {
        let why = format!("the result `{name}` of `{task}` is kept in the store, and not to be had: {why}");
        Absence::Wrong(RunReason::InvalidTaskResultReference, why)
    };
    let bytes = store.read(digest).map_err(|error| lost(error.to_string()))?;
    let value: Option<Value> = serde_json::from_slice(&bytes).ok();
    value
        .filter(|value| value.value_type() == value_type)
        .ok_or_else(|| lost(format!("{digest} is no such value")))
}

/// Checks that a stored result is there, byte for byte.
///
/// # Errors
/// Why it is not.
pub(super) fn check_stored(stored: &StoredResult, store: &Store) -> Result<Digest, String> {
    let found = store.check(stored.digest).map_err(|error| error.to_string())?;
    if found == stored.bytes {
        Ok(stored.digest)
    } else {
        Err("it has another size than it was given".to_owned())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]
    use cofferdam_manifest::ValueType;

    use super::*;

    fn text(bytes: usize) -> Value {
        Value::Text("x".repeat(bytes))
    }

    #[test]
    fn each_result_up_to_a_mebibyte_is_carried_and_larger_ones_are_stored() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        let of = |sizes: &[(&str, usize)]| -> BTreeMap<String, Value> {
            sizes.iter().map(|(name, bytes)| ((*name).to_owned(), text(*bytes))).collect()
        };
        const MIB: usize = 1 << 20;
        let all = of(&[("a", MIB), ("b", MIB + 1), ("c", MIB), ("d", MIB), ("e", MIB), ("f", 1)]);
        let mut results = all.clone();
        let stored = spill(&store, &mut results).unwrap();
        assert_eq!(results.keys().map(String::as_str).collect::<Vec<_>>(), ["a", "c", "d", "e"]);
        assert_eq!(stored.keys().map(String::as_str).collect::<Vec<_>>(), ["b", "f"]);
        for (name, stored) in stored {
            assert_eq!(stored.value_type, ValueType::String);
            assert_eq!(check_stored(&stored, &store), Ok(stored.digest));
            assert_eq!(read(&stored, ("t", &name), &store).unwrap(), all[&name]);
        }
    }

    #[test]
    fn what_is_too_large_for_a_param_or_is_gone_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        let mut results = BTreeMap::from([("r".to_owned(), text(MAX_PARAM_BYTES))]);
        let stored = spill(&store, &mut results).unwrap()["r"];
        let why = read(&stored, ("t", "r"), &store).unwrap_err().why();
        assert!(why.contains("an output of a task"), "{why}");
        let gone = StoredResult { digest: Digest::of(b"gone"), bytes: 4, ..stored };
        let why = read(&gone, ("t", "r"), &store).unwrap_err().why();
        assert!(why.contains("not to be had"), "{why}");
        assert!(check_stored(&StoredResult { bytes: 1, ..stored }, &store).is_err());
        let other = StoredResult { digest: store.put(b"[]").unwrap(), bytes: 2, ..stored };
        assert!(read(&other, ("t", "r"), &store).is_err());
    }
}
