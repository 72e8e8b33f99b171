//! A moment on the command line: so long ago, or a date, or a time.

use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// A moment, as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// So long ago.
    Ago(SignedDuration),
    /// Then.
    At(Timestamp),
}

/// A text that is no moment.
#[derive(Debug, thiserror::Error)]
#[error("write 90s, 10m, 2h, 3d or 1w, a date such as 2026-05-01, or a time such as 2026-05-01T12:00:00Z")]
pub(crate) struct InvalidSince;

impl Since {
    /// The moment, seen from now.
    pub(crate) fn moment(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(span) => now.checked_sub(span).unwrap_or(Timestamp::MIN),
            Self::At(moment) => moment,
        }
    }
}

impl FromStr for Since {
    type Err = InvalidSince;

    fn from_str(text: &str) -> Result<Self, InvalidSince> {
        let unit = match text.chars().last() {
            Some('s') => Some(1),
            Some('m') => Some(60),
            Some('h') => Some(60 * 60),
            Some('d') => Some(24 * 60 * 60),
            Some('w') => Some(7 * 24 * 60 * 60),
            _ => None,
        };
        let number = text.get(..text.len().saturating_sub(1)).filter(|number| !number.is_empty());
        let number = number.filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
        if let (Some(unit), Some(number)) = (unit, number) {
            let seconds = number.parse::<i64>().ok().and_then(|number| number.checked_mul(unit));
            return seconds.map(|seconds| Self::Ago(SignedDuration::from_secs(seconds))).ok_or(InvalidSince);
        }
        let day = || text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok().map(|day| day.timestamp());
        text.parse().ok().or_else(day).map(Self::At).ok_or(InvalidSince)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    #[test]
    fn moments_are_read_as_people_write_them() {
        let now: Timestamp = "2026-05-08T12:00:00Z".parse().unwrap();
        for (text, moment) in [
            ("90s", "2026-05-08T11:58:30Z"),
            ("10m", "2026-05-08T11:50:00Z"),
            ("2h", "2026-05-08T10:00:00Z"),
            ("3d", "2026-05-05T12:00:00Z"),
            ("1w", "2026-05-01T12:00:00Z"),
            ("2026-05-01", "2026-05-01T00:00:00Z"),
            ("2026-05-01T14:00:00+02:00", "2026-05-01T12:00:00Z"),
        ] {
            assert_eq!(text.parse::<Since>().unwrap().moment(now), moment.parse().unwrap(), "{text}");
        }
        for text in ["", "m", "10", "-1m", "1.5h", "10 m", "yesterday", "9223372036854775807w", "é", "99:00"]
        {
            assert!(text.parse::<Since>().is_err(), "{text}");
        }
        let long = "9223372036854775807s".parse::<Since>().unwrap();
        assert_eq!(long.moment(now), Timestamp::MIN);
    }
}
