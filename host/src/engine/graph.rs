//! Which tasks of a pipeline wait for which.

use crate::plan::Flow;

/// The edges of a pipeline, the same for each time it runs. Tasks that wait for
/// the same list are held together: there may be far more edges than tasks.
#[derive(Debug)]
pub(super) struct Graph {
    /// For each task, the groups that wait for it, and whether they use what it
    /// makes.
    groups_of: Vec<Vec<(usize, bool)>>,
    /// Tasks that wait for the same, in order.
    groups: Vec<Vec<usize>>,
    /// How many tasks each task waits for.
    pub(super) open: Vec<usize>,
    /// Where those of `finally` begin.
    pub(super) finally_from: usize,
}

impl Graph {
    pub(super) fn new(flow: &Flow) -> Self {
        let mut groups_of = vec![Vec::new(); flow.tasks.len()];
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut open = Vec::with_capacity(flow.tasks.len());
        let mut last = None;
        for (index, task) in flow.tasks.iter().enumerate() {
            open.push(task.after.len());
            if last.is_some_and(|last| std::ptr::eq(last, &*task.after))
                && let Some(group) = groups.last_mut()
            {
                group.push(index);
                continue;
            }
            last = Some(&*task.after);
            for before in &*task.after {
                if let Some(list) = groups_of.get_mut(before.task) {
                    list.push((groups.len(), before.needs));
                }
            }
            groups.push(vec![index]);
        }
        Self { groups_of, groups, open, finally_from: flow.finally_from }
    }

    /// The tasks that wait for one, in order, and whether they use what it makes.
    pub(super) fn waiting(&self, task: usize) -> impl Iterator<Item = (usize, bool)> {
        let groups = self.groups_of.get(task).into_iter().flatten();
        groups.flat_map(|(group, needs)| {
            self.groups.get(*group).into_iter().flatten().map(|waiter| (*waiter, *needs))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::model::ErrorMode;
    use crate::plan::{Dependency, PlannedTask, RetryPolicy, Timeouts, Work};

    fn flow(after: &[Arc<[Dependency]>]) -> Flow {
        let empty = || Flow {
            name: String::new(),
            params: Vec::new(),
            tasks: Vec::new(),
            finally_from: 0,
            results: Vec::new(),
            outputs: BTreeMap::new(),
            timeouts: Timeouts::default(),
        };
        let task = |after: &Arc<[Dependency]>| PlannedTask {
            name: "".into(),
            display_name: None,
            after: Arc::clone(after),
            when: Vec::new(),
            matrix: None,
            retry: RetryPolicy::default(),
            on_error: ErrorMode::default(),
            params: BTreeMap::new(),
            inputs: BTreeMap::new(),
            awaited: false,
            work: Work::Pipeline(Box::new(empty())),
        };
        Flow { finally_from: after.len(), tasks: after.iter().map(task).collect(), ..empty() }
    }

    #[test]
    fn each_task_that_waits_for_one_is_told_of_in_order() {
        let list = |tasks: &[(usize, bool)]| -> Arc<[Dependency]> {
            tasks.iter().map(|(task, needs)| Dependency { task: *task, needs: *needs }).collect()
        };
        let (none, both, one) = (list(&[]), list(&[(0, false), (1, true)]), list(&[(1, false)]));
        let after = [&none, &none, &both, &both, &one, &both].map(Arc::clone);
        let graph = Graph::new(&flow(&after));
        assert_eq!(graph.open, [0, 0, 2, 2, 1, 2]);
        let waiting = |task| graph.waiting(task).collect::<Vec<_>>();
        assert_eq!(waiting(0), [(2, false), (3, false), (5, false)]);
        assert_eq!(waiting(1), [(2, true), (3, true), (4, false), (5, true)]);
        assert_eq!([2, 5, 6].map(|task| waiting(task).len()), [0, 0, 0]);
    }
}
