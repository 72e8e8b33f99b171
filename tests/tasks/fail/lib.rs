//! Returns a failure with everything a failure can have.

use cofferdam_sdk::{Context, Failure, task};

task!("fail/task.yaml", run);

fn run(_: &Context, _: Params, _: Inputs, _: Outputs) -> Result<Results, Failure> {
    Err(Failure::new("NothingToDo", "there was nothing to do in `a.txt`").remedy("put something into it"))
}
