//! Tells what it can learn of the machine: time, randomness, environment, the
//! order and the times of files.

use std::hash::{BuildHasher, RandomState};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use cofferdam_sdk::{Context, Failure, task};

task!("stamp/task.yaml", run);

fn run(_: &Context, _: Params, inputs: Inputs, _: Outputs) -> Result<Results, Failure> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()).to_string();
    let started = Instant::now();
    let hash = format!("{:x} {:?}", RandomState::new().hash_one("x"), started.elapsed());
    let mut listing = Vec::new();
    for entry in std::fs::read_dir(inputs.source.path())? {
        let entry = entry?;
        let time = entry.metadata()?.modified()?.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        listing.push(format!("{}@{time}", entry.file_name().to_string_lossy()));
    }
    let environment = format!("{:?} {:?}", std::env::vars().collect::<Vec<_>>(), std::env::args().count());
    Ok(Results { seconds, hash, environment, listing: listing.join(" ") })
}
