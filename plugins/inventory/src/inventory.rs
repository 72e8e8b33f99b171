//! What all lock files pin together: each package once, with every lock file
//! that names it. Two packages are one when their purls are equal; what has no
//! purl stays with its lock file.

use std::collections::{BTreeMap, BTreeSet};

use crate::lock::{Digest, Flag, Lock, Package};

/// One component of the SBOM.
#[derive(Clone, Debug)]
pub struct Component {
    /// What is known of it.
    pub package: Package,
    /// The lock files that name it.
    pub lock_files: BTreeSet<String>,
    /// References of the components it needs; absent where no lock file tells.
    pub needs: Option<BTreeSet<String>>,
    /// Whether two lock files give it digests of one algorithm that differ.
    pub conflict: bool,
}

/// What was found, by reference.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    components: BTreeMap<String, Component>,
    lock_files: Vec<String>,
    /// Lock file and reference of the packages that lock files belong to.
    roots: Vec<(String, String)>,
}

impl Inventory {
    /// Adds the content of one lock file.
    pub fn add(&mut self, path: &str, lock: Lock) {
        let references: Vec<String> = lock.packages.iter().map(|package| reference(path, package)).collect();
        if let Some(root) = lock.root.and_then(|root| references.get(root)) {
            self.roots.push((path.to_owned(), root.clone()));
        }
        for (package, name) in lock.packages.into_iter().zip(&references) {
            let needs = package.needs.as_ref().map(|needs| {
                needs.iter().filter_map(|index| references.get(*index)).cloned().collect::<BTreeSet<_>>()
            });
            match self.components.get_mut(name) {
                Some(component) => component.merge(path, package, needs),
                None => {
                    let lock_files = BTreeSet::from([path.to_owned()]);
                    let component = Component { package, lock_files, needs, conflict: false };
                    self.components.insert(name.clone(), component);
                }
            }
        }
        self.lock_files.push(path.to_owned());
    }

    /// The lock files, in the order they were read.
    #[must_use]
    pub fn lock_files(&self) -> &[String] {
        &self.lock_files
    }

    /// What the source tree itself is, where one lock file says so: the only
    /// one that names a root at the least depth.
    #[must_use]
    pub fn root(&self) -> Option<(&str, &Component)> {
        let depth = |path: &str| path.matches('/').count();
        let least = self.roots.iter().map(|(path, _)| depth(path)).min()?;
        let mut nearest = self.roots.iter().filter(|(path, _)| depth(path) == least);
        let (_, reference) = nearest.next()?;
        if nearest.next().is_some() {
            return None;
        }
        self.components.get_key_value(reference).map(|(name, component)| (name.as_str(), component))
    }

    /// Every component but the root, by reference.
    pub fn components(&self) -> impl Iterator<Item = (&str, &Component)> {
        let root = self.root().map(|(name, _)| name);
        self.all().filter(move |(name, _)| Some(*name) != root)
    }

    /// Every component, the root too.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Component)> {
        self.components.iter().map(|(name, component)| (name.as_str(), component))
    }

    /// References of the components whose digests disagree.
    pub fn conflicts(&self) -> impl Iterator<Item = &str> {
        self.all().filter(|(_, component)| component.conflict).map(|(name, _)| name)
    }
}

impl Component {
    fn merge(&mut self, path: &str, package: Package, needs: Option<BTreeSet<String>>) {
        let own = &mut self.package;
        // pip names one digest per file of a version, so there many are one.
        let is_python = own.purl.as_deref().is_some_and(|purl| purl.starts_with("pkg:pypi/"));
        self.conflict |= !is_python && differ(&own.digests, &package.digests);
        own.digests.extend(package.digests);
        own.flags = own.flags.intersection(&package.flags).copied().collect::<BTreeSet<Flag>>();
        own.distribution = own.distribution.take().or(package.distribution);
        self.lock_files.insert(path.to_owned());
        if let Some(needs) = needs {
            self.needs.get_or_insert_default().extend(needs);
        }
    }
}

/// Whether the two give digests of one algorithm, none of which is the same.
fn differ(one: &BTreeSet<Digest>, other: &BTreeSet<Digest>) -> bool {
    let shared = other.iter().filter(|digest| one.iter().any(|own| own.algorithm == digest.algorithm));
    shared.into_iter().any(|digest| !one.contains(digest))
}

fn reference(path: &str, package: &Package) -> String {
    package.purl.clone().unwrap_or_else(|| format!("{path}#{}", package.key))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;
    use crate::{cargo_lock, requirements};

    const SUM: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn cargo(sum: &str) -> Lock {
        let text = format!(
            "[[package]]\nname = \"app\"\nversion = \"1.0.0\"\ndependencies = [\"dep\"]\n[[package]]\nname = \"dep\"\n\
             version = \"1.0.0\"\nsource = \"registry+https://github.com/rust-lang/i\"\nchecksum = \"{sum}\"\n"
        );
        cargo_lock::parse(&text).unwrap()
    }

    #[test]
    fn a_package_in_two_lock_files_is_one_component() {
        let mut inventory = Inventory::default();
        inventory.add("a/Cargo.lock", cargo(SUM));
        inventory.add("b/Cargo.lock", cargo(SUM));
        let (_, dep) = inventory.all().find(|(name, _)| *name == "pkg:cargo/dep@1.0.0").unwrap();
        assert_eq!(dep.lock_files.len(), 2);
        assert_eq!((inventory.all().count(), inventory.conflicts().count()), (3, 0));
        assert!(inventory.root().is_none());
    }

    #[test]
    fn the_root_is_the_one_nearest_the_top() {
        let mut inventory = Inventory::default();
        inventory.add("a/Cargo.lock", cargo(SUM));
        assert_eq!(inventory.root().unwrap().0, "a/Cargo.lock#app@1.0.0");
        inventory.add("Cargo.lock", cargo(SUM));
        assert_eq!(inventory.root().unwrap().0, "Cargo.lock#app@1.0.0");
        assert_eq!(inventory.components().count(), 2);
    }

    #[test]
    fn different_digests_of_one_package_are_a_conflict() {
        let mut inventory = Inventory::default();
        inventory.add("a/Cargo.lock", cargo(SUM));
        inventory.add("b/Cargo.lock", cargo(&SUM.replace('e', "f")));
        assert_eq!(inventory.conflicts().collect::<Vec<_>>(), ["pkg:cargo/dep@1.0.0"]);
        let mut inventory = Inventory::default();
        for (path, sum) in [("a.txt", SUM.to_owned()), ("b.txt", SUM.replace('e', "f"))] {
            let text = format!("a==1 --hash=sha256:{sum}");
            inventory.add(path, requirements::parse(&text, path).unwrap());
        }
        assert_eq!(inventory.conflicts().count(), 0);
    }
}
