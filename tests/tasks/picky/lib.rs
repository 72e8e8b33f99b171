//! Fails when its text is `bad`, and returns it otherwise.

use cofferdam_sdk::{Context, Failure, task};

task!("picky/task.yaml", run);

fn run(_: &Context, params: Params, _: Inputs, _: Outputs) -> Result<Results, Failure> {
    if params.text == "bad" { Err(Failure::new("Bad", "told to")) } else { Ok(Results { text: params.text }) }
}
