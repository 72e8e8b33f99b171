//! In which form a run is shown while it happens: what was asked for, or what
//! fits where it is read.

use std::ffi::OsString;

use clap::ValueEnum;

use super::failure::Failure;

/// The variable that asks for a form where no option does.
const VARIABLE: &str = "COFFERDAM_LOG_FORMAT";

/// In which form a run is shown while it happens, on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Moving lines, on a terminal that can move its cursor; otherwise `plain`.
    Pretty,
    /// Lines, each complete.
    Plain,
    /// Every event as one line of JSON.
    Json,
    /// Groups and annotations for GitHub Actions.
    Github,
    /// Sections for GitLab CI.
    Gitlab,
}

/// What decides where nothing was asked for.
pub(crate) struct Place<'a> {
    /// Looks a variable up.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// Whether standard error is a terminal that can move its cursor.
    pub(crate) moves: bool,
}

impl LogFormat {
    /// Decides.
    pub(crate) fn choose(given: Option<Self>, place: &Place<'_>) -> Result<Self, Failure> {
        let wanted = match given {
            Some(given) => Some(given),
            None => from_environment(place)?,
        };
        let is = |name: &str| (place.variable)(name).is_some_and(|value| value == "true");
        Ok(match wanted {
            Some(Self::Pretty) if !place.moves => Self::Plain,
            Some(wanted) => wanted,
            None if is("GITHUB_ACTIONS") => Self::Github,
            None if is("GITLAB_CI") => Self::Gitlab,
            None if place.moves && (place.variable)("CI").is_none() => Self::Pretty,
            None => Self::Plain,
        })
    }
}

fn from_environment(place: &Place<'_>) -> Result<Option<LogFormat>, Failure> {
    let Some(value) = (place.variable)(VARIABLE).filter(|value| !value.is_empty()) else { return Ok(None) };
    let known = value.to_str().and_then(|value| LogFormat::from_str(value, false).ok());
    known.map(Some).ok_or_else(|| {
        Failure::usage(
            format!("{VARIABLE} is `{}`, which is no form of a log", value.display()),
            "set it to `pretty`, `plain`, `json`, `github` or `gitlab`, or unset it",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(given: Option<LogFormat>, set: &[(&str, &str)], moves: bool) -> Option<LogFormat> {
        let variable =
            |name: &str| set.iter().find(|(found, _)| *found == name).map(|(_, value)| OsString::from(value));
        LogFormat::choose(given, &Place { variable: &variable, moves }).ok()
    }

    #[test]
    fn what_is_asked_for_comes_first_then_what_fits() {
        use LogFormat::{Github, Gitlab, Json, Plain, Pretty};
        for (given, set, moves, chosen) in [
            (None, &[][..], true, Some(Pretty)),
            (None, &[], false, Some(Plain)),
            (None, &[("CI", "true")], true, Some(Plain)),
            (None, &[("GITHUB_ACTIONS", "true"), ("CI", "true")], false, Some(Github)),
            (None, &[("GITHUB_ACTIONS", "false")], false, Some(Plain)),
            (None, &[("GITLAB_CI", "true")], false, Some(Gitlab)),
            (None, &[("GITLAB_CI", "true"), ("COFFERDAM_LOG_FORMAT", "json")], false, Some(Json)),
            (None, &[("COFFERDAM_LOG_FORMAT", "")], true, Some(Pretty)),
            (Some(Plain), &[("COFFERDAM_LOG_FORMAT", "json")], true, Some(Plain)),
            (Some(Pretty), &[("GITHUB_ACTIONS", "true")], true, Some(Pretty)),
            (Some(Pretty), &[], false, Some(Plain)),
            (None, &[("COFFERDAM_LOG_FORMAT", "fancy")], true, None),
            (Some(Json), &[("COFFERDAM_LOG_FORMAT", "fancy")], true, Some(Json)),
        ] {
            assert_eq!(choose(given, set, moves), chosen, "{given:?} {set:?} {moves}");
        }
    }
}
