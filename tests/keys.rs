//! Private keys under a password, of cosign's and of our own.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

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

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "975310";

#[test]
fn a_task_is_signed_with_a_key_that_stays_in_its_token() {
    let world = World::empty();
    let text = format!("directories.tokendir = {}\n", world.project().display());
    let configuration = world.write("softhsm2.conf", text).display().to_string();
    let softhsm = |args: &[&str]| {
        let done = done(Command::new("softhsm2-util").args(args).env("SOFTHSM2_CONF", &configuration));
        assert_eq!(done.status, 0, "softhsm2 is needed, tests/install-tools installs it: {done:?}");
    };
    for label in ["release", "other"] {
        softhsm(&["--init-token", "--free", "--label", label, "--so-pin", PIN, "--pin", PIN]);
    }
    for (name, algorithm, id) in [("signer", "ecdsa-p256", "01"), ("edwards", "ed25519", "02")] {
        let file = world.path(&format!("{name}.key")).display().to_string();
        world.run(&["key", "generate", "--algorithm", algorithm, "--output", &file]).ok();
        softhsm(&["--import", &file, "--token", "release", "--label", name, "--id", id, "--pin", PIN]);
    }

    let uri = |chosen: &str| format!("pkcs11:{chosen}?module-path={MODULE}");
    let with = |args: &[&str], pin: &str| {
        let mut command = world.command(args);
        command.env_remove("COFFERDAM_PASSWORD_FILE").env_remove("COSIGN_PKCS11_PIN");
        command.env("SOFTHSM2_CONF", &configuration);
        if !pin.is_empty() {
            command.env("COSIGN_PKCS11_PIN", pin);
        }
        done(&mut command)
    };
    let task = task_file(Task::Test("echo")).display().to_string();
    for name in ["signer", "edwards"] {
        let key = uri(&format!("token=release;object={name}"));
        let public = world.path(&format!("{name}.pub"));
        assert_eq!(with(&["key", "public", &key], PIN).ok().out, fs::read_to_string(&public).unwrap());
        with(&["task", "publish", &task, "--key", &key], PIN).ok();
        let _ = fs::remove_file(world.home().join("trust.yaml"));
        let public = public.display().to_string();
        world.run(&["trust", "add", "team", "oci://cofferdam.local/*", "--key", &public]).ok();
        world.run(&["trust", "explain", "echo"]).ok();
    }

    let refused = |key: &str, pin: &str, code: &str, place: &str| {
        let done = with(&["key", "public", key], pin).refused(3, code, place);
        assert!(pin.is_empty() || !done.err.contains(pin), "{done:?}");
    };
    let key = uri("token=release;object=signer");
    refused(&key, "", "key/pin", "token=release");
    refused(&key, "864209", "key/token", "the PIN is wrong");
    refused(&uri("token=release"), PIN, "key/token", "more than one private key");
    refused(&uri("token=release;id=%03"), PIN, "key/token", "no private key");
    refused(&uri("token=nobody"), PIN, "key/token", "no token");
    refused(&uri("object=signer"), PIN, "key/token", "more than one token");
    refused("pkcs11:token=release", PIN, "key/uri", "module-path");
    refused("pkcs11:token=release?module-path=/no/module.so", PIN, "key/token", "module");
    refused(&format!("{key}&pin-value={PIN}"), PIN, "key/uri", "seen by others");
}
