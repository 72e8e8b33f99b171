//! Returns its params as results, and writes the text to its output.

#![expect(clippy::print_stdout, reason = "what a task prints becomes log lines")]

use cofferdam_sdk::{Context, Failure, task};

task!("echo/task.yaml", run);

fn run(ctx: &Context, params: Params, _: Inputs, outputs: Outputs) -> Result<Results, Failure> {
    let text = match params.mode {
        Mode::Plain => params.text,
        Mode::Loud => params.text.to_uppercase(),
    };
    ctx.info("echoing", &[("text", &text)]);
    println!("a line on standard output");
    std::fs::write(outputs.copy.path().join("text.txt"), &text)?;
    Ok(Results { text, list: params.list, fields: params.fields })
}
