//! Ends without returning, in every way there is.

#![expect(clippy::panic, reason = "this is what the task is for")]

use std::hint::black_box;

use cofferdam_sdk::{Context, Failure, task};

task!("quit/task.yaml", run);

fn run(_: &Context, params: Params, _: Inputs, outputs: Outputs) -> Result<Results, Failure> {
    std::fs::write(outputs.out.path().join("file.txt"), "written before the end")?;
    match params.how {
        How::Zero => std::process::exit(0),
        How::Three => std::process::exit(3),
        How::Panic => panic!("on purpose"),
        How::Unreachable => std::process::abort(),
        How::Overflow => {
            black_box(descend(black_box(0)));
        }
        How::OverflowCalling => {
            black_box(descend_calling(black_box(0)));
        }
        // More than one call can carry: the library splits it.
        How::Return => std::fs::write(outputs.out.path().join("large"), vec![7; 40 << 20])?,
    }
    Ok(Results {})
}

/// Calls the host from ever deeper down, where little of the stack is left.
#[expect(unconditional_recursion, reason = "this is what the task is for")]
fn descend_calling(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    let found = std::fs::read_dir("/scratch").is_ok() && std::fs::metadata("/outputs/out/none").is_ok();
    descend_calling(depth + u64::from(found)) + frame.iter().sum::<u64>()
}

#[expect(unconditional_recursion, reason = "this is what the task is for")]
fn descend(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    descend(depth + 1) + frame.iter().sum::<u64>()
}
