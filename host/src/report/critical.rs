//! The critical path of a run: the longest chain of tasks of which each waited
//! for the one before, by the time they took.

use std::collections::HashMap;

use jiff::Timestamp;

/// When a task ran, and what it waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span<'a> {
    pub(super) task: &'a str,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    /// The tasks it waited for, as the pipeline calls them: many have one list.
    pub(super) after: &'a [String],
    /// Those that it has inputs of.
    pub(super) from: Vec<&'a str>,
    /// Whether it is one of `finally`, which waits for all of its pipeline.
    pub(super) finally: bool,
}

impl Span<'_> {
    pub(super) fn micros(&self) -> u64 {
        u64::try_from(self.end.as_microsecond() - self.start.as_microsecond()).unwrap_or(0)
    }
}

/// The longest chain: how long its tasks took, and which they are. A task
/// follows only what had ended when it began, so no chain goes round.
pub(super) fn critical_path(spans: &[Span<'_>]) -> (u64, Vec<usize>) {
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by_key(|index| spans.get(*index).map(|span| (span.end, span.start)));
    let mut place = vec![0; spans.len()];
    for (at, index) in order.iter().enumerate() {
        place.get_mut(*index).into_iter().for_each(|place| *place = at);
    }
    let by_name = by_name(spans);
    let sorted: Vec<&Span<'_>> = order.iter().filter_map(|index| spans.get(*index)).collect();
    let durations: Vec<u64> = sorted.iter().map(|span| span.micros()).collect();
    let named = |name: &str| by_name.get(name).into_iter().flatten().copied();
    let mut last: (&[String], Vec<usize>) = (&[], Vec::new());
    // What a task follows, one after the other: all together may be many.
    let before = |at: usize, found: &mut Vec<usize>| {
        let Some(span) = sorted.get(at) else { return };
        if !std::ptr::eq(last.0, span.after) {
            last = (span.after, span.after.iter().flat_map(|name| named(name)).collect());
        }
        let from = span.from.iter().flat_map(|name| named(name));
        let whole = span.finally.then(|| named(pipeline(span.task))).into_iter().flatten();
        let before = last.1.iter().copied().chain(from).chain(whole);
        let places = before.filter_map(|index| place.get(index)).copied();
        let ended = |earlier: &usize| {
            *earlier < at && sorted.get(*earlier).is_some_and(|earlier| earlier.end <= span.start)
        };
        found.extend(places.filter(ended));
    };
    let (micros, path) = longest(&durations, before);
    (micros, path.iter().filter_map(|at| order.get(*at)).copied().collect())
}

/// The tasks that a name of a pipeline stands for: those of a matrix, those in
/// a pipeline that runs as a task, and for a pipeline's own name all of it.
fn by_name<'a>(spans: &[Span<'a>]) -> HashMap<&'a str, Vec<usize>> {
    let mut found: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, span) in spans.iter().enumerate() {
        let mut names = vec![""];
        let ends = span.task.match_indices('/').map(|(at, _)| at).chain([span.task.len()]);
        let mut begin = 0;
        for end in ends {
            let whole = span.task.get(..end).unwrap_or_default();
            let own = whole.get(begin..).and_then(|own| own.find(['[', '#'])).map_or(end, |at| begin + at);
            names.extend([whole, whole.get(..own).unwrap_or_default()]);
            begin = end + 1;
        }
        names.dedup();
        for name in names {
            found.entry(name).or_default().push(index);
        }
    }
    found
}

fn pipeline(task: &str) -> &str {
    task.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// The longest chain in a graph in which everything stands after what it
/// follows: its length, and its members in order. `follow` says what one follows.
fn longest(durations: &[u64], mut follow: impl FnMut(usize, &mut Vec<usize>)) -> (u64, Vec<usize>) {
    let mut best: Vec<(u64, Option<usize>)> = Vec::with_capacity(durations.len());
    let mut before = Vec::new();
    for (at, duration) in durations.iter().enumerate() {
        before.clear();
        follow(at, &mut before);
        let reached = before.iter().filter_map(|index| Some((best.get(*index)?.0, *index)));
        // Of two that are equally long, the one that is written first.
        let from = reached.max_by_key(|(micros, index)| (*micros, std::cmp::Reverse(*index)));
        best.push((duration + from.map_or(0, |(micros, _)| micros), from.map(|(_, index)| index)));
    }
    let last =
        best.iter().enumerate().max_by_key(|(index, (micros, _))| (*micros, std::cmp::Reverse(*index)));
    let Some((last, (micros, _))) = last else { return (0, Vec::new()) };
    let next = |index: &usize| best.get(*index).and_then(|(_, from)| *from);
    let mut path: Vec<usize> = std::iter::successors(Some(last), next).collect();
    path.reverse();
    (*micros, path)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]
    use proptest::prelude::*;

    use super::*;

    fn span<'a>(task: &'a str, start: i64, end: i64, from: &[&'a str], finally: bool) -> Span<'a> {
        let at = |micros| Timestamp::from_microsecond(micros).unwrap();
        Span { task, start: at(start), end: at(end), after: &[], from: from.to_vec(), finally }
    }

    fn path<'a>(spans: &[Span<'a>]) -> (u64, Vec<&'a str>) {
        let (micros, path) = critical_path(spans);
        (micros, path.iter().map(|index| spans[*index].task).collect())
    }

    #[test]
    fn names_stand_for_combinations_and_for_what_is_nested() {
        let spans = [
            span("last", 100, 110, &[], true),
            span("a[x]", 0, 10, &[], false),
            span("a[y]", 0, 20, &[], false),
            span("outer#2/in[1]", 20, 50, &["a"], false),
            span("outer#2/end", 50, 55, &["outer#2/in"], false),
            span("b", 60, 80, &["outer"], false),
            span("ab", 0, 59, &[], false),
            span("alone", 0, 60, &["never-ran"], false),
        ];
        let chain = vec!["a[y]", "outer#2/in[1]", "outer#2/end", "b", "last"];
        assert_eq!(path(&spans), (20 + 30 + 5 + 20 + 10, chain));
        assert_eq!(path(&[]), (0, Vec::new()));
    }

    #[test]
    fn tasks_that_wait_for_one_list_wait_for_all_of_it() {
        let [first, second] = [["a", "b"], ["c", "d"]].map(|names| names.map(str::to_owned));
        let mut spans = [
            span("a", 0, 10, &[], false),
            span("b", 0, 20, &[], false),
            span("c", 20, 25, &[], false),
            span("d", 20, 50, &[], false),
            span("e", 50, 60, &[], false),
        ];
        for (index, after) in [(2, &first), (3, &first), (4, &second)] {
            spans[index].after = after;
        }
        assert_eq!(path(&spans), (20 + 30 + 10, vec!["b", "d", "e"]));
    }

    #[test]
    fn what_waits_for_each_other_is_no_chain() {
        let spans = [span("a", 0, 10, &["b"], false), span("b", 0, 10, &["a"], false)];
        assert_eq!(path(&spans), (10, vec!["a"]));
        let spans = [span("a", 5, 5, &["b"], false), span("b", 5, 5, &["a"], false)];
        assert_eq!(path(&spans).0, 0);
    }

    /// Tries every chain.
    fn brute(durations: &[u64], before: &[Vec<usize>], last: usize) -> u64 {
        let longest = before[last].iter().map(|index| brute(durations, before, *index)).max();
        durations[last] + longest.unwrap_or(0)
    }

    proptest! {
        #[test]
        fn no_chain_is_longer(
            graph in prop::collection::vec((0_u64..50, prop::collection::vec(any::<prop::sample::Index>(), 0..4)), 0..9),
        ) {
            let durations: Vec<u64> = graph.iter().map(|(duration, _)| *duration).collect();
            let before: Vec<Vec<usize>> = graph
                .iter()
                .enumerate()
                .map(|(at, (_, before))| if at == 0 { Vec::new() } else { before.iter().map(|i| i.index(at)).collect() })
                .collect();
            let (micros, path) = longest(&durations, |at, found| found.extend(&before[at]));
            let expected = (0..durations.len()).map(|last| brute(&durations, &before, last)).max().unwrap_or(0);
            prop_assert_eq!(micros, expected);
            prop_assert_eq!(path.iter().map(|index| durations[*index]).sum::<u64>(), micros);
            for pair in path.windows(2) {
                prop_assert!(before[pair[1]].contains(&pair[0]));
            }
            // The same as spans, each begun when all it follows had ended.
            let mut ends: Vec<i64> = Vec::new();
            let names: Vec<String> = (0..durations.len()).map(|at| format!("t{at}")).collect();
            let mut spans = Vec::new();
            for (at, duration) in durations.iter().enumerate() {
                let start = before[at].iter().map(|index| ends[*index]).max().unwrap_or(0);
                let end = start + i64::try_from(*duration).unwrap();
                ends.push(end);
                let after: Vec<&str> = before[at].iter().map(|index| names[*index].as_str()).collect();
                spans.push(span(&names[at], start, end, &after, false));
            }
            prop_assert_eq!(critical_path(&spans).0, ends.iter().copied().max().unwrap_or(0).cast_unsigned());
        }
    }
}
