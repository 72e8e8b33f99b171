//! `make bench`: what Cofferdam costs beside other tools that run tasks, and beside openssl,
//! bubblewrap, curl and skopeo, in one run on one machine. Prints figures beside those that are wanted, each
//! from a file of its own; decides nothing.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program for people who read its table")]

mod download;
mod figure;
mod graphs;
mod growth;
mod ingest;
mod lone;
mod memory;
mod no_op;
mod peers;
mod reading;
mod shapes;
mod single;
mod verification;
mod world;

use std::process::Command;

use world::World;

/// The fan-out beside make and ninja alone; measured only where it is named.
const QUICK: &str = "quick";

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::new(directory.path());
    println!("{}", versions());
    let peers = installed(&world);
    println!("\n{:<46} {:>10} {:>10} {:>8}", "", "median", "best", "wanted");
    // `cargo bench --bench peers NAME ..` measures only what is named.
    let named: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    if named.iter().any(|wanted| wanted == QUICK) {
        shapes::quick(&world);
    }
    let figures: [(&str, &dyn Fn()); 13] = [
        ("fan-out", &|| shapes::fan_out(&world, &peers)),
        ("shapes", &|| shapes::ordered(&world, &peers)),
        ("cached", &|| shapes::cached(&world, &peers)),
        ("growth", &|| growth::run(&world)),
        ("known", &|| single::known(&world)),
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

/// The tools that can be compared with; says which cannot, and why.
fn installed(world: &World) -> Vec<peers::Peer> {
    let mut installed = Vec::new();
    for peer in peers::ALL {
        match peer.version(world) {
            Ok(version) => {
                println!("{}: {version}", peer.name);
                installed.push(peer);
            }
            Err(why) => println!("{}: not measured: {why}", peer.name),
        }
    }
    installed
}

fn version(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("missing").to_owned()
}

fn versions() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let programs = [("openssl", "version"), ("bwrap", "--version"), ("curl", "--version")];
    let peers: Vec<String> =
        programs.iter().map(|(name, arg)| format!("{name}: {}", version(name, &[arg]))).collect();
    format!("{cores} cores; cofferdam: {}; {}", env!("CARGO_PKG_VERSION"), peers.join("; "))
}
