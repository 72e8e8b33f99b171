//! How a component came to be needed, as far as the SBOM's graph tells.

use std::collections::{BTreeMap, BTreeSet};

/// How a component came to be needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    /// Part of the source tree itself.
    Own,
    /// Needed by the source tree.
    Direct,
    /// Needed by something that is needed.
    Indirect,
    /// The SBOM does not say.
    Unknown,
}

impl Relation {
    /// The word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Direct => "direct",
            Self::Indirect => "indirect",
            Self::Unknown => "unknown",
        }
    }
}

/// Who needs whom, seen from the source tree.
#[derive(Debug)]
pub(crate) struct Graph<'a> {
    own: &'a BTreeSet<&'a str>,
    direct: BTreeSet<&'a str>,
    reached: BTreeSet<&'a str>,
}

impl<'a> Graph<'a> {
    /// The graph of references, and those that are the source tree's own.
    pub(crate) fn new(
        edges: impl Iterator<Item = (&'a str, Vec<&'a str>)>,
        own: &'a BTreeSet<&'a str>,
    ) -> Self {
        let edges: BTreeMap<&str, Vec<&str>> = edges.collect();
        let needs = |name: &str| edges.get(name).into_iter().flatten().copied();
        let direct: BTreeSet<&str> = own.iter().flat_map(|name| needs(name)).collect();
        let mut reached = BTreeSet::new();
        let mut open: Vec<&str> = direct.iter().copied().collect();
        while let Some(name) = open.pop() {
            if reached.insert(name) {
                open.extend(needs(name));
            }
        }
        Self { own, direct, reached }
    }

    /// How the source tree came to need a reference.
    pub(crate) fn relation(&self, name: &str) -> Relation {
        if self.own.contains(name) {
            Relation::Own
        } else if self.direct.contains(name) {
            Relation::Direct
        } else if self.reached.contains(name) {
            Relation::Indirect
        } else {
            Relation::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_follow_the_graph_and_cycles_end() {
        let own = BTreeSet::from(["app"]);
        let edges = [("app", vec!["a"]), ("a", vec!["b"]), ("b", vec!["a", "app"]), ("c", vec!["a"])];
        let graph = Graph::new(edges.into_iter(), &own);
        let found: Vec<&str> =
            ["app", "a", "b", "c", "d"].iter().map(|name| graph.relation(name).as_str()).collect();
        assert_eq!(found, ["own", "direct", "indirect", "unknown", "unknown"]);
    }
}
