//! Which files of its inputs a TaskRun opened, each under the path it really
//! has in the tree. Seen at the moment of opening: a task that looks only at
//! names, sizes and times has read no file.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::store::LaidOut;

/// More links than this lead nowhere, as the system sees it.
const MAX_LINKS: usize = 40;

/// What a TaskRun has opened of its inputs.
#[derive(Debug, Default)]
pub(crate) struct InputFiles {
    inputs: Vec<OneInput>,
    /// Where the directories that are open now are, by descriptor.
    places: HashMap<u32, Place>,
}

#[derive(Debug)]
struct OneInput {
    name: String,
    tree: Arc<LaidOut>,
    opened: HashSet<String>,
}

/// A path in an input, without links; the empty one is the input itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    input: usize,
    path: String,
}

impl InputFiles {
    pub(crate) fn new<'a>(inputs: impl Iterator<Item = (&'a String, &'a Arc<LaidOut>)>) -> Self {
        let one = |(name, tree): (&String, &Arc<LaidOut>)| OneInput {
            name: name.clone(),
            tree: Arc::clone(tree),
            opened: HashSet::new(),
        };
        Self { inputs: inputs.map(one).collect(), places: HashMap::new() }
    }

    /// Notes the descriptor of a preopened directory.
    pub(crate) fn preopened(&mut self, descriptor: u32, guest: &str) {
        let name = guest.strip_prefix("/inputs/");
        let found = name.and_then(|name| self.inputs.iter().position(|input| input.name == name));
        if let Some(input) = found {
            self.places.insert(descriptor, Place { input, path: String::new() });
        }
    }

    /// Where a path below a descriptor leads; nothing outside the inputs.
    pub(crate) fn find(&self, descriptor: u32, path: &str) -> Option<Place> {
        let above = self.places.get(&descriptor)?;
        let links = &self.inputs.get(above.input)?.tree.links;
        Some(Place { input: above.input, path: resolve(links, &above.path, path) })
    }

    /// Notes that a directory was opened.
    pub(crate) fn opened_directory(&mut self, descriptor: u32, place: Place) {
        self.places.insert(descriptor, place);
    }

    /// Notes that a file was opened.
    pub(crate) fn opened_file(&mut self, place: Place) {
        if let Some(input) = self.inputs.get_mut(place.input) {
            input.opened.insert(place.path);
        }
    }

    /// Forgets a descriptor, whose number the next one may have.
    pub(crate) fn closed(&mut self, descriptor: u32) {
        self.places.remove(&descriptor);
    }

    /// The files that were opened of each input, in order.
    pub(crate) fn take(&mut self) -> BTreeMap<String, Vec<String>> {
        let sorted = |opened: HashSet<String>| {
            let mut paths: Vec<String> = opened.into_iter().collect();
            paths.sort_unstable();
            paths
        };
        self.inputs.drain(..).map(|input| (input.name, sorted(input.opened))).collect()
    }
}

/// The real path that a path below a real one stands for, as the system would
/// find it in a tree with these links.
fn resolve(links: &HashMap<String, String>, above: &str, path: &str) -> String {
    let mut real = String::with_capacity(above.len() + path.len() + 1);
    real.push_str(above);
    if links.is_empty() {
        path.split('/').for_each(|part| step(&mut real, part));
        return real;
    }
    let mut followed = 0;
    let mut pending: Vec<&str> = path.rsplit('/').collect();
    while let Some(part) = pending.pop() {
        let before = real.len();
        step(&mut real, part);
        if real.len() > before
            && followed < MAX_LINKS
            && let Some(target) = links.get(&real)
        {
            followed += 1;
            real.truncate(before);
            pending.extend(target.rsplit('/'));
        }
    }
    real
}

fn step(real: &mut String, part: &str) {
    match part {
        "" | "." => {}
        ".." => real.truncate(real.rfind('/').unwrap_or(0)),
        name => {
            if !real.is_empty() {
                real.push('/');
            }
            real.push_str(name);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_path_is_told_as_the_file_it_leads_to() {
        let links: HashMap<String, String> = [
            ("link", "a/b"),
            ("a/up", ".."),
            ("a/file", "../other"),
            ("other", "c.txt"),
            ("loop", "loop"),
            ("d", "./a//"),
        ]
        .map(|(name, target)| (name.to_owned(), target.to_owned()))
        .into();
        let none = HashMap::new();
        for (above, path, plain, linked) in [
            ("", "a/b/c", "a/b/c", "a/b/c"),
            ("a", "b//./c/", "a/b/c", "a/b/c"),
            ("a/b", "../../x", "x", "x"),
            ("", "link/../x", "x", "a/x"),
            ("a", "up/up", "a/up/up", "up"),
            ("a", "file", "a/file", "c.txt"),
            ("", "d/b/..", "d", "a"),
            ("", ".", "", ""),
        ] {
            assert_eq!(resolve(&none, above, path), plain, "{path}");
            assert_eq!(resolve(&links, above, path), linked, "{path} with links");
        }
        assert_eq!(resolve(&links, "", "loop"), "loop");
    }

    #[test]
    fn what_is_open_elsewhere_is_not_noted_and_a_number_is_used_again() {
        let tree = Arc::new(LaidOut { path: PathBuf::new(), links: HashMap::new() });
        let name = "source".to_owned();
        let mut files = InputFiles::new([(&name, &tree)].into_iter());
        files.preopened(1, "/inputs/source");
        files.preopened(2, "/outputs/source");
        assert_eq!(files.find(2, "x"), None);
        let below = files.find(1, "below").unwrap();
        files.opened_directory(3, below);
        for _ in 0..3 {
            let place = files.find(3, "file").unwrap();
            files.opened_file(place);
        }
        files.closed(3);
        assert_eq!(files.find(3, "file"), None);
        assert_eq!(files.take(), [(name, vec!["below/file".to_owned()])].into());
    }
}
