//! Waits for ever, in its own code and in the host's, or leaves a timer behind.

use std::hint::black_box;
use std::time::Duration;

use cofferdam_sdk::{Context, Failure, task};
use wasip2::clocks::monotonic_clock::{now, subscribe_duration};
use wasip2::io::poll::poll;

task!("stall/task.yaml", run);

fn run(_: &Context, params: Params, _: Inputs, _: Outputs) -> Result<Results, Failure> {
    match params.how {
        How::Loop => while black_box(true) {},
        How::Sleep => std::thread::sleep(Duration::from_secs(3600)),
        How::Poll => subscribe_duration(u64::MAX).block(),
        How::Naps => {
            while black_box(true) {
                std::thread::sleep(Duration::from_nanos(1));
            }
        }
        How::Calls => {
            while black_box(true) {
                black_box(now());
            }
        }
        How::ManyPolls => {
            // The same timer twenty thousand times: ready at once, again and again.
            let timer = subscribe_duration(0);
            let all = vec![&timer; 20_000];
            while black_box(true) {
                black_box(poll(&all));
            }
        }
        How::LeaveTimer => {
            std::mem::forget(subscribe_duration(3_600_000_000_000));
            std::mem::forget(subscribe_duration(u64::MAX));
        }
        How::Brief => std::thread::sleep(Duration::from_millis(10)),
    }
    Ok(Results {})
}
