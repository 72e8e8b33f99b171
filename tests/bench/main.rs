//! `make bench`: what Cofferdam costs beside ninja, make, openssl, bubblewrap and curl,
//! in one run on one machine. Prints figures beside those that are wanted, each
//! from a file of its own; decides nothing.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program for people who read its table")]

mod download;
mod fan_out;
mod figure;
mod graphs;
mod ingest;
mod lone;
mod memory;
mod no_op;
mod reading;
mod single;
mod verification;
mod world;

use std::process::Command;

use world::World;

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::new(directory.path());
    println!("{}", versions());
    println!("\n{:<46} {:>10} {:>10} {:>8}", "", "median", "best", "wanted");
    // `cargo bench --bench peers NAME ..` measures only what is named.
    let named: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let figures: [(&str, &dyn Fn()); 12] = [
        ("fan-out", &|| fan_out::run(&world)),
        ("shapes", &|| graphs::shapes(&world)),
        ("cached", &|| graphs::cached(&world)),
        ("growth", &|| graphs::growth(&world)),
        ("single", &|| single::run(&world)),
        ("no-op", &|| no_op::run(&world)),
        ("reading", &|| reading::run(&world)),
        ("download", &|| download::run(&world)),
        ("memory", &|| memory::run(&world)),
        ("ingest", &|| ingest::run(directory.path())),
        ("verify", &|| verification::decisions(&world)),
        ("pull", &|| verification::pull(&world)),
    ];
    for (name, measure) in figures {
        if named.is_empty() || named.iter().any(|wanted| wanted == name) {
            measure();
        }
    }
}

fn version(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("missing").to_owned()
}

fn versions() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let programs = [
        ("ninja", "--version"),
        ("make", "--version"),
        ("openssl", "version"),
        ("bwrap", "--version"),
        ("curl", "--version"),
    ];
    let peers: Vec<String> =
        programs.iter().map(|(name, arg)| format!("{name}: {}", version(name, &[arg]))).collect();
    format!("{cores} cores; cofferdam: {}; {}", env!("CARGO_PKG_VERSION"), peers.join("; "))
}
