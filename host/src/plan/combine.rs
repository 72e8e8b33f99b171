//! The combinations of a matrix, in Tekton's order. Source: Tekton Pipelines v1,
//! `matrix_types.go`, `FanOut`.

use std::collections::{BTreeMap, HashSet};

use crate::model::MAX_COMBINATIONS;

/// One combination: its key, and the params it gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Combination {
    /// What it is called in the name of its TaskRun.
    pub key: String,
    /// Its params.
    pub params: BTreeMap<String, String>,
}

/// Longer keys are numbers instead.
const MAX_KEY: usize = 60;

/// What is included: a name, and params.
pub(crate) type Included = (Option<String>, BTreeMap<String, String>);

/// Every combination of some lists, with what is included; none, where a list is
/// empty.
///
/// # Errors
/// There are too many.
pub(crate) fn combine(
    lists: &[(String, Vec<String>)],
    include: &[Included],
) -> Result<Vec<Combination>, String> {
    if lists.iter().any(|(_, values)| values.is_empty()) {
        return Ok(Vec::new());
    }
    let too_many = || format!("a matrix has at most {MAX_COMBINATIONS} combinations");
    let mut found: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    if !lists.is_empty() {
        let count = lists.iter().try_fold(1_usize, |count, (_, values)| count.checked_mul(values.len()));
        if count.is_none_or(|count| count > MAX_COMBINATIONS) {
            return Err(too_many());
        }
        found.push((String::new(), BTreeMap::new()));
        for (name, values) in lists {
            found = found
                .iter()
                .flat_map(|(key, params)| {
                    values.iter().map(move |value| {
                        let mut params = params.clone();
                        params.insert(name.clone(), value.clone());
                        let comma = if key.is_empty() { "" } else { "," };
                        (format!("{key}{comma}{value}"), params)
                    })
                })
                .collect();
        }
    }
    let fits = |params: &BTreeMap<String, String>, more: &BTreeMap<String, String>| {
        more.iter().all(|(name, value)| params.get(name).is_none_or(|own| own == value))
    };
    for (_, params) in &mut found {
        for (_, more) in include {
            if fits(params, more) {
                params.extend(more.iter().map(|(name, value)| (name.clone(), value.clone())));
            }
        }
    }
    for (name, more) in include {
        if !more.is_empty() && !found.iter().any(|(_, params)| fits(params, more)) {
            let key = name.clone().unwrap_or_else(|| more.values().cloned().collect::<Vec<_>>().join(","));
            found.push((key, more.clone()));
        }
    }
    if found.len() > MAX_COMBINATIONS {
        return Err(too_many());
    }
    Ok(keyed(found))
}

/// A key that is no plain name, or not the only one of its kind, is a number.
fn keyed(found: Vec<(String, BTreeMap<String, String>)>) -> Vec<Combination> {
    let plain = |key: &str| {
        let simple = |c: char| c.is_ascii_alphanumeric() || "._,-".contains(c);
        !key.is_empty() && key.len() <= MAX_KEY && key.chars().all(simple) && !key.starts_with('.')
    };
    let mut seen = HashSet::new();
    let numbers: HashSet<String> = (0..found.len()).map(|number| number.to_string()).collect();
    let good: Vec<bool> = found
        .iter()
        .map(|(key, _)| plain(key) && !numbers.contains(key) && seen.insert(key.clone()))
        .collect();
    let keys = found.into_iter().zip(good).enumerate();
    keys.map(|(number, ((key, params), good))| Combination {
        key: if good { key } else { number.to_string() },
        params,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;
    use proptest::prelude::*;

    fn list(name: &str, values: &[&str]) -> (String, Vec<String>) {
        (name.to_owned(), values.iter().map(ToString::to_string).collect())
    }

    fn include(name: Option<&str>, params: &[(&str, &str)]) -> Included {
        let params = params.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        (name.map(str::to_owned), params.collect())
    }

    fn told(found: &[Combination]) -> Vec<String> {
        let params =
            |c: &Combination| c.params.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" ");
        found.iter().map(|c| format!("{}: {}", c.key, params(c))).collect()
    }

    #[test]
    fn combinations_come_in_the_order_of_the_params() {
        let lists = [list("os", &["linux", "mac"]), list("version", &["1", "2"])];
        assert_eq!(
            told(&combine(&lists, &[]).unwrap()),
            [
                "linux,1: os=linux version=1",
                "linux,2: os=linux version=2",
                "mac,1: os=mac version=1",
                "mac,2: os=mac version=2",
            ]
        );
    }

    #[test]
    fn an_include_extends_what_it_fits_and_else_is_one_more() {
        let lists = [list("os", &["linux", "mac"]), list("version", &["a", "b"])];
        let more = [
            include(Some("fast"), &[("os", "linux"), ("flags", "-O2")]),
            include(None, &[("everywhere", "yes")]),
            include(Some("own"), &[("os", "bsd"), ("version", "c")]),
        ];
        assert_eq!(
            told(&combine(&lists, &more).unwrap()),
            [
                "linux,a: everywhere=yes flags=-O2 os=linux version=a",
                "linux,b: everywhere=yes flags=-O2 os=linux version=b",
                "mac,a: everywhere=yes os=mac version=a",
                "mac,b: everywhere=yes os=mac version=b",
                "own: os=bsd version=c",
            ]
        );
        let alone = [include(Some("first"), &[("x", "1")]), include(None, &[("x", "two")])];
        assert_eq!(told(&combine(&[], &alone).unwrap()), ["first: x=1", "two: x=two"]);
    }

    #[test]
    fn an_empty_list_makes_no_combination_and_too_many_are_refused() {
        assert_eq!(combine(&[list("os", &[]), list("v", &["1"])], &[]).unwrap(), []);
        let many: Vec<String> = (0..17).map(|n| n.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(combine(&[list("a", &many), list("b", &many)], &[]).is_err());
        let wide: Vec<(String, Vec<String>)> = (0..40).map(|n| list(&format!("p{n}"), &many)).collect();
        assert!(combine(&wide, &[]).is_err());
    }

    #[test]
    fn a_key_can_never_leave_its_directory() {
        for value in ["..", "a/b", "", "a b", "\u{1b}[2J", &"x".repeat(100), "0"] {
            let found = combine(&[list("p", &["fine", value])], &[]).unwrap();
            assert_eq!(found.last().unwrap().key, "1", "{value}");
        }
    }

    proptest! {
        #[test]
        fn keys_are_unique(values in proptest::collection::vec("[a-c0-2,]{0,3}", 1..20)) {
            let found = combine(&[("p".to_owned(), values)], &[]).unwrap();
            let keys: HashSet<&str> = found.iter().map(|c| c.key.as_str()).collect();
            prop_assert_eq!(keys.len(), found.len());
        }
    }
}
