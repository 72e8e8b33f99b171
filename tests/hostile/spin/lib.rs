//! Never ends, and never calls the host either.

use std::hint::black_box;

use cofferdam_sdk::{Context, Failure, task};

task!("spin/task.yaml", run);

fn run(ctx: &Context, _: Params, _: Inputs, _: Outputs) -> Result<Results, Failure> {
    ctx.info("spinning", &[]);
    let mut turns = 0_u64;
    while black_box(turns) < u64::MAX {
        turns = black_box(turns) + 1;
    }
    Ok(Results {})
}
