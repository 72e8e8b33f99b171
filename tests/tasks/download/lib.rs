//! Downloads a file and keeps nothing of it: what is measured is the way.

use cofferdam_sdk::http::Request;
use cofferdam_sdk::{Context, Failure, task};

task!("download/task.yaml", run);

fn run(_: &Context, params: Params, _: Inputs, _: Outputs) -> Result<Results, Failure> {
    let bytes = Request::get(&params.url).send()?.success()?.copy_to(&mut std::io::sink())?;
    Ok(Results { bytes: bytes.to_string() })
}
