//! Takes its time in steps, logs each of them, and ends well or badly.

use std::time::Duration;

use cofferdam_sdk::{Context, Failure, task};

task!("slow/task.yaml", run);

fn run(ctx: &Context, params: Params, _: Inputs, _: Outputs) -> Result<Results, Failure> {
    let number = |text: &str| text.parse::<u64>().unwrap_or_default();
    let steps = number(&params.steps);
    for step in 1..=steps {
        ctx.info(&format!("{} {step}", params.say), &[]);
        ctx.progress(step, Some(steps), &params.say);
        std::thread::sleep(Duration::from_millis(number(&params.millis)));
    }
    match params.end {
        End::Well => Ok(Results {}),
        End::Badly => {
            ctx.error("it came to nothing", &[]);
            Err(Failure::new("NoUse", "it was all for nothing").remedy("ask for less"))
        }
    }
}
