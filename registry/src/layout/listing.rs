//! What a layout's index says, put in order once: whoever asks about a thousand
//! tasks reads it once, and not a thousand times.

use std::collections::{BTreeSet, HashMap};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::artifact::MAX_SIGNATURE_MANIFEST;
use crate::bundle::BUNDLE_TYPE;
use crate::digest::Digest;
use crate::document::{Descriptor, Index, Manifest, REF_NAME};
use crate::layout::{Layout, LayoutError};

/// The index of a layout as it was at one time.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) index: Index,
    by_digest: HashMap<Digest, usize>,
    by_name: HashMap<String, usize>,
    by_tag: HashMap<String, Vec<usize>>,
    attached: OnceLock<Attached>,
}

/// The manifests of bundles, by what they say themselves that they belong to.
#[derive(Debug, Default)]
pub(crate) struct Attached {
    of: HashMap<Digest, Vec<(Descriptor, Manifest)>>,
    /// What is wrong with one that cannot be read: it may belong to anything.
    pub(crate) unreadable: Option<String>,
}

/// Which file the index was read from. A layout writes another one each time.
type Stamp = (u64, u64, u64, (i64, i64), (i64, i64));

/// The last listing, for as long as the index stays the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Listings(Arc<Mutex<Option<Known>>>);

#[derive(Debug)]
struct Known {
    stamp: Stamp,
    listing: Arc<Listing>,
}

impl Listings {
    /// The listing of an index that may have been read already.
    pub(super) fn get(
        &self,
        index: &Path,
        read: impl FnOnce() -> Result<Index, LayoutError>,
    ) -> Result<Arc<Listing>, LayoutError> {
        // Taken before it is read: a change in between is another stamp.
        let stamp = stamp(index);
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(stamp), Some(known)) = (stamp, &*last)
            && stamp == known.stamp
        {
            return Ok(Arc::clone(&known.listing));
        }
        let listing = Arc::new(Listing::new(read()?));
        *last = stamp.map(|stamp| Known { stamp, listing: Arc::clone(&listing) });
        Ok(listing)
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = path.symlink_metadata().ok()?;
    Some((
        found.dev(),
        found.ino(),
        found.size(),
        (found.mtime(), found.mtime_nsec()),
        (found.ctime(), found.ctime_nsec()),
    ))
}

impl Listing {
    fn new(index: Index) -> Self {
        let (mut by_digest, mut by_name) = (HashMap::new(), HashMap::new());
        let mut by_tag: HashMap<String, Vec<usize>> = HashMap::new();
        for (place, descriptor) in index.manifests.iter().enumerate() {
            // Of several, the first is meant.
            by_digest.entry(descriptor.digest).or_insert(place);
            if let Some(name) = descriptor.annotations.get(REF_NAME) {
                let tag = name.rsplit_once(':').map_or(name.as_str(), |(_, tag)| tag);
                by_tag.entry(tag.to_owned()).or_default().push(place);
                by_name.entry(name.clone()).or_insert(place);
            }
        }
        Self { index, by_digest, by_name, by_tag, attached: OnceLock::new() }
    }

    /// The entry with a digest, or else with a name.
    pub(crate) fn entry(&self, name: &str, digest: Option<Digest>) -> Option<&Descriptor> {
        let place = match digest {
            Some(digest) => self.by_digest.get(&digest),
            None => self.by_name.get(name),
        };
        self.index.manifests.get(*place?)
    }

    /// The entries whose name ends in a tag.
    pub(crate) fn tagged(&self, tag: &str) -> impl Iterator<Item = &Descriptor> {
        let places = self.by_tag.get(tag).map(Vec::as_slice).unwrap_or_default();
        places.iter().filter_map(|place| self.index.manifests.get(*place))
    }

    /// The manifests of bundles, each read once. The subject is the manifest's own
    /// word, never that of an index.
    pub(crate) fn attached(&self, layout: &Layout) -> &Attached {
        self.attached.get_or_init(|| {
            let mut seen = BTreeSet::new();
            let mut found = Attached::default();
            for descriptor in &self.index.manifests {
                // With the size: a wrong one must not hide the entry that has the right.
                let is_bundle = descriptor.artifact_type.as_deref() == Some(BUNDLE_TYPE);
                if !is_bundle || !seen.insert((descriptor.digest, descriptor.size)) {
                    continue;
                }
                match layout.manifest(descriptor, MAX_SIGNATURE_MANIFEST) {
                    Ok(manifest) => {
                        if let Some(subject) = manifest.subject.as_ref().map(|subject| subject.digest) {
                            found.of.entry(subject).or_default().push((descriptor.clone(), manifest));
                        }
                    }
                    Err(error) => {
                        found.unreadable.get_or_insert_with(|| error.to_string());
                    }
                }
            }
            found
        })
    }
}

impl Attached {
    /// The manifests that belong to another.
    pub(crate) fn of(&self, subject: Digest) -> &[(Descriptor, Manifest)] {
        self.of.get(&subject).map(Vec::as_slice).unwrap_or_default()
    }
}
