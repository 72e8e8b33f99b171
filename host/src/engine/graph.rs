//! Which tasks of a pipeline wait for which.

use crate::plan::Flow;

/// The edges of a pipeline, the same for each time it runs.
#[derive(Debug)]
pub(super) struct Graph {
    /// The tasks that wait for each task, and whether they use what it makes.
    pub(super) waiting: Vec<Vec<(usize, bool)>>,
    /// How many tasks each task waits for.
    pub(super) open: Vec<usize>,
    /// Where those of `finally` begin.
    pub(super) finally_from: usize,
}

impl Graph {
    pub(super) fn new(flow: &Flow) -> Self {
        let count = flow.tasks.len();
        let mut waiting = vec![Vec::new(); count];
        let mut open = Vec::with_capacity(count);
        for (index, task) in flow.tasks.iter().enumerate() {
            open.push(task.after.len());
            for before in &task.after {
                if let Some(list) = waiting.get_mut(before.task) {
                    list.push((index, before.needs));
                }
            }
        }
        Self { waiting, open, finally_from: flow.finally_from }
    }
}
