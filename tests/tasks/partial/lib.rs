//! Fails with one of the results that its manifest names.

use cofferdam_sdk::{Context, Failure, task};

task!("partial/task.yaml", run);

fn run(_: &Context, params: Params, _: Inputs, outputs: Outputs) -> Result<Results, Failure> {
    std::fs::write(outputs.copy.path().join("file"), "not to be had")?;
    let found = params.found;
    if found.is_empty() {
        return Ok(Results { found, rest: "all of it".to_owned() });
    }
    Err(Failure::new("Partly", "the rest could not be found").result("found", found))
}
