//! What comes from where in a flow: whose results and artifacts are used, and
//! what follows from a task that is not trusted.

use std::collections::{BTreeSet, HashMap};

use super::guards;
use crate::plan::Template;
use crate::plan::flow::{Argument, Flow, PlannedTask, Wire, Work};

/// So many tasks are named at one that has something from them: a long chain would
/// name each at all that follow.
const MAX_NAMED: usize = 64;

/// Marks the tasks whose results or artifacts are used in the flow.
pub(super) fn mark_awaited(flow: &mut Flow) {
    let mut used: Vec<usize> = flow.outputs.values().filter_map(wired).collect();
    {
        let names = indices(flow);
        let handed_back = flow.results.iter().flat_map(|(_, argument)| argument.references());
        used.extend(handed_back.filter_map(|r| names.get(r.task()?).copied()));
        for (index, task) in flow.tasks.iter().enumerate() {
            used.extend(task.after.iter().filter(|dependency| dependency.needs).map(|d| d.task));
            used.extend(sources(task, &names, index >= flow.finally_from));
        }
    }
    for index in used {
        if let Some(task) = flow.tasks.get_mut(index) {
            task.awaited = true;
        }
    }
}

/// Notes at each task from which tasks that are not trusted it has anything,
/// however many tasks lie between. Of a nested pipeline, everything that is used
/// counts as coming from each task in it.
pub(in crate::plan) fn mark_descent(flow: &mut Flow) {
    // Most flows have no such task, and ten thousand others.
    if has_untrusted(flow) {
        descend(flow, "", &BTreeSet::new());
    }
}

fn has_untrusted(flow: &Flow) -> bool {
    flow.tasks.iter().any(|task| match &task.work {
        Work::Task(work) => !work.trusted,
        Work::Pipeline(flow) => has_untrusted(flow),
    })
}

/// The same below a task; gives what every use of the flow has something from.
fn descend(flow: &mut Flow, prefix: &str, base: &BTreeSet<String>) -> BTreeSet<String> {
    let before: Vec<Vec<usize>> = {
        let names = indices(flow);
        let of = |(index, task): (usize, &PlannedTask)| {
            let needed = task.after.iter().filter(|dependency| dependency.needs).map(|d| d.task);
            needed.chain(sources(task, &names, index >= flow.finally_from)).collect()
        };
        flow.tasks.iter().enumerate().map(of).collect()
    };
    let mut known: Vec<Option<BTreeSet<String>>> = vec![None; flow.tasks.len()];
    let mut whole = base.clone();
    for index in ordered(&before) {
        let Some(task) = flow.tasks.get_mut(index) else { continue };
        let mut found = base.clone();
        for source in before.get(index).into_iter().flatten() {
            add(&mut found, known.get(*source).into_iter().flatten().flatten());
        }
        let name = format!("{prefix}{}", task.name);
        match &mut task.work {
            Work::Task(work) => {
                if !found.is_empty() {
                    let doubts = work.doubts.get_or_insert_default();
                    doubts.descends_from = found.iter().cloned().collect();
                }
                if !work.trusted {
                    add(&mut found, [&name]);
                }
            }
            Work::Pipeline(inner) => found = descend(inner, &format!("{name}/"), &found),
        }
        add(&mut whole, found.iter());
        if let Some(place) = known.get_mut(index) {
            *place = Some(found);
        }
    }
    whole
}

/// Adds names, as long as there is room. One that is full stays so: that there is
/// something is never lost.
fn add<'a>(found: &mut BTreeSet<String>, names: impl IntoIterator<Item = &'a String>) {
    for name in names {
        if found.len() < MAX_NAMED && !found.contains(name) {
            found.insert(name.clone());
        }
    }
}

/// The tasks, each after those before it. There is no circle: plans with one are
/// refused.
fn ordered(before: &[Vec<usize>]) -> Vec<usize> {
    let mut done = vec![false; before.len()];
    let mut order = Vec::with_capacity(before.len());
    for first in 0..before.len() {
        let mut open = vec![(first, false)];
        while let Some((index, ready)) = open.pop() {
            if done.get(index).copied().unwrap_or(true) {
                continue;
            }
            if ready {
                order.push(index);
                if let Some(place) = done.get_mut(index) {
                    *place = true;
                }
            } else {
                open.push((index, true));
                let waiting = before.get(index).into_iter().flatten();
                let waiting = waiting.filter(|other| !done.get(**other).copied().unwrap_or(true));
                open.extend(waiting.map(|other| (*other, false)));
            }
        }
    }
    order
}

fn indices(flow: &Flow) -> HashMap<&str, usize> {
    flow.tasks.iter().enumerate().map(|(index, task)| (&*task.name, index)).collect()
}

/// The tasks whose results or artifacts a task names itself. Those of `finally`
/// wait for none of them, and have them all the same.
fn sources<'a>(
    task: &'a PlannedTask,
    names: &'a HashMap<&str, usize>,
    is_finally: bool,
) -> impl Iterator<Item = usize> + 'a {
    let params = task.params.values().filter(move |_| is_finally).flat_map(Argument::references);
    let matrix = task.matrix.iter().filter(move |_| is_finally).flat_map(|matrix| &matrix.params);
    let matrix = matrix.flat_map(|(_, argument)| argument.references());
    let include = task.matrix.iter().flat_map(|matrix| &matrix.include).flat_map(|i| i.params.values());
    let named = params
        .chain(matrix)
        .chain(include.flat_map(Template::references))
        .chain(task.when.iter().flat_map(guards::references));
    let named = named.filter_map(|reference| names.get(reference.task()?).copied());
    named.chain(task.inputs.values().filter_map(wired))
}

fn wired(wire: &Wire) -> Option<usize> {
    match wire {
        Wire::Output { task, .. } => Some(*task),
        Wire::Source | Wire::Input(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_some_are_named_and_never_none() {
        let mut found = BTreeSet::new();
        let names: Vec<String> = (0..1_000).map(|n| format!("t{n}")).collect();
        add(&mut found, &names);
        assert_eq!(found.len(), MAX_NAMED);
    }

    #[test]
    fn whatever_comes_before_is_before() {
        let before = [vec![2], vec![0, 3], vec![], vec![2]];
        let order = ordered(&before);
        let place = |index| order.iter().position(|found| *found == index);
        assert_eq!(order.len(), 4);
        for (index, others) in before.iter().enumerate() {
            assert!(others.iter().all(|other| place(*other) < place(index)), "{order:?}");
        }
    }
}
