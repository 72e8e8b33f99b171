//! Asks for the real time and real randomness, and tells what it got.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cofferdam_sdk::{Context, Failure, task};

task!("timekeeper/task.yaml", run);

fn run(_: &Context, _: Params, _: Inputs, _: Outputs) -> Result<Results, Failure> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let started = Instant::now();
    std::thread::sleep(Duration::from_millis(20));
    let waited = started.elapsed() >= Duration::from_millis(20);
    let number = RandomState::new().hash_one("x");
    Ok(Results { seconds: seconds.to_string(), waited: waited.to_string(), number: number.to_string() })
}
