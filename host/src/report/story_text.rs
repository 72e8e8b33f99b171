//! What happened in a run, in words.

use super::run::RunView;
use super::story::{GrantUse, Story};
use super::words::duration;

/// A longer chain is told without its middle.
const LONG: usize = 12;

/// What happened, a label and a line for each thing.
pub(super) fn story_rows(view: &RunView) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    let Some(story) = view.story.as_ref().filter(|story| story.ran > 0) else { return rows };
    rows.push(("time", time(story)));
    rows.extend(critical(story, view.duration_micros).map(|words| ("critical", words)));
    if story.reused > 0 {
        rows.push(("reused", format!("{} of {} tasks", story.reused, story.ran)));
    }
    if story.retries > 0 {
        let times = if story.retries == 1 { "once".to_owned() } else { format!("{} times", story.retries) };
        rows.push(("retries", format!("a task was tried again {times}")));
    }
    rows.extend(story.grants.iter().map(|grant| ("grant", grant_words(grant))));
    rows
}

fn time(story: &Story) -> String {
    let split = &story.time;
    let signing = match split.signing_micros {
        Some(micros) => format!(", {} signing the run", duration(micros)),
        None => String::new(),
    };
    format!(
        "{} in tasks, {} before the first, {} between them{signing}",
        duration(split.tasks_micros),
        duration(split.before_micros),
        duration(split.waiting_micros)
    )
}

fn critical(story: &Story, whole: Option<u64>) -> Option<String> {
    let path = &story.critical_path;
    // One task that nothing follows decides nothing that its own line does not say.
    if path.len() < 2 {
        return None;
    }
    let mut steps: Vec<String> =
        path.iter().map(|step| format!("{} ({})", step.task, duration(step.micros))).collect();
    if steps.len() > LONG {
        let left_out = steps.len() - (LONG - 1);
        steps.splice(LONG / 2..LONG / 2 + left_out, [format!("{left_out} more")]);
    }
    let of = whole.map(|whole| format!(" of {}", duration(whole))).unwrap_or_default();
    Some(format!("{}: {}{of}", steps.join(" -> "), duration(story.critical_micros)))
}

fn grant_words(grant: &GrantUse) -> String {
    let uses = match grant.uses {
        None => "granted; uses are not counted".to_owned(),
        Some(0) => "not used".to_owned(),
        Some(1) => "used once".to_owned(),
        Some(times) => format!("used {times} times"),
    };
    format!("{}: {}: {uses}", grant.task, grant.grant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Step;

    #[test]
    fn the_middle_of_a_long_chain_is_counted() {
        let step = |n: u64| Step { task: format!("t{n}"), micros: n };
        let story = Story { critical_path: (0..20).map(step).collect(), ..Story::default() };
        let words = critical(&story, None).unwrap_or_default();
        assert!(words.contains("t5 (5 µs) -> 9 more -> t15 (15 µs)"), "{words}");
        assert_eq!(words.matches("->").count(), LONG - 1);
    }
}
