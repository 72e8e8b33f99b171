//! The names of TaskRuns: `outer/inner[linux,1.80]`, and `outer#2/inner` where
//! a nested pipeline was tried again.

use cofferdam_manifest::Name;

/// Whether a text can be the name of a TaskRun. One that can is also a path of
/// directories: no part of it leads out or is hidden.
#[must_use]
pub fn is_task_run_name(text: &str) -> bool {
    text.len() <= 4096 && text.split('/').all(is_part)
}

fn is_part(part: &str) -> bool {
    let (part, round) = part.split_once('#').unwrap_or((part, "2"));
    let counted = !round.is_empty() && round.len() <= 3 && round.bytes().all(|byte| byte.is_ascii_digit());
    let (name, key) = match part.split_once('[') {
        Some((name, rest)) => match rest.strip_suffix(']') {
            Some(key) => (name, key),
            None => return false,
        },
        None => (part, "0"),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "._,-".contains(c);
    counted && !key.is_empty() && key.chars().all(plain) && Name::try_from(name.to_owned()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leads_out_of_its_directory() {
        for good in ["a", "a/b", "a[linux,1.80]", "a#2/b", "a[x]#3/b[0]", "a[..]"] {
            assert!(is_task_run_name(good), "{good}");
        }
        for bad in
            ["", "/", "a/", "/a", "..", "a/../b", "a[b/c]", "a[]", "a[x", "a#", "a#x", "A", "a b", "a\u{1b}"]
        {
            assert!(!is_task_run_name(bad), "{bad}");
        }
    }
}
