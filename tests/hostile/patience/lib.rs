//! Waits for ever in the host, on the real clock.

use std::hint::black_box;
use std::time::Duration;

use cofferdam_sdk::{Context, Failure, task};
use wasip2::clocks::monotonic_clock::subscribe_duration;

task!("patience/task.yaml", run);

fn run(_: &Context, params: Params, _: Inputs, _: Outputs) -> Result<Results, Failure> {
    match params.how {
        How::Sleep => std::thread::sleep(Duration::from_secs(3600)),
        How::Poll => subscribe_duration(u64::MAX).block(),
        How::Naps => {
            while black_box(true) {
                std::thread::sleep(Duration::from_nanos(1));
            }
        }
        How::LeaveTimer => std::mem::forget(subscribe_duration(3_600_000_000_000)),
        How::Brief => std::thread::sleep(Duration::from_millis(10)),
    }
    Ok(Results {})
}
