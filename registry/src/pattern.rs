//! What trust rules are held against: texts, by patterns with `*`.

/// Holds a text against a pattern in which `*` stands for any characters.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (mut p, mut t) = (pattern.as_bytes(), text.as_bytes());
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (p.split_first(), t.split_first()) {
            (Some((b'*', rest)), _) => {
                retry = Some((rest, t));
                p = rest;
            }
            (Some((a, p_rest)), Some((b, t_rest))) if a == b => {
                p = p_rest;
                t = t_rest;
            }
            (None, None) => return true,
            _ => match retry {
                // Let the last `*` take one more byte.
                Some((after, from)) => match from.split_first() {
                    Some((_, shorter)) => {
                        retry = Some((after, shorter));
                        p = after;
                        t = shorter;
                    }
                    None => return false,
                },
                None => return false,
            },
        }
    }
}

/// How a pattern was meant that fits no task as it is written: its begin is that
/// of no URI of a task. Nothing, where it can fit one.
#[must_use]
pub fn meant_pattern(pattern: &str) -> Option<String> {
    if let Some(rest) = pattern.strip_prefix("oci//") {
        return Some(format!("oci://{rest}"));
    }
    let rest = pattern.strip_prefix("oci:").filter(|rest| !rest.starts_with(['/', '*']))?;
    let first = rest.split('/').next().unwrap_or_default();
    let is_host = rest.contains('/') && !first.starts_with('.') && first.contains(['.', ':']);
    // The URI of a layout has the whole path, wherever it was named from.
    let path = || format!("oci:/PATH/{}", rest.trim_start_matches("./"));
    Some(if is_host || first == "localhost" { format!("oci://{rest}") } else { path() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_star_stands_for_any_characters_and_nothing_else_does() {
        for (pattern, text, expected) in [
            ("oci://cofferdam.local/*", "oci://cofferdam.local/sbom:1", true),
            ("oci://cofferdam.local/*", "oci://cofferdam.locale/sbom:1", false),
            ("oci://a/*:1", "oci://a/b/c:1", true),
            ("oci://a/*:1", "oci://a/b:1:2", false),
            ("*", "", true),
            ("", "a", false),
            ("a?", "ab", false),
            ("a.b", "acb", false),
            ("*a*b", "xxaxxaxb", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_that_fits_nothing_is_told_as_it_was_meant() {
        for (pattern, meant) in [
            ("oci//h.example/*", Some("oci://h.example/*")),
            ("oci:h.example/team/*", Some("oci://h.example/team/*")),
            ("oci:localhost:5000/team/*", Some("oci://localhost:5000/team/*")),
            ("oci:vendor/registry:*", Some("oci:/PATH/vendor/registry:*")),
            ("oci:./registry:*", Some("oci:/PATH/registry:*")),
            ("oci:", Some("oci:/PATH/")),
            ("oci://h.example/*", None),
            ("oci:/srv/registry:*", None),
            ("oci:*", None),
            ("*", None),
            ("sha256:00", None),
        ] {
            assert_eq!(meant_pattern(pattern).as_deref(), meant, "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn a_pattern_without_a_star_matches_itself_alone(a in "[a-z:/.]{0,12}", b in "[a-z:/.]{0,12}") {
            prop_assert!(matches(&a, &a));
            prop_assert_eq!(matches(&a, &b), a == b);
            let around = format!("*{a}*");
            let within = format!("{b}{a}{b}");
            prop_assert!(matches(&around, &within));
        }
    }
}
