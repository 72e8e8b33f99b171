//! Leaves a link in its output, for whoever takes the artifact to follow.

use cofferdam_hostile::opened;
use cofferdam_sdk::{Context, Failure, task};

task!("links/task.yaml", run);

fn run(_: &Context, params: Params, _: Inputs, _: Outputs) -> Result<Results, Failure> {
    std::fs::create_dir_all("/outputs/out/a/b")?;
    std::fs::write("/outputs/out/file.txt", "beside a link")?;
    let made = opened("/outputs/out")?.symlink_at(&params.target, &params.at);
    Ok(Results { made: made.map_or_else(|code| code.name().to_owned(), |()| "yes".to_owned()) })
}
