//! Tries to measure real time without being granted it: by the clock, and by
//! counting how often a loop turns until a timer is over.

use std::hint::black_box;
use std::time::{Duration, Instant};

use cofferdam_sdk::{Context, Failure, task};
use wasip2::clocks::monotonic_clock::{now, subscribe_duration, subscribe_instant};
use wasip2::io::poll::poll;

task!("stopwatch/task.yaml", run);

const HOUR: Duration = Duration::from_secs(3600);

fn run(_: &Context, params: Params, _: Inputs, _: Outputs) -> Result<Results, Failure> {
    // As much work as is asked for, so that runs differ in the time they take.
    let work: u64 = params.work.parse().map_err(|_| Failure::new("NoNumber", params.work.as_str()))?;
    black_box((0..work).fold(0_u64, |sum, n| sum.rotate_left(7) ^ black_box(n)));
    let mut told = vec![format!("now {}", now())];

    let started = Instant::now();
    std::thread::sleep(HOUR);
    told.push(format!("an hour {}", started.elapsed().as_nanos()));

    let timer = subscribe_duration(10_000_000);
    let mut looks = 0_u64;
    while !timer.ready() {
        looks += 1;
    }
    told.push(format!("looks {looks}"));

    let end = subscribe_duration(1_000_000);
    let mut naps = 0_u64;
    while !poll(&[&end, &subscribe_duration(10_000)]).contains(&0) {
        naps += 1;
    }
    told.push(format!("naps {naps}"));

    let timers = [10, 1, 3].map(|seconds| subscribe_duration(seconds * 1_000_000_000));
    let mut left: Vec<_> = timers.iter().enumerate().collect();
    while !left.is_empty() {
        let list: Vec<_> = left.iter().map(|(_, timer)| *timer).collect();
        for ready in poll(&list).into_iter().rev() {
            let (index, _) = left.remove(ready as usize);
            told.push(format!("timer {index} at {}", now()));
        }
    }
    let far: Vec<_> = (0..400).map(|n| subscribe_instant(u64::MAX - n)).collect();
    told.push(format!("far {:?}", poll(&far.iter().collect::<Vec<_>>())));
    subscribe_duration(u64::MAX).block();
    told.push(format!("end {} {}", now(), now()));
    Ok(Results { told })
}
