//! Amounts of memory and spans of time as people write them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// An amount or a span of time that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct InvalidQuantity {
    text: String,
    expected: &'static str,
}

/// A number of bytes, written as Kubernetes writes it: `512Mi`, `1Gi`, `4096`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Quantity(u64);

/// A span of time, written as Go writes it: `10m`, `1h30m`, `250ms`. Kept in
/// whole milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(u64);

const BYTE_UNITS: [(&str, u64); 6] =
    [("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10), ("M", 1_000_000), ("k", 1000)];
const TIME_UNITS: [(&str, u64); 4] = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];

impl Quantity {
    /// A number of bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl Span {
    /// A span of whole milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The span as the standard library's type.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl FromStr for Quantity {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let invalid = || InvalidQuantity {
            text: text.to_owned(),
            expected: "an amount of bytes such as `512Mi` or `4096`",
        };
        let (digits, factor) = BYTE_UNITS
            .iter()
            .find_map(|(unit, factor)| text.strip_suffix(unit).map(|digits| (digits, *factor)))
            .unwrap_or((text, 1));
        let count = whole_number(digits).ok_or_else(invalid)?;
        count.checked_mul(factor).map(Self).ok_or_else(invalid)
    }
}

impl FromStr for Span {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let invalid = || InvalidQuantity {
            text: text.to_owned(),
            expected: "a span of time such as `10m`, `1h30m` or `250ms`",
        };
        let (mut rest, mut total) = (text, 0u64);
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(invalid)?;
            let (digits, tail) = rest.split_at(end);
            let (unit, factor) =
                TIME_UNITS.iter().find(|(unit, _)| tail.starts_with(unit)).ok_or_else(invalid)?;
            let count = whole_number(digits).and_then(|n| n.checked_mul(*factor));
            total = count.and_then(|n| total.checked_add(n)).ok_or_else(invalid)?;
            rest = tail.strip_prefix(unit).ok_or_else(invalid)?;
        }
        if total == 0 { Err(invalid()) } else { Ok(Self(total)) }
    }
}

fn whole_number(digits: &str) -> Option<u64> {
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit =
            BYTE_UNITS.iter().take(4).find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor));
        match unit {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        for (unit, factor) in [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
            if rest >= factor {
                write!(f, "{}{unit}", rest / factor)?;
                rest %= factor;
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Quantity {
    type Error = InvalidQuantity;

    fn try_from(text: String) -> Result<Self, InvalidQuantity> {
        text.parse()
    }
}

impl TryFrom<String> for Span {
    type Error = InvalidQuantity;

    fn try_from(text: String) -> Result<Self, InvalidQuantity> {
        text.parse()
    }
}

impl From<Quantity> for String {
    fn from(quantity: Quantity) -> Self {
        quantity.to_string()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[0-9]+(Ti|Gi|Mi|Ki|M|k)?$"})
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^([0-9]+(ms|h|m|s))+$"})
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_and_spans_are_read_exactly() {
        for (text, bytes) in [("512Mi", 512 << 20), ("1Gi", 1 << 30), ("4096", 4096), ("3k", 3000)] {
            assert_eq!(text.parse::<Quantity>().unwrap().bytes(), bytes);
        }
        for (text, millis) in [("10m", 600_000), ("1h30m", 5_400_000), ("250ms", 250), ("1s5ms", 1005)] {
            assert_eq!(text.parse::<Span>().unwrap(), Span(millis));
        }
        for bad in ["", "Mi", "-1", "1.5Gi", "1 Gi", "99999999999Ti", "1mi"] {
            assert!(bad.parse::<Quantity>().is_err(), "{bad}");
        }
        for bad in ["", "10", "m", "-1s", "1.5h", "0s", "99999999999999999h"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(n in 1u64..u64::MAX / 4_000_000) {
            prop_assert_eq!(Quantity(n).to_string().parse::<Quantity>().unwrap(), Quantity(n));
            prop_assert_eq!(Span(n).to_string().parse::<Span>().unwrap(), Span(n));
        }
    }
}
