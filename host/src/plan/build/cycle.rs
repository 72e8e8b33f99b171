//! Tasks that wait for each other.

/// A way round, if there is one: each index waits for the one after it.
pub(super) fn find(edges: &[Vec<usize>]) -> Option<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; edges.len()];
    for start in 0..edges.len() {
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
            match edges.get(node).and_then(|next| next.get(followed)).copied() {
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

    #[test]
    fn a_way_round_is_found_and_named() {
        assert_eq!(find(&[vec![1], vec![2], vec![]]), None);
        assert_eq!(find(&[vec![1, 2], vec![2], vec![]]), None);
        assert_eq!(find(&[vec![], vec![2], vec![3], vec![1]]), Some(vec![1, 2, 3, 1]));
        assert_eq!(find(&[vec![0]]), Some(vec![0, 0]));
        // Deep chains are walked without recursion.
        let long: Vec<Vec<usize>> = (0..100_000).map(|n| if n == 0 { vec![] } else { vec![n - 1] }).collect();
        assert_eq!(find(&long), None);
    }
}
