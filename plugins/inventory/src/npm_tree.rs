//! Who gets which package in a tree of `node_modules`: the look-up that Node
//! does at run time (Node.js, "Loading from node_modules folders"), on paths.

use std::collections::{BTreeMap, BTreeSet};

use crate::npm_lock::Entry;

/// The notices kept of one file: a hostile one could have a million.
const MOST_NOTICES: usize = 20;

/// The entries of one lock file, and the packages they became.
#[derive(Debug)]
pub(crate) struct NpmTree<'a> {
    /// By path, links too.
    pub(crate) entries: &'a BTreeMap<&'a str, Entry>,
    /// Indices of packages, by path.
    pub(crate) indices: &'a BTreeMap<&'a str, usize>,
}

/// The name a path is installed under; absent for the root and for workspaces.
pub(crate) fn installed_name(path: &str) -> Option<&str> {
    let marker = "node_modules/";
    let start = path.rfind(marker)?;
    let bounded = start == 0 || path.get(..start).is_some_and(|before| before.ends_with('/'));
    bounded.then(|| path.get(start + marker.len()..)).flatten()
}

impl NpmTree<'_> {
    /// The packages that the one at `path` needs, by index.
    pub(crate) fn needs(&self, path: &str, notices: &mut Vec<String>) -> BTreeSet<usize> {
        let Some(entry) = self.entries.get(path) else { return BTreeSet::new() };
        let mut needs = BTreeSet::new();
        for name in entry.dependencies.keys() {
            match self.find(path, name) {
                Some(index) => {
                    needs.insert(index);
                }
                None if entry.optional_dependencies.contains_key(name) => {}
                None if notices.len() < MOST_NOTICES => {
                    notices.push(format!("`{path}` depends on `{name}`, which the file does not hold"));
                }
                None => {}
            }
        }
        // Any of these may be missing: nobody asked for them, or they do not fit.
        let own = installed_name(path).is_none();
        let development = own.then(|| entry.dev_dependencies.keys()).into_iter().flatten();
        let rest =
            entry.optional_dependencies.keys().chain(entry.peer_dependencies.keys()).chain(development);
        needs.extend(rest.filter_map(|name| self.find(path, name)));
        needs
    }

    /// The package that `name` means at `path`: the nearest `node_modules`
    /// upwards that has it.
    fn find(&self, path: &str, name: &str) -> Option<usize> {
        let mut at = path;
        loop {
            // A directory called node_modules has no node_modules of its own.
            if at != "node_modules" && !at.ends_with("/node_modules") {
                let below = if at.is_empty() { String::new() } else { format!("{at}/") };
                let found = self.at(&format!("{below}node_modules/{name}"));
                if found.is_some() {
                    return found;
                }
            }
            if at.is_empty() {
                return None;
            }
            at = at.rfind('/').and_then(|slash| at.get(..slash)).unwrap_or("");
        }
    }

    /// The package at a path, or the workspace that a link there leads to.
    fn at(&self, path: &str) -> Option<usize> {
        let entry = self.entries.get(path)?;
        let path = if entry.link { entry.resolved.as_deref()? } else { path };
        self.indices.get(path).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_what_follows_the_last_node_modules() {
        for (path, name) in [
            ("", None),
            ("packages/a", None),
            ("my_node_modules/a", None),
            ("node_modules/a", Some("a")),
            ("node_modules/a/node_modules/@s/b", Some("@s/b")),
            ("packages/a/node_modules/b", Some("b")),
        ] {
            assert_eq!(installed_name(path), name, "{path}");
        }
    }
}
