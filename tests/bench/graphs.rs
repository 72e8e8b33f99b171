//! Graphs of tasks: what each task waits for, and how they are written for
//! Cofferdam. The peers have their own ways to say the same.

use std::fmt::Write as _;
use std::fs;

use super::world::{TASKS, World};

/// A graph: what each task waits for.
pub(super) struct Graph {
    pub(super) name: &'static str,
    pub(super) after: Vec<Vec<usize>>,
}

impl Graph {
    pub(super) fn chain() -> Self {
        let after = (0..TASKS).map(|n| n.checked_sub(1).into_iter().collect()).collect();
        Self { name: "chain", after }
    }

    /// Ten layers, each task of one after all of the layer before.
    pub(super) fn layers() -> Self {
        let width = TASKS / 10;
        let before = |n: usize| match (n / width).checked_sub(1) {
            Some(layer) => (layer * width..(layer + 1) * width).collect(),
            None => Vec::new(),
        };
        Self { name: "layers", after: (0..TASKS).map(before).collect() }
    }

    pub(super) fn fan_out(count: usize) -> Self {
        Self { name: "fan-out", after: vec![Vec::new(); count] }
    }

    /// Each task's number and the names of those that it waits for.
    pub(super) fn names(&self) -> impl Iterator<Item = (usize, Vec<String>)> {
        let names = |after: &Vec<usize>| after.iter().map(|n| format!("t{n}")).collect();
        self.after.iter().map(names).enumerate()
    }

    /// Writes it as a pipeline.
    ///
    /// # Returns
    /// The pipeline's file, below the world's directory.
    pub(super) fn pipeline(&self, world: &World) -> String {
        let mut pipeline =
            "apiVersion: cofferdam.dev/v1\nkind: Pipeline\nmetadata: { name: noop }\nspec:\n  tasks:\n"
                .to_owned();
        for (n, after) in self.names() {
            let order =
                if after.is_empty() { String::new() } else { format!(", runAfter: [{}]", after.join(", ")) };
            let _ = writeln!(pipeline, "    - {{ name: t{n}, taskRef: {{ name: noop }}{order} }}");
        }
        let directory = format!("{}-{}", self.name, self.after.len());
        fs::create_dir_all(world.directory.join(&directory)).unwrap();
        let file = format!("{directory}/many.yaml");
        world.write(&file, &pipeline);
        file
    }
}
