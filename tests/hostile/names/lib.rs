//! Gives files names that mislead a reader, a shell or another file system.

use cofferdam_hostile::opened;
use cofferdam_sdk::{Context, Failure, task};
use wasip2::filesystem::types::{DescriptorFlags, OpenFlags, PathFlags};

task!("names/task.yaml", run);

fn run(_: &Context, params: Params, _: Inputs, _: Outputs) -> Result<Results, Failure> {
    let out = opened("/outputs/out")?;
    let mut refused = Vec::new();
    for name in params.names {
        let how = OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
        let file = out.open_at(PathFlags::empty(), &name, how, DescriptorFlags::WRITE);
        match file.and_then(|file| file.write(name.as_bytes(), 0)) {
            Ok(_) => {}
            Err(_) => refused.push(name),
        }
    }
    Ok(Results { refused })
}
