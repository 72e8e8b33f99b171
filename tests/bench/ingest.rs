//! Taking a tree into the store, beside openssl.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use cofferdam::store::Store;

use super::figure::line;
use super::world::quiet;

const TREE_BYTES: usize = 1 << 30;

/// A tree of 1 GiB in files of many sizes into an empty store.
pub(super) fn run(directory: &Path) {
    let tree = directory.join("tree");
    let mut made = 0;
    let mut bytes = vec![0_u8; 16 << 20];
    for n in 0_usize.. {
        let size =
            [4 << 10, 64 << 10, 1 << 20, 16 << 20].get(n % 4).copied().unwrap_or(0).min(TREE_BYTES - made);
        let below = tree.join(format!("d{}", n % 16));
        fs::create_dir_all(&below).unwrap();
        let content = bytes.get_mut(..size).unwrap();
        content.iter_mut().step_by(64).for_each(|byte| *byte = byte.wrapping_add(1));
        content.get_mut(..8).unwrap().copy_from_slice(&n.to_le_bytes());
        fs::write(below.join(n.to_string()), content).unwrap();
        made += size;
        if made == TREE_BYTES {
            break;
        }
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let mut rates = Vec::new();
    let mut checks = Vec::new();
    let mut hashes = Vec::new();
    for round in 0..3 {
        hashes.push(openssl_rate());
        // What is still being written from before would slow the next round down.
        quiet(&mut Command::new("sync"));
        let store = directory.join(format!("store{round}"));
        let opened = Store::open(&store).unwrap();
        let started = Instant::now();
        let digest = opened.ingest(&tree).unwrap().digest;
        rates.push(TREE_BYTES as f64 / started.elapsed().as_secs_f64() / 1e9);
        opened.distrust();
        let started = Instant::now();
        opened.check_tree(digest).unwrap();
        checks.push(TREE_BYTES as f64 / started.elapsed().as_secs_f64() / 1e9);
        fs::remove_dir_all(&store).unwrap();
    }
    let best = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let middle = |values: &[f64]| {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
    };
    line("ingest of 1 GiB into an empty store, GB/s", middle(&rates), best(&rates), "", "");
    line("openssl speed sha256, one core, GB/s", middle(&hashes), best(&hashes), "", "");
    line(
        "ratio to openssl on one core",
        middle(&rates) / middle(&hashes),
        best(&rates) / best(&hashes),
        "",
        "0.8",
    );
    println!(
        "  limited by: reading and hashing alone run at {:.2} GB/s on one core; the rest is the copy into the store",
        middle(&checks)
    );
    let per_core = (middle(&rates) / middle(&hashes) / cores, best(&rates) / best(&hashes) / cores);
    line("ratio to openssl, per core used", per_core.0, per_core.1, "", "0.8");
}

fn openssl_rate() -> f64 {
    let args = ["speed", "-elapsed", "-seconds", "2", "-bytes", "1048576", "-evp", "sha256"];
    let output = Command::new("openssl").args(args).stderr(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().and_then(|line| line.split_whitespace().last()).unwrap_or("0");
    last.trim_end_matches('k').parse::<f64>().unwrap_or(0.0) * 1e3 / 1e9
}
