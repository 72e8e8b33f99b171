//! A lock file that cannot be read in full ends the task, with its place and
//! the fix.

use cofferdam_sbom::Contract;
use cofferdam_sdk::Failure;
use cofferdam_sdk::harness::Harness;

use crate::trees::{NPM, run, tree};

fn failure(files: &[(&str, &str)]) -> Failure {
    run(tree(files).path()).outcome.unwrap_err()
}

#[test]
fn an_unreadable_lock_file_is_named_with_line_and_remedy() {
    let broken = NPM.replace("\"dev\": true,\n      \"dependencies\"", "\"dev\": 1,\n      \"dependencies\"");
    let bad_digest = NPM.replacen("sha512-z4PhNX7v", "sha512-", 1);
    let deep = "[".repeat(100_000);
    let nameless = r#"{"lockfileVersion":3,"packages":{"node_modules/":{}}}"#;
    for (path, text, start, part) in [
        ("Cargo.lock", "version = 9\n", "Cargo.lock:1: ", "versions 1 to 4"),
        ("a/Cargo.lock", "x = [", "a/Cargo.lock:1: ", "not a Cargo.lock"),
        ("Cargo.lock", &format!("\nx = {deep}"), "Cargo.lock:2: ", "not a Cargo.lock"),
        ("package-lock.json", &broken, "package-lock.json:25: ", "boolean"),
        ("package-lock.json", &bad_digest, "package-lock.json:15: ", "integrity"),
        ("package-lock.json", nameless, "package-lock.json:1: ", "names no package"),
        ("package-lock.json", &deep, "package-lock.json:1: ", "not a package-lock.json"),
        ("package-lock.json", "{\"lockfileVersion\": 1}", "package-lock.json: ", "lockfileVersion 1;"),
        ("package-lock.json", "{}", "package-lock.json: ", "no lockfileVersion"),
        ("requirements-dev.txt", "a==1\n\nb>=2\n", "requirements-dev.txt:3: ", "not pinned"),
        ("requirements.txt", "-r missing.txt\n", "requirements.txt:1: ", "not a file of the tree"),
        ("requirements.txt", "\n-r ../x.txt\n", "requirements.txt:2: ", "out of the tree"),
    ] {
        let failure = failure(&[(path, text)]);
        assert_eq!(failure.reason, "LockfileUnreadable");
        assert!(failure.message.starts_with(start) && failure.message.contains(part), "{failure}");
        assert!(failure.remedy.is_some());
    }
}

#[test]
fn a_lock_file_of_too_many_packages_is_refused() {
    let entries: Vec<String> = (0..200_001).map(|number| format!("\"n{number}\":{{}}")).collect();
    let npm = format!("{{\"lockfileVersion\":3,\"packages\":{{{}}}}}", entries.join(","));
    for (path, text, part) in [
        ("Cargo.lock", "[[package]]\n".repeat(200_001), "more than 200000 packages"),
        ("package-lock.json", npm, "more than 200000 packages"),
        ("package-lock.json", "{".repeat(1_000_001), "more than 1000000 objects"),
        ("requirements.txt", "a==1\n".repeat(200_001), "more than 200000 packages"),
    ] {
        let failure = failure(&[(path, &text)]);
        assert!(failure.message.contains(part) && failure.remedy.is_some(), "{failure}");
    }
}

#[test]
fn the_remedies_say_what_to_type() {
    let npm = failure(&[("package-lock.json", "{\"lockfileVersion\": 1}")]).remedy.unwrap();
    assert!(npm.contains("npm install --package-lock-only --lockfile-version 3"), "{npm}");
    let pip = failure(&[("requirements.txt", "flask\n")]).remedy.unwrap();
    assert!(pip.contains("pip-compile --generate-hashes"), "{pip}");
}

#[test]
fn files_that_include_each_other_are_read_once() {
    let tree = tree(&[("requirements.txt", "-r a.txt\nb==1\n"), ("a.txt", "-r requirements.txt\na==1\n")]);
    let run = run(tree.path());
    assert_eq!(run.result("components"), Some(&"2".into()));
}

#[test]
fn an_excluded_lock_file_is_not_read() {
    let tree = tree(&[("fixtures/a/Cargo.lock", "broken"), ("Cargo.lock", "")]);
    let exclude = vec!["fixtures".to_owned()];
    let run = Harness::<Contract>::new().param("exclude", exclude).input("source", tree.path()).run();
    assert_eq!(run.result("components"), Some(&"0".into()));
    let run =
        Harness::<Contract>::new().param("exclude", vec!["[".to_owned()]).input("source", tree.path()).run();
    assert_eq!(run.outcome.unwrap_err().reason, "InvalidExclude");
}
