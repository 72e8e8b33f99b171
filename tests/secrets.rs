//! Secrets at the command line: kept where nobody reads them, shown nowhere,
//! refused when anything is wrong. The last cases use a real keychain.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Done, World, done};

const VALUE: &str = "correct-horse-battery-staple";
/// What stands in the base64 of the value, however it is aligned.
const BASED: [&str; 3] = [
    "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5LXN0YXBsZ",
    "b3JyZWN0LWhvcnNlLWJhdHRlcnktc3RhcGxl",
    "jb3JyZWN0LWhvcnNlLWJhdHRlcnktc3RhcGxl",
];

fn set_in(mut command: Command, value: &[u8]) -> Done {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    // Who refuses the arguments may not read it.
    let _ = child.stdin.take().unwrap().write_all(value);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Done { status: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn set(world: &World, name: &str, value: &[u8]) -> Done {
    set_in(world.command(&["secret", "set", name, "--host", "api.example.org"]), value)
}

fn listed(world: &World) -> Vec<Value> {
    serde_json::from_str(&world.run(&["secret", "list", "--format", "json"]).ok().out).unwrap()
}

#[track_caller]
fn shows_nothing(done: &Done) {
    for text in [VALUE].iter().chain(&BASED) {
        assert!(!done.out.contains(text) && !done.err.contains(text), "{done:?}");
    }
}

#[test]
fn a_secret_is_kept_listed_and_removed_and_shown_nowhere() {
    let world = World::empty();
    let kept = set(&world, "token", format!("{VALUE}\n").as_bytes()).ok();
    shows_nothing(&kept);
    assert!(kept.out.contains("secrets.age, encrypted with age"), "{kept:?}");
    let mut command = world.command(&[
        "secret",
        "set",
        "upload",
        "--host",
        "*.Example.org:8443",
        "--host",
        "192.0.2.1",
        "--env",
        "UPLOAD",
        "--format",
        "json",
    ]);
    let upload = done(command.env("UPLOAD", VALUE)).ok();
    shows_nothing(&upload);
    let json: Value = serde_json::from_str(&upload.out).unwrap();
    assert_eq!(json["hosts"], serde_json::json!(["*.example.org:8443", "192.0.2.1"]));
    assert_eq!((&json["name"], &json["kept"]), (&"upload".into(), &"file".into()));

    let text = world.run(&["secret", "list"]).ok();
    shows_nothing(&text);
    for shown in ["token", "upload", "api.example.org", "kept in: ", "encrypted with age"] {
        assert!(text.out.contains(shown), "{text:?}");
    }
    for file in world.home_files("") {
        let bytes = fs::read(&file).unwrap();
        for text in [VALUE].iter().chain(&BASED) {
            let found = bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!found, "{} holds the value", file.display());
        }
    }
    // Setting again replaces; what is removed is gone.
    set(&world, "token", b"another-value").ok();
    assert_eq!(listed(&world).len(), 2);
    let removed = world.run(&["secret", "rm", "token"]).ok();
    assert!(removed.out.starts_with("removed secret token"), "{removed:?}");
    assert_eq!(listed(&world).len(), 1);
    world.run(&["secret", "rm", "token"]).refused(3, "secret/none", "token");
}

#[test]
fn every_file_is_for_its_user_alone_whatever_the_umask() {
    let world = World::empty();
    let program = world.command(&[]).get_program().to_owned();
    let line = "umask 000; echo correct-horse | \"$0\" secret set token --host api.example.org";
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(line).arg(program).env("COFFERDAM_HOME", world.home());
    done(shell.env("COFFERDAM_SECRET_STORE", "file")).ok();
    let files = world.home_files("secrets");
    let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["secrets.key", "secrets.age", "secrets.json", "secrets.lock"]);
    for file in &files {
        let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(file), 0o600, "{}", file.display());
        assert_eq!(mode(file.parent().unwrap()), 0o700, "{}", file.display());
    }
}

#[test]
fn what_cannot_be_a_secret_is_refused() {
    let world = World::empty();
    let long = vec![b'a'; (64 << 10) + 1];
    for value in
        [&b""[..], b"\n", b"1234567\n", b"12345678\n\n", b"1234\n5678", b"1234\x005678", b"1234\r5678", &long]
    {
        set(&world, "token", value).refused(3, "secret/invalid-value", "token");
    }
    set(&world, "token", &[&long[1..], b"\r\n"].concat()).ok();
    for (args, says) in [
        (&["secret", "set", "token"][..], "--host"),
        (&["secret", "set", "no/name", "--host", "a.example"], "not a valid name"),
        (&["secret", "set", "token", "--host", "https://a.example"], "leave out the scheme"),
        (&["secret", "set", "token", "--host", "a.example/path"], "leave out the path"),
        (&["secret", "set", "token", "--host", "me@a.example"], "leave out the user"),
        (&["secret", "set", "token", "--host", "a.example", "--env", "UNSET_VARIABLE"], "is not set"),
    ] {
        let refused = world.run(args);
        assert_eq!(refused.status, 2, "{refused:?}");
        refused.says(says);
    }
    let given = world.run(&["secret", "set", "token", VALUE, "--host", "a.example"]);
    shows_nothing(&given);
    given.refused(2, "usage/invalid", "not taken from the command line").says("--env VAR");
    let mut odd = world.command(&["secret", "list"]);
    done(odd.env("COFFERDAM_SECRET_STORE", "cloud")).refused(2, "usage/invalid", "`cloud`");
}

#[test]
fn a_changed_file_and_a_lost_key_are_refused() {
    let world = World::empty();
    set(&world, "token", VALUE.as_bytes()).ok();
    let (file, key) = (world.home().join("secrets.age"), world.home().join("keys/secrets.key"));
    let sound = fs::read(&file).unwrap();
    let mut changed = sound.clone();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(&file, changed).unwrap();
    set(&world, "other", VALUE.as_bytes()).refused(4, "secret/damaged", "secrets.age");
    fs::write(&file, &sound).unwrap();
    fs::rename(&key, world.path("key")).unwrap();
    set(&world, "other", VALUE.as_bytes()).refused(3, "secret/no-key", "secrets.key").says("restore the key");
    assert!(!key.exists() && fs::read(&file).unwrap() == sound);
    fs::rename(world.path("key"), &key).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    set(&world, "other", VALUE.as_bytes()).refused(3, "secret/exposed", "644");
}

#[test]
fn secrets_set_at_the_same_time_are_all_kept() {
    let world = World::empty();
    let names: Vec<String> = (0..12).map(|number| format!("token{number:02}")).collect();
    std::thread::scope(|scope| {
        for name in &names {
            scope.spawn(|| set(&world, name, VALUE.as_bytes()).ok());
        }
    });
    let kept: Vec<String> =
        listed(&world).iter().map(|secret| secret["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kept, names);
    // The values, too: each can be removed, which opens the file again.
    for name in &names {
        world.run(&["secret", "rm", name]).ok();
    }
}

/// A command that looks for a keychain on this bus.
fn on_bus(world: &World, args: &[&str], bus: &str, place: Option<&str>) -> Command {
    let mut command = world.command(args);
    command.env("DBUS_SESSION_BUS_ADDRESS", bus).env_remove("COFFERDAM_SECRET_STORE");
    command.envs(place.map(|place| ("COFFERDAM_SECRET_STORE", place)));
    command
}

#[test]
fn a_keychain_that_does_not_answer_is_neither_waited_for_nor_replaced_in_silence() {
    let world = World::empty();
    let socket = world.path("bus");
    // Accepts, and never says a word.
    let _bus = UnixListener::bind(&socket).unwrap();
    let args = ["secret", "set", "token", "--host", "api.example.org"];
    for bus in [format!("unix:path={}", socket.display()), "unix:path=/nonexistent/bus".to_owned()] {
        let begun = Instant::now();
        let kept = set_in(on_bus(&world, &args, &bus, None), VALUE.as_bytes()).ok();
        assert!(kept.out.contains("encrypted with age"), "{kept:?}");
        let forced = set_in(on_bus(&world, &args, &bus, Some("keychain")), VALUE.as_bytes());
        forced.refused(1, "secret/keychain-unavailable", "no keychain answers");
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        // A value that was in the keychain stays a value in the keychain.
        let list = world.home().join("secrets.json");
        let text = fs::read_to_string(&list).unwrap().replace("\"file\"", "\"keychain\"");
        fs::write(&list, text).unwrap();
        for args in [&args[..], &["secret", "rm", "token"]] {
            let refused = set_in(on_bus(&world, args, &bus, None), VALUE.as_bytes());
            refused.refused(1, "secret/keychain-unavailable", "no keychain answers");
        }
        let moved = set_in(on_bus(&world, &args, &bus, Some("file")), VALUE.as_bytes()).ok();
        assert!(moved.err.contains("still in it"), "{moved:?}");
        assert_eq!(listed(&world)[0]["kept"], "file");
    }
}

/// Runs lines in a session with an unlocked keychain of its own. Nothing, and
/// the reason, where there is none to be had.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn in_session(world: &World, lines: &str) -> Option<Done> {
    for program in ["dbus-run-session", "gnome-keyring-daemon"] {
        if Command::new(program).arg("--version").output().is_err() {
            eprintln!("skipped: {program} is not installed (Debian: dbus, gnome-keyring)");
            return None;
        }
    }
    let program = world.command(&[]).get_program().to_owned();
    // The daemon stays in the foreground, so that it ends with the session.
    let script = format!(
        "printf pass | gnome-keyring-daemon --foreground --unlock --components=secrets >/dev/null 2>&1 &\n\
         daemon=$!; trap 'kill $daemon' EXIT\n\
         for _ in $(seq 100); do \
           dbus-send --session --print-reply --dest=org.freedesktop.secrets /org/freedesktop/secrets/collection/login \
             org.freedesktop.DBus.Properties.Get string:org.freedesktop.Secret.Collection string:Locked 2>/dev/null \
             | grep -q 'boolean false' && break; sleep 0.1; done\n\
         cofferdam() {{ \"$PROGRAM\" \"$@\"; }}\n{lines}"
    );
    let runtime = world.path("runtime");
    fs::create_dir_all(&runtime).unwrap();
    fs::set_permissions(&runtime, fs::Permissions::from_mode(0o700)).unwrap();
    let mut session = Command::new("dbus-run-session");
    session
        .args(["--", "bash", "-eu", "-c", &script])
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap());
    session.env("HOME", world.path("user")).env("XDG_RUNTIME_DIR", &runtime).env("PROGRAM", program);
    session.env("COFFERDAM_HOME", world.home()).stdin(Stdio::null());
    fs::create_dir_all(world.path("user")).unwrap();
    Some(done(&mut session))
}

#[test]
fn a_real_keychain_keeps_a_secret() {
    let world = World::empty();
    let lines = format!(
        "echo {VALUE} | COFFERDAM_SECRET_STORE=keychain cofferdam secret set token --host api.example.org\n\
         echo {VALUE}2 | cofferdam secret set token --host api.example.org\n\
         echo {VALUE}3 | cofferdam secret set other --host api.example.org\n\
         cofferdam secret list\n\
         cofferdam secret rm token\n\
         echo {VALUE}4 | COFFERDAM_SECRET_STORE=file cofferdam secret set other --host api.example.org"
    );
    let Some(session) = in_session(&world, &lines) else { return };
    let session = session.ok();
    shows_nothing(&session);
    assert_eq!(session.out.matches("kept in: the keychain (Secret Service)").count(), 5, "{session:?}");
    assert!(session.out.contains("removed secret token from the keychain"), "{session:?}");
    assert!(!session.err.contains("still in it"), "{session:?}");
    assert_eq!(listed(&world)[0]["kept"], "file");
    assert_eq!(world.home_files("secrets.age").len(), 1);
}
