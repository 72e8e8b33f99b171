//! Returns results of the sizes that it is asked for.

use cofferdam_sdk::{Context, Failure, task};

task!("bulk/task.yaml", run);

fn run(_: &Context, params: Params, _: Inputs, _: Outputs) -> Result<Results, Failure> {
    let bytes = |text: &str| text.parse::<usize>().unwrap_or_default();
    let results = Results {
        text: "x".repeat(bytes(&params.text)),
        list: vec!["item".to_owned(); bytes(&params.items)],
        short: "short".to_owned(),
    };
    match params.end {
        End::Well => Ok(results),
        End::Badly => Err(Failure::new("TooMuch", "there was more").results(results)),
    }
}
