//! Reads pip's `requirements.txt`: logical lines, comments, options and
//! includes. An include that leaves the tree is refused. Options say where and
//! how to install; they may hold credentials and never reach the SBOM.

use crate::fault::Fault;
use crate::lock::{Include, Lock, MOST_PACKAGES};
use crate::requirement;

const PIN: &str = "pin every package with `pip-compile --generate-hashes`";
const INCLUDE: &str = "name a file beside or below, inside the same source tree";

/// Reads the file at `path`, which includes are relative to.
pub(crate) fn parse(text: &str, path: &str) -> Result<Lock, Fault> {
    let mut lock = Lock::default();
    for (number, line) in logical_lines(text) {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        if !line.starts_with('-') {
            let package = requirement::parse(line)
                .map_err(|problem| Fault::new(number, format!("`{}` {problem}", shown(line)), PIN))?;
            if lock.packages.len() == MOST_PACKAGES {
                return Err(Fault::new(number, format!("more than {MOST_PACKAGES} packages"), PIN));
            }
            lock.packages.push(package);
            continue;
        }
        if option(line, "-e", "--editable").is_some() {
            let message = format!("`{}` installs a directory, which no version pins", shown(line));
            return Err(Fault::new(number, message, PIN));
        }
        if let Some(target) = option(line, "-r", "--requirement") {
            let path = resolve(path, target).map_err(|problem| {
                Fault::new(number, format!("includes `{}`, {problem}", shown(target)), INCLUDE)
            })?;
            lock.includes.push(Include { line: number, path });
        }
    }
    Ok(lock)
}

/// Lines with continuations joined and comments dropped, each with the number
/// it starts at. pip joins before it looks for comments, and so does this.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let is_comment = line.trim_start().starts_with('#');
        let continued = line.strip_suffix('\\').filter(|_| !is_comment);
        let (_, joined) = open.get_or_insert_with(|| (index + 1, String::new()));
        if is_comment {
            joined.push(' ');
        }
        joined.push_str(continued.unwrap_or(line));
        if continued.is_none() {
            lines.extend(open.take());
        }
    }
    lines.extend(open);
    for (_, line) in &mut lines {
        line.truncate(comment_start(line));
    }
    lines
}

/// Where a comment starts: at a `#` that begins the line or follows a space.
fn comment_start(line: &str) -> usize {
    let starts = |at: usize| at == 0 || line.get(..at).is_some_and(|before| before.ends_with([' ', '\t']));
    line.match_indices('#').map(|(at, _)| at).find(|at| starts(*at)).unwrap_or(line.len())
}

/// The value of an option in any of pip's spellings: `-r x`, `-rx`,
/// `--requirement x`, `--requirement=x`.
fn option<'a>(line: &'a str, short: &str, long: &str) -> Option<&'a str> {
    let value = match line.strip_prefix(long) {
        Some(rest) if rest.starts_with(['=', ' ', '\t']) => rest.trim_start_matches(['=', ' ', '\t']),
        Some(_) => return None,
        None => line.strip_prefix(short)?,
    };
    let value = value.trim();
    let quoted = |mark| value.strip_prefix(mark).and_then(|rest: &str| rest.strip_suffix(mark));
    Some(quoted('"').or_else(|| quoted('\'')).unwrap_or(value))
}

/// The path in the tree that an include means.
fn resolve(from: &str, target: &str) -> Result<String, &'static str> {
    if target.is_empty() {
        return Err("which is no path");
    }
    if target.contains("://") || target.starts_with('/') || target.contains(['\\', ':']) {
        return Err("which is not a path in the tree");
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or("which leads out of the tree")?;
            }
            name => parts.push(name),
        }
    }
    if parts.is_empty() { Err("which is no path") } else { Ok(parts.join("/")) }
}

/// As much of a line as a message bears; an address in it loses its credentials.
fn shown(line: &str) -> String {
    let mut words: Vec<String> =
        line.split_ascii_whitespace().take(4).map(crate::url::without_credentials).collect();
    words.truncate(4);
    let text = words.join(" ");
    match text.char_indices().nth(120) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    const SUM: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn continuations_comments_and_options_are_understood() {
        let text = format!(
            "# made by pip-compile\r\n--index-url https://user:pass@index.example.test/simple\n\n\
             a==1.0 \\\n    --hash=sha256:{SUM} \\\n    --hash=sha256:{SUM}\n    # via b\n\
             b==2.0  # a comment\nc==3#not-a-comment\n"
        );
        let fault = parse(&text, "requirements.txt").unwrap_err().at("requirements.txt");
        assert!(fault.starts_with("requirements.txt:9: `c==3#not-a-comment`"), "{fault}");
        let lock = parse(&text.replace("c==3#not-a-comment", "-c limits.txt"), "requirements.txt").unwrap();
        let keys: Vec<&str> = lock.packages.iter().map(|package| package.key.as_str()).collect();
        assert_eq!(keys, ["a@1.0", "b@2.0"]);
        assert_eq!(lock.packages.first().unwrap().digests.len(), 1);
        assert!(lock.includes.is_empty());
    }

    #[test]
    fn includes_are_paths_in_the_tree() {
        let text = "-r other.txt\n-r../base.txt\n--requirement=./x/y.txt\n--requirement \"a b.txt\"\n";
        let lock = parse(text, "py/requirements.txt").unwrap();
        let paths: Vec<&str> = lock.includes.iter().map(|include| include.path.as_str()).collect();
        assert_eq!(paths, ["py/other.txt", "base.txt", "py/x/y.txt", "py/a b.txt"]);
    }

    #[test]
    fn an_include_cannot_leave_the_tree() {
        for target in ["../x.txt", "a/../../x.txt", "/etc/x", "https://h.example.test/x", "c:\\x", "..", ""] {
            let failure = parse(&format!("\n-r {target}"), "requirements.txt").unwrap_err().at("f");
            assert!(failure.starts_with("f:2: "), "{failure}");
        }
    }

    #[test]
    fn a_message_never_shows_credentials() {
        let failure = parse("a @ https://user:pass@h.example.test/a.whl", "r.txt").unwrap_err().at("r.txt");
        assert!(!failure.contains("pass"), "{failure}");
        let failure = parse("-e git+https://token@h.example.test/a", "r.txt").unwrap_err().at("r.txt");
        assert!(!failure.contains("token"), "{failure}");
    }
}
