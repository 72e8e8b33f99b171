//! How long a pipeline may take, in Tekton's rules: `pipeline` covers `tasks`
//! and `finally`, and what is left out is what the other two leave.

use std::time::Duration;

use cofferdam_manifest::Span;

use super::{Builder, Site};
use crate::model::{TimeLimit, TimeoutSpec};
use crate::plan::PlanError;
use crate::plan::flow::Timeouts;

/// The whole pipeline, where nothing is said. Source: Tekton's
/// `default-timeout-minutes`.
const DEFAULT: Duration = Duration::from_secs(3600);

impl Builder<'_> {
    /// Reads `timeouts`, reporting those that contradict each other.
    pub(in crate::plan) fn timeouts(&mut self, spec: Option<&TimeoutSpec>, site: &Site) -> Timeouts {
        let Some(spec) = spec else {
            return Timeouts { pipeline: Some(DEFAULT), ..Timeouts::default() };
        };
        if site.is_partial() {
            return Timeouts::default();
        }
        match effective(spec) {
            Ok(timeouts) => timeouts,
            Err((below, message)) => {
                self.report(site, PlanError::InvalidValue { message, place: site.place(below) });
                Timeouts::default()
            }
        }
    }
}

fn effective(spec: &TimeoutSpec) -> Result<Timeouts, (&'static str, String)> {
    let given = |limit: Option<TimeLimit>| limit.map(|limit| limit.0.map(Span::duration));
    let (pipeline, tasks, finally) = (given(spec.pipeline), given(spec.tasks), given(spec.finally));
    let pipeline = pipeline.unwrap_or(Some(DEFAULT));
    let Some(whole) = pipeline else {
        return Ok(Timeouts { pipeline, tasks: tasks.flatten(), finally: finally.flatten() });
    };
    let words = |duration: Duration| {
        Span::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)).to_string()
    };
    for (below, part) in [("tasks", tasks), ("finally", finally)] {
        match part {
            Some(None) => {
                let message = format!("`{below}` has no limit, so `pipeline` must be \"0\", too");
                return Err((below, message));
            }
            Some(Some(part)) if part > whole => {
                let message = format!("`{below}` is longer than `pipeline`, which is {}", words(whole));
                return Err((below, message));
            }
            Some(Some(_)) | None => {}
        }
    }
    match (tasks.flatten(), finally.flatten()) {
        (Some(tasks), Some(finally)) if tasks.saturating_add(finally) > whole => {
            let message = format!(
                "`tasks` and `finally` together are longer than `pipeline`, which is {}",
                words(whole)
            );
            Err(("finally", message))
        }
        (Some(tasks), None) => {
            Ok(Timeouts { pipeline, tasks: Some(tasks), finally: Some(whole.saturating_sub(tasks)) })
        }
        (None, Some(finally)) => {
            Ok(Timeouts { pipeline, tasks: Some(whole.saturating_sub(finally)), finally: Some(finally) })
        }
        (tasks, finally) => Ok(Timeouts { pipeline, tasks, finally }),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    fn of(pipeline: &str, tasks: &str, finally: &str) -> Result<Timeouts, (&'static str, String)> {
        let limit = |text: &str| (!text.is_empty()).then(|| TimeLimit::try_from(text.to_owned()).unwrap());
        effective(&TimeoutSpec { pipeline: limit(pipeline), tasks: limit(tasks), finally: limit(finally) })
    }

    #[test]
    fn what_is_left_out_is_what_the_others_leave() {
        let minutes = |n: u64| Some(Duration::from_secs(60 * n));
        let timeouts = |pipeline, tasks, finally| Timeouts { pipeline, tasks, finally };
        assert_eq!(of("", "", ""), Ok(timeouts(minutes(60), None, None)));
        assert_eq!(of("10m", "", ""), Ok(timeouts(minutes(10), None, None)));
        assert_eq!(of("10m", "7m", ""), Ok(timeouts(minutes(10), minutes(7), minutes(3))));
        assert_eq!(of("10m", "", "4m"), Ok(timeouts(minutes(10), minutes(6), minutes(4))));
        assert_eq!(of("0", "7m", ""), Ok(timeouts(None, minutes(7), None)));
        assert_eq!(of("0s", "0", "0h0m0s"), Ok(timeouts(None, None, None)));
    }

    #[test]
    fn what_contradicts_itself_is_refused_where_it_stands() {
        for (pipeline, tasks, finally, place) in [
            ("10m", "11m", "", "tasks"),
            ("10m", "", "11m", "finally"),
            ("10m", "6m", "5m", "finally"),
            ("10m", "0", "", "tasks"),
            ("", "2h", "", "tasks"),
        ] {
            assert_eq!(of(pipeline, tasks, finally).unwrap_err().0, place, "{pipeline} {tasks} {finally}");
        }
    }
}
