//! Walks two trees side by side: only what differs is visited, and only
//! directories whose digests differ are read.

use std::cmp::Ordering;
use std::path::Path;

use cofferdam_registry::Digest;

use super::tree::Node;
use super::{Entry, Store, StoreError};

/// Is told an entry that is not the same in both trees: as it is in the first,
/// and in the second. A directory that both have is told by what is in it alone.
pub(super) type Told<'t> = dyn FnMut(&Path, Option<&Entry>, Option<&Entry>) -> Result<(), StoreError> + 't;

impl Store {
    /// Visits every entry that differs, in order of paths; a directory that only
    /// one tree has before what is in it.
    ///
    /// # Errors
    /// What `told` reports, or a directory that cannot be read.
    pub(super) fn visit_differences(
        &self,
        (before, after): (Digest, Digest),
        told: &mut Told<'_>,
    ) -> Result<(), StoreError> {
        self.directories_differ((Some(before), Some(after)), Path::new(""), 0, told)
    }

    fn directories_differ(
        &self,
        (before, after): (Option<Digest>, Option<Digest>),
        path: &Path,
        depth: usize,
        told: &mut Told<'_>,
    ) -> Result<(), StoreError> {
        if before == after {
            return Ok(());
        }
        let mut before = self.in_order(before, depth)?.into_iter().peekable();
        let mut after = self.in_order(after, depth)?.into_iter().peekable();
        loop {
            let order = match (before.peek(), after.peek()) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(other)) => one.name.cmp(&other.name),
            };
            let one = if order.is_le() { before.next() } else { None };
            let other = if order.is_ge() { after.next() } else { None };
            let Some(name) = one.as_ref().or(other.as_ref()).map(|node| path.join(&node.name)) else {
                continue;
            };
            let [old, new] = [&one, &other].map(|node| node.as_ref().map(|node| &node.entry));
            if old != new {
                told(&name, old, new)?;
            }
            let [old, new] = [&one, &other].map(|node| node.as_ref().and_then(|node| node.below));
            self.directories_differ((old, new), &name, depth + 1, told)?;
        }
    }

    fn in_order(&self, directory: Option<Digest>, depth: usize) -> Result<Vec<Node>, StoreError> {
        let mut nodes = directory.map_or_else(|| Ok(Vec::new()), |digest| self.nodes(digest, depth))?;
        nodes.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(nodes)
    }
}
