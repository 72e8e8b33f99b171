//! Tasks that wait for each other.

use std::sync::Arc;

use crate::plan::flow::Dependency;

/// More ways round than these are not told at once.
const MAX_ROUNDS: usize = 16;

/// Ways round that have no step in common, so that each of them has to be mended.
pub(super) fn find_all(edges: &[Arc<[Dependency]>]) -> Vec<Vec<usize>> {
    let followed = |task: usize, edge: usize| edges.get(task)?.get(edge).map(|dependency| dependency.task);
    let Some(first) = find(edges.len(), followed) else { return Vec::new() };
    let tasks = |edges: &Arc<[Dependency]>| edges.iter().map(|dependency| dependency.task).collect();
    let mut left: Vec<Vec<usize>> = edges.iter().map(tasks).collect();
    let mut found = vec![first];
    while found.len() < MAX_ROUNDS {
        for step in found.last().into_iter().flat_map(|round| round.windows(2)) {
            if let [from, to] = step
                && let Some(edges) = left.get_mut(*from)
            {
                edges.retain(|edge| edge != to);
            }
        }
        match find(left.len(), |task, edge| left.get(task)?.get(edge).copied()) {
            Some(round) => found.push(round),
            None => break,
        }
    }
    found
}

/// A way round among so many tasks, if there is one: each index waits for the one
/// after it. `edge` says which task is the nth that a task waits for.
fn find(count: usize, edge: impl Fn(usize, usize) -> Option<usize>) -> Option<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; count];
    for start in 0..count {
        // Each entry is a task and how many of its edges were followed.
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        while let Some((node, followed)) = path.last().copied() {
            if followed == 0 {
                match marks.get(node) {
                    Some(Mark::New) => {}
                    _ => {
                        path.pop();
                        continue;
                    }
                }
                if let Some(mark) = marks.get_mut(node) {
                    *mark = Mark::Open;
                }
            }
            match edge(node, followed) {
                Some(next) if marks.get(next) == Some(&Mark::Open) => {
                    let from = path.iter().position(|(n, _)| *n == next).unwrap_or(0);
                    let mut round: Vec<usize> = path.iter().skip(from).map(|(n, _)| *n).collect();
                    round.push(next);
                    return Some(round);
                }
                Some(next) => {
                    if let Some(last) = path.last_mut() {
                        last.1 += 1;
                    }
                    if marks.get(next) == Some(&Mark::New) {
                        path.push((next, 0));
                    }
                }
                None => {
                    if let Some(mark) = marks.get_mut(node) {
                        *mark = Mark::Done;
                    }
                    path.pop();
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
        let dependency = |task: &usize| Dependency { task: *task, needs: false };
        find_all(&edges.iter().map(|tasks| tasks.iter().map(dependency).collect()).collect::<Vec<_>>())
    }

    fn one(edges: &[Vec<usize>]) -> Option<Vec<usize>> {
        find(edges.len(), |task, edge| edges.get(task)?.get(edge).copied())
    }

    #[test]
    fn a_way_round_is_found_and_named() {
        assert_eq!(one(&[vec![1], vec![2], vec![]]), None);
        assert_eq!(one(&[vec![1, 2], vec![2], vec![]]), None);
        assert_eq!(one(&[vec![], vec![2], vec![3], vec![1]]), Some(vec![1, 2, 3, 1]));
        assert_eq!(one(&[vec![0]]), Some(vec![0, 0]));
        // Deep chains are walked without recursion.
        let long: Vec<Vec<usize>> = (0..100_000).map(|n| if n == 0 { vec![] } else { vec![n - 1] }).collect();
        assert_eq!(one(&long), None);
    }

    #[test]
    fn ways_round_are_told_together_unless_mending_one_mends_the_other() {
        // Two that have no task in common, then two that have one.
        assert_eq!(all(&[vec![1], vec![0], vec![2]]), [vec![0, 1, 0], vec![2, 2]]);
        assert_eq!(all(&[vec![1], vec![0, 2], vec![1]]).len(), 2);
        // Both go over the step from 0 to 1.
        assert_eq!(all(&[vec![1], vec![0, 2], vec![0]]).len(), 1);
        assert_eq!(all(&[vec![1], vec![]]), Vec::<Vec<usize>>::new());
        let many: Vec<Vec<usize>> = (0..100).map(|n| vec![n]).collect();
        assert_eq!(all(&many).len(), MAX_ROUNDS);
    }
}
