//! Opens the files it is told to: some by name, all of them, or none, at which
//! it only looks; or all of its scratch directory, where nobody takes note.

use std::fs;
use std::path::Path;

use cofferdam_sdk::{Context, Failure, task};

task!("reader/task.yaml", run);

fn run(ctx: &Context, params: Params, inputs: Inputs, _: Outputs) -> Result<Results, Failure> {
    let source = inputs.source.path();
    let opened = match params.how {
        How::Named => {
            for file in &params.files {
                fs::read(source.join(file))?;
            }
            params.files.len()
        }
        How::All => below(source, true)?,
        How::None => below(source, false)?,
        How::Scratch => below(ctx.scratch().unwrap_or(source), true)?,
    };
    Ok(Results { opened: opened.to_string() })
}

/// Reads every file below a directory, or only asks how large each is.
fn below(directory: &Path, read: bool) -> Result<usize, Failure> {
    let mut count = 0;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if fs::metadata(&path)?.is_dir() {
            count += below(&path, read)?;
        } else if read {
            fs::read(&path)?;
            count += 1;
        }
    }
    Ok(count)
}
