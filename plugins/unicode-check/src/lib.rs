//! probe
use cofferdam_sdk::{Context, Failure, task};
task!("task.yaml", run);
fn run(ctx: &Context, params: Params, inputs: Inputs, outputs: Outputs) -> Result<Results, Failure> {
    ctx.info("hello", &[]);
    let _ = (params, inputs.source.path(), outputs.findings.path());
    Ok(Results { test_output: String::new() })
}
#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_sdk::harness::Harness;
    #[test]
    fn x() {
        let r = Harness::<Contract>::new().input("source", "/tmp").run();
        assert!(r.outcome.is_ok());
        assert_eq!(r.lines.len(), 1);
    }
}
