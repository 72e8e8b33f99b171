//! Which lines of two texts differ, by the longest lines in common.

/// More lines than this are not compared one by one.
const MAX_LINES: usize = 2000;

/// The lines that differ: `-12 text` of the old, `+12 text` of the new, in the
/// order in which they stand. Nothing, where there are too many to compare.
#[must_use]
pub fn changed_lines(old: &str, new: &str) -> Option<Vec<String>> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let same_start = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let rest = old.len().min(new.len()) - same_start;
    let same_end =
        old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(old, new)| old == new).count();
    let before = old.get(same_start..old.len() - same_end)?;
    let after = new.get(same_start..new.len() - same_end)?;
    if before.len() > MAX_LINES || after.len() > MAX_LINES {
        return None;
    }
    let common = common(before, after);
    let (mut at, mut to) = (0, 0);
    let mut changed = Vec::new();
    let number = |index: usize| same_start + index + 1;
    for (old_at, new_at) in common.into_iter().chain([(before.len(), after.len())]) {
        let lines = before.iter().enumerate().take(old_at).skip(at);
        changed.extend(lines.map(|(index, line)| format!("-{} {line}", number(index))));
        let lines = after.iter().enumerate().take(new_at).skip(to);
        changed.extend(lines.map(|(index, line)| format!("+{} {line}", number(index))));
        (at, to) = (old_at + 1, new_at + 1);
    }
    Some(changed)
}

/// The places of the longest lines in common.
fn common(old: &[&str], new: &[&str]) -> Vec<(usize, usize)> {
    let width = new.len() + 1;
    let mut lengths = vec![0_u16; (old.len() + 1) * width];
    let get = |lengths: &[u16], i: usize, j: usize| lengths.get(i * width + j).copied().unwrap_or(0);
    for (i, before) in old.iter().enumerate().rev() {
        for (j, after) in new.iter().enumerate().rev() {
            let length = if before == after {
                get(&lengths, i + 1, j + 1) + 1
            } else {
                get(&lengths, i + 1, j).max(get(&lengths, i, j + 1))
            };
            lengths.get_mut(i * width + j).into_iter().for_each(|place| *place = length);
        }
    }
    let (mut i, mut j, mut found) = (0, 0, Vec::new());
    while let (Some(before), Some(after)) = (old.get(i), new.get(j)) {
        if before == after {
            found.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if get(&lengths, i + 1, j) >= get(&lengths, i, j + 1) {
            i += 1;
        } else {
            j += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_differs_is_told_with_the_numbers_of_its_lines() {
        let changed = |old: &str, new: &str| changed_lines(old, new).unwrap_or_default();
        assert_eq!(changed("a\nb\nc\n", "a\nx\nc\nd\n"), ["-2 b", "+2 x", "+4 d"]);
        assert_eq!(changed("a\nb\na\n", "a\na\n"), ["-2 b"]);
        assert_eq!(changed("", "a\n"), ["+1 a"]);
        assert!(changed("a\n", "a\n").is_empty());
    }

    proptest! {
        #[test]
        fn the_new_text_follows_from_the_old_one(
            old in prop::collection::vec("[ab]", 0..12),
            new in prop::collection::vec("[ab]", 0..12),
        ) {
            let changed = changed_lines(&old.join("\n"), &new.join("\n")).unwrap_or_default();
            let removed = changed.iter().filter(|line| line.starts_with('-')).count();
            let added = changed.len() - removed;
            prop_assert_eq!(old.len() - removed, new.len() - added);
            // What is left of both is the same.
            let left = |lines: &[String], sign: char| -> Vec<String> {
                let gone: Vec<usize> = changed
                    .iter()
                    .filter_map(|line| line.strip_prefix(sign)?.split(' ').next()?.parse().ok())
                    .collect();
                lines.iter().enumerate().filter(|(i, _)| !gone.contains(&(i + 1))).map(|(_, l)| l.clone()).collect()
            };
            prop_assert_eq!(left(&old, '-'), left(&new, '+'));
        }
    }
}
