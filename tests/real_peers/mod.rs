//! Programs of others that `tests/real_peers/install` builds: registries, clients
//! of registries, and the services of Sigstore. `make test-peers` runs these
//! cases; they are left out elsewhere, as they need Go, or take long to build.

mod attestations;
mod conformance;
mod cosign_tags;
mod deployment;
mod issuer;
mod keyless;
mod registries;
mod registry_suite;
mod wit;

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Done, World, done, target};

/// A program of others.
fn peer(name: &str) -> PathBuf {
    let path = target().join("peers/bin").join(name);
    assert!(path.is_file(), "no {}: `make test-peers` builds it", path.display());
    path
}

/// A command of a program of others, in the project of a user and with nothing
/// of the real user's around it.
fn command(world: &World, name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(peer(name));
    command.args(args).current_dir(world.project()).env_clear().stdin(Stdio::null());
    command.env("HOME", world.path("home")).env("DOCKER_CONFIG", world.path("docker"));
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// Runs a program of others to its end.
fn run(world: &World, name: &str, args: &[&str]) -> Done {
    done(&mut command(world, name, args))
}

/// A server of others that is killed when it is dropped.
struct Service(Child);

impl Service {
    /// Starts a server that prints its address when it listens.
    fn announced(command: &mut Command) -> (Self, String) {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        (Self(child), address.trim().to_owned())
    }

    /// Starts a server that is told where to listen, and waits until it does.
    fn told(command: &mut Command, port: u16) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut service = Self(child.unwrap());
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = service.0.try_wait().unwrap();
            assert!(ended.is_none(), "{command:?} ended: {ended:?}");
            assert!(begun.elapsed() < Duration::from_secs(60), "{command:?} does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        service
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that nobody listened on a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
