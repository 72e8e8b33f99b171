//! Does nothing, for measuring what everything around a task costs.

use cofferdam_sdk::{Context, Failure, task};

task!("noop/task.yaml", run);

fn run(_: &Context, _: Params, _: Inputs, _: Outputs) -> Result<Results, Failure> {
    Ok(Results {})
}
