//! Private keys under a password, of cosign's and of our own.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::harness::{Done, Task, World, done, repository, task_file};

/// Runs a command with nothing that gives a password but `variables`.
fn run(world: &World, args: &[&str], variables: &[(&str, &str)]) -> Done {
    let mut command = world.command(args);
    command.env_remove("COSIGN_PASSWORD").env_remove("COFFERDAM_PASSWORD_FILE");
    done(command.envs(variables.iter().copied()))
}

#[test]
fn a_task_is_signed_with_the_key_that_cosign_made() {
    let world = World::empty();
    let fixtures = repository().join("tests/fixtures/cosign-key");
    for name in ["cosign.key", "cosign.pub", "ed25519.key", "ed25519.pub"] {
        let path = world.write(name, fs::read(fixtures.join(name)).unwrap());
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    }
    let task = task_file(Task::Test("echo")).display().to_string();
    let publish = |key: &str, more: &[&str], variables: &[(&str, &str)]| {
        let args = ["task", "publish", &task, "--key", key];
        run(&world, &[&args[..], more].concat(), variables)
    };
    publish("cosign.key", &[], &[]).refused(3, "key/encrypted", "cosign.key").says("COSIGN_PASSWORD");
    let wrong = publish("cosign.key", &[], &[("COSIGN_PASSWORD", "wrong-horse")]);
    assert!(!wrong.err.contains("wrong-horse"), "{wrong:?}");
    wrong.refused(3, "key/password", "cosign.key");

    publish("cosign.key", &[], &[("COSIGN_PASSWORD", "correct-horse")]).ok();
    let password = world.write("password", "correct-horse\n").display().to_string();
    publish("ed25519.key", &["--password-file", &password], &[("COSIGN_PASSWORD", "wrong")]).ok();
    let explain = || run(&world, &["trust", "explain", "echo"], &[]);
    for key in ["cosign.pub", "ed25519.pub"] {
        let _ = fs::remove_file(world.home().join("trust.yaml"));
        assert_eq!(explain().status, 4);
        world.run(&["trust", "add", "team", "oci://cofferdam.local/*", "--key", key]).ok();
        explain().ok();
    }
}

#[test]
fn a_new_key_is_closed_with_a_password() {
    let world = World::empty();
    let generate = |more: &[&str], variables: &[(&str, &str)]| {
        let args = ["key", "generate", "--algorithm", "ed25519", "--encrypt"];
        run(&world, &[&args[..], more].concat(), variables)
    };
    generate(&[], &[]).refused(2, "usage/invalid", "no password");
    generate(&[], &[("COSIGN_PASSWORD", "")]).refused(2, "usage/invalid", "empty");
    generate(&[], &[("COSIGN_PASSWORD", "a secret")]).ok();
    let text = fs::read_to_string(world.home().join("keys/cofferdam.key")).unwrap();
    assert!(text.contains("ENCRYPTED SIGSTORE PRIVATE KEY"), "{text}");

    // Your own key, wherever it signs.
    let task = task_file(Task::Test("echo")).display().to_string();
    let publish = ["task", "publish", &task, "--sign"];
    run(&world, &publish, &[]).refused(3, "key/encrypted", "cofferdam.key");
    let file = world.write("password", "a secret").display().to_string();
    run(&world, &publish, &[("COFFERDAM_PASSWORD_FILE", &file)]).ok();
    run(&world, &["setup"], &[("COSIGN_PASSWORD", "a secret")]).ok();
    run(&world, &["trust", "explain", "echo"], &[]).ok();
}
